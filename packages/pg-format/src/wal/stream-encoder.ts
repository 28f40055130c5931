import { INVALID_LSN, PG_TIMELINE, assert, type Lsn, type SystemId } from '@zenith/base';
import type { PgMajor } from '../version.ts';
import {
  DEFAULT_WAL_SEGMENT_SIZE,
  SIZE_OF_XLOG_LONG_PHD,
  XLOG_BLCKSZ,
  XLP_FIRST_IS_CONTRECORD,
  XLP_FIRST_IS_OVERWRITE_CONTRECORD,
  XLR_RMGR_INFO_MASK,
} from './constants.ts';
import { encodeRecord, type RecordSpec } from './encode-record.ts';
import { writeWalPageHeader } from './page-header.ts';
import { RM_XLOG_ID } from './resource-managers.ts';
import { isWalSegmentSize } from './segment.ts';
import { XLOG_OVERWRITE_CONTRECORD, XLOG_SWITCH } from './xlog-records.ts';

/** What {@link WalStreamEncoder} needs to know besides version and start. */
export interface WalStreamEncoderOptions {
  readonly systemId: SystemId;
  /** Start of the record before the first one to be encoded; 0 for none. */
  readonly previousLsn?: Lsn;
  /** Unit: bytes. */
  readonly segmentSize?: number;
  readonly pgTimeline?: number;
}

/** Where an encoded record lies. */
export interface EncodedRecord {
  readonly lsn: Lsn;
  readonly endLsn: Lsn;
}

/**
 * Writes WAL as a server does: records at multiples of 8, page headers between, continuations over pages and segments, a switch record that fills its
 * segment. The counterpart of WalStreamDecoder; for the few records that Zenith writes itself and for tests, not for hot paths.
 */
export class WalStreamEncoder {
  readonly #major: PgMajor;
  readonly #systemId: SystemId;
  readonly #segmentSize: number;
  readonly #pgTimeline: number;
  readonly #startLsn: Lsn;
  #previousLsn: Lsn;
  #bytes = new Uint8Array(XLOG_BLCKSZ);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** @param startLsn a multiple of 8 at which WAL can go on; on a page boundary the page header is the first thing written */
  constructor(major: PgMajor, startLsn: Lsn, options: WalStreamEncoderOptions) {
    this.#major = major;
    this.#startLsn = startLsn;
    this.#systemId = options.systemId;
    this.#segmentSize = options.segmentSize ?? DEFAULT_WAL_SEGMENT_SIZE;
    this.#pgTimeline = options.pgTimeline ?? PG_TIMELINE;
    this.#previousLsn = options.previousLsn ?? INVALID_LSN;
    assert(
      isWalSegmentSize(this.#segmentSize),
      'WalStreamEncoder: a WAL segment size is a power of two from 1 MiB to 1 GiB',
    );
    assert(startLsn % 8 === 0, 'WalStreamEncoder: WAL goes on at a multiple of 8');
  }

  /** LSN of the byte after the last one written. */
  get endLsn(): Lsn {
    return (this.#startLsn + this.#length) as Lsn;
  }

  /** Everything written so far, from the start on: a view of the encoder's buffer, valid until the next call that writes. */
  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Appends a record; after an XLOG_SWITCH record the segment is filled with zeroes, page headers too. PG 15-18: CopyXLogRecordToWAL(), xlog.c. */
  append(spec: RecordSpec): EncodedRecord {
    if (this.endLsn % XLOG_BLCKSZ === 0) this.#pageHeader(0, 0);
    const lsn = this.endLsn;
    const record = encodeRecord(spec, this.#previousLsn);
    this.#write(record, record.length);
    this.#previousLsn = lsn;
    this.#zeroes(-this.#length & 7);
    if (spec.rmid === RM_XLOG_ID && (spec.info & XLR_RMGR_INFO_MASK) === XLOG_SWITCH) this.#fillSegment();
    return { lsn, endLsn: this.endLsn };
  }

  /**
   * Appends only the first bytes of a record, up to the end of page number `pages` counted from the one it begins on, as a server leaves it that
   * crashed while writing. The record must be longer than that. The next one must be {@link appendOverwrite}.
   */
  appendTorn(spec: RecordSpec, pages: number): Lsn {
    if (this.endLsn % XLOG_BLCKSZ === 0) this.#pageHeader(0, 0);
    const lsn = this.endLsn;
    const record = encodeRecord(spec, this.#previousLsn);
    let kept = 0;
    for (let page = 0; page < pages; page++)
      kept +=
        XLOG_BLCKSZ -
        (page === 0 ? lsn % XLOG_BLCKSZ : this.#headerLength((lsn - (lsn % XLOG_BLCKSZ) + page * XLOG_BLCKSZ) as Lsn));
    assert(kept < record.length, 'appendTorn: the record is longer than what is kept');
    this.#write(record, kept);
    return lsn;
  }

  /** After a torn record: the page that overwrites its continuation, and the record that says so. PG: CreateOverwriteContrecordRecord(), xlog.c. */
  appendOverwrite(overwrittenLsn: Lsn): EncodedRecord {
    assert(this.endLsn % XLOG_BLCKSZ === 0, 'appendOverwrite: at a page boundary');
    this.#pageHeader(XLP_FIRST_IS_OVERWRITE_CONTRECORD, 0);
    const mainData = new Uint8Array(16);
    new DataView(mainData.buffer).setBigUint64(0, BigInt(overwrittenLsn), true);
    return this.append({ rmid: RM_XLOG_ID, info: XLOG_OVERWRITE_CONTRECORD, mainData });
  }

  #headerLength(pageLsn: Lsn): number {
    return pageLsn % this.#segmentSize === 0 ? SIZE_OF_XLOG_LONG_PHD : 24;
  }

  #reserve(length: number): void {
    if (this.#length + length <= this.#bytes.length) return;
    const bytes = new Uint8Array(Math.max(this.#length + length, 2 * this.#bytes.length));
    bytes.set(this.bytes);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }

  #pageHeader(info: number, remainingLength: number): void {
    this.#reserve(SIZE_OF_XLOG_LONG_PHD);
    const header = {
      info,
      pgTimeline: this.#pgTimeline,
      remainingLength,
      systemId: this.#systemId,
      segmentSize: this.#segmentSize,
    };
    this.#length += writeWalPageHeader(this.#major, this.#view, this.#length, this.endLsn, header);
  }

  /** Writes the first `length` bytes of a record over as many pages as they take. */
  #write(record: Uint8Array, length: number): void {
    let written = 0;
    while (written < length) {
      if (this.endLsn % XLOG_BLCKSZ === 0) this.#pageHeader(XLP_FIRST_IS_CONTRECORD, record.length - written);
      const count = Math.min(length - written, XLOG_BLCKSZ - (this.endLsn % XLOG_BLCKSZ));
      this.#reserve(count);
      this.#bytes.set(record.subarray(written, written + count), this.#length);
      this.#length += count;
      written += count;
    }
  }

  #zeroes(count: number): void {
    this.#reserve(count);
    this.#bytes.fill(0, this.#length, this.#length + count);
    this.#length += count;
  }

  #fillSegment(): void {
    const written = this.endLsn % this.#segmentSize;
    if (written > 0) this.#zeroes(this.#segmentSize - written);
  }
}
