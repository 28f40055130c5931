import {
  CorruptionError,
  INVALID_LSN,
  assert,
  crc32cOfView,
  formatLsn,
  readLsn,
  type Lsn,
  type SystemId,
} from '@zenith/base';
import { copyBetweenViews, copyBytes } from '../page/copy-bytes.ts';
import type { PgMajor } from '../version.ts';
import { formatOf } from '../versions/formats.ts';
import type { VersionFormat } from '../versions/version-format.ts';
import {
  DEFAULT_WAL_SEGMENT_SIZE,
  SIZE_OF_XLOG_LONG_PHD,
  SIZE_OF_XLOG_RECORD,
  SIZE_OF_XLOG_SHORT_PHD,
  XLOG_BLCKSZ,
  XLP_ALL_FLAGS,
  XLP_FIRST_IS_CONTRECORD,
  XLP_FIRST_IS_OVERWRITE_CONTRECORD,
  XLP_LONG_HEADER,
  XLR_RMGR_INFO_MASK,
} from './constants.ts';
import { XL_CRC, XL_INFO, XL_PREV, XL_RMID, decodeParts } from './decode-record.ts';
import {
  XLP_INFO,
  XLP_MAGIC,
  XLP_REM_LEN,
  XLP_SEG_SIZE,
  XLP_SYSID,
  XLP_TLI,
  XLP_XLOG_BLCKSZ,
  readWalPageAddress,
} from './page-header.ts';
import type { WalRecord } from './record.ts';
import { RM_XLOG_ID, isResourceManagerId } from './resource-managers.ts';
import { isWalSegmentSize } from './segment.ts';
import { XLOG_OVERWRITE_CONTRECORD, XLOG_SWITCH } from './xlog-records.ts';

/** First size of the buffer that puts together records which do not lie in one piece. Unit: bytes. */
const BUFFER_INITIAL = 64 * 1024;
/** A buffer larger than this is given up after the record that needed it. Unit: bytes. */
const BUFFER_KEPT_MAX = 1024 * 1024;

const NO_BYTES = new Uint8Array(0);

/**
 * Why the WAL ends for the decoder. `never-written`: zeroes where a record should begin, the usual end of a log on disk. The others are what
 * PostgreSQL too takes as the end in crash recovery: `page-header`, `record-header`, `previous-link`, `continuation`, `checksum`. With
 * `record-body` the checksum is right and the contents are not: written wrongly, not torn. `gap` only comes up when it is asked for, see {@link WalStreamDecoderOptions.gaps}.
 */
export type WalEndReason =
  | 'never-written'
  | 'page-header'
  | 'record-header'
  | 'previous-link'
  | 'continuation'
  | 'checksum'
  | 'record-body'
  | 'gap';

/** Where and why decoding stopped for good. */
export interface WalEnd {
  readonly reason: WalEndReason;
  /** Where the record or page begins that is not valid. */
  readonly lsn: Lsn;
  /** One sentence for a person. */
  readonly message: string;
}

/** What {@link WalStreamDecoder} needs to know besides the version. */
export interface WalStreamDecoderOptions {
  /** Every long page header must carry this system identifier; not checked when it is left out. */
  readonly systemId?: SystemId;
  /** Size of a WAL segment. Unit: bytes. 16 MiB unless initdb was told otherwise. */
  readonly segmentSize?: number;
  /**
   * `zeroes`: what no checksum covers must be as PostgreSQL writes it too: padding, what page headers leave unused, and the rest of a segment after a switch record are zeroes, only a segment's first page has a long header, and the timeline does not
   * change. What then is still not noticed: a change of XLP_BKP_REMOVABLE, and of the beginning of a record whose continuation was overwritten. PG 15-18: AdvanceXLInsertBuffer(), CopyXLogRecordToWAL(), xlog.c. `any` unless it is said.
   */
  readonly gaps?: 'zeroes' | 'any';
}

/** What a decoder has seen so far. */
export interface WalStreamStatistics {
  /** Whole records given out. */
  readonly recordCount: number;
  /** Those that were not in one piece in a chunk and had to be put together. */
  readonly assembledCount: number;
  /** Records whose end was lost and overwritten; they were not given out. */
  readonly overwrittenCount: number;
  /** Page headers checked. */
  readonly pageCount: number;
}

/**
 * Decodes a stream of WAL that arrives in chunks of any size, beginning at a record boundary. It checks what PostgreSQL's reader checks: page
 * headers, continuation lengths, record headers, previous links (from the second record on) and the CRC.
 *
 *   decoder.push(chunk); while (decoder.next(record)) use(record); if (decoder.end !== undefined) …
 *
 * A record inside one chunk and one page is decoded where it lies, others in a buffer of the decoder: either way its bytes are borrowed until
 * the next call. Nothing is allocated per record. PG 15-18: XLogDecodeNextRecord(), xlogreader.c.
 */
export class WalStreamDecoder {
  readonly #format: VersionFormat;
  readonly #segmentSize: number;
  readonly #systemId: bigint | undefined;
  readonly #zeroGaps: boolean;

  /** The chunk being consumed; `#at` is its next byte, which lies at `#lsn` in the WAL and at `#pageOffset` in its page. */
  #chunk: Uint8Array = NO_BYTES;
  #view: DataView = new DataView(NO_BYTES.buffer);
  #at = 0;
  // Initialised here, like the other LSNs: a field that begins as undefined would box every number stored in it.
  #lsn = 0;
  #pageOffset = 0;

  /** A page header that did not arrive in one piece: the bytes so far. */
  readonly #header = new Uint8Array(SIZE_OF_XLOG_LONG_PHD);
  readonly #headerView = new DataView(this.#header.buffer);
  #headerLength = 0;

  /** Where the record at hand begins. */
  #recordLsn = 0;
  /** The record being put together: its length once known (before that 0), its bytes so far. */
  #assembling = false;
  #recordLength = 0;
  #headerChecked = false;
  #buffer = new Uint8Array(BUFFER_INITIAL);
  #bufferView = new DataView(this.#buffer.buffer);
  #assembled = 0;

  /** The WAL up to here is skipped: the rest of a segment after a switch record, which began at `#switchLsn`; its bytes wait in `#buffer`. 0 while nothing is skipped. */
  #skipTo = 0;
  #switchLsn = 0;
  /** Where the record began whose continuation was overwritten; 0 when the record before was whole. */
  #overwrittenLsn = 0;

  /** Start of the record before, for the next one's previous link; 0 before the first. */
  #previousLsn = 0;
  #position: Lsn = INVALID_LSN;
  #lastRecordLsn: Lsn = INVALID_LSN;
  #pgTimeline = 0;
  #end: WalEnd | undefined;
  readonly #statistics = { recordCount: 0, assembledCount: 0, overwrittenCount: 0, pageCount: 0 };

  /**
   * @param startLsn a record boundary: where a record begins, or the start of a page whose first record begins right after the header. The first
   * byte pushed is the one at this LSN.
   */
  constructor(major: PgMajor, startLsn: Lsn, options: WalStreamDecoderOptions = {}) {
    this.#format = formatOf(major);
    this.#segmentSize = options.segmentSize ?? DEFAULT_WAL_SEGMENT_SIZE;
    this.#systemId = options.systemId === undefined ? undefined : BigInt(options.systemId);
    this.#zeroGaps = options.gaps === 'zeroes';
    assert(
      isWalSegmentSize(this.#segmentSize),
      'WalStreamDecoder: a WAL segment size is a power of two from 1 MiB to 1 GiB',
    );
    assert(
      Number.isSafeInteger(startLsn) && startLsn > 0 && startLsn % 8 === 0,
      'WalStreamDecoder: the start is a record boundary',
    );
    this.#lsn = startLsn;
    this.#pageOffset = startLsn % XLOG_BLCKSZ;
    this.#position = startLsn;
  }

  /**
   * End of the last whole record, aligned: everything before it was decoded and received in full, the WAL continues here. Once `next` has given a record, the end of that record. Before the first one: the start.
   */
  get position(): Lsn {
    return this.#position;
  }

  /** Start of the last whole record before `position`; INVALID_LSN when there was none. It is the next record's previous link. */
  get lastRecordLsn(): Lsn {
    return this.#lastRecordLsn;
  }

  /** LSN of the byte that the next `push` must begin with, once `next` has returned false. */
  get nextByteLsn(): Lsn {
    return this.#lsn as Lsn;
  }

  /** PostgreSQL's timeline id in the last page header seen; 0 before the first. */
  get pgTimeline(): number {
    return this.#pgTimeline;
  }

  /** Set when the stream cannot go on: what begins at `end.lsn` is not valid WAL. Final; `position` is the end of the valid WAL. */
  get end(): WalEnd | undefined {
    return this.#end;
  }

  /** Live counters, owned by the decoder. */
  get statistics(): WalStreamStatistics {
    return this.#statistics;
  }

  /**
   * Hands over the stream's next bytes; only after `next` has returned false. They are borrowed until it does so again. Once the stream has
   * ended they are ignored.
   */
  push(bytes: Uint8Array): void {
    if (this.#end !== undefined) return;
    assert(this.#at === this.#chunk.length, 'WalStreamDecoder: a chunk is used up before the next one is pushed');
    this.#chunk = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#at = 0;
  }

  /**
   * Decodes the next record into `into`. False when more bytes are needed or when the stream has ended, see `end`. `into` and its bytes are valid
   * until the next call. A switch record ends with its segment: it is given once the rest of that has arrived.
   */
  next(into: WalRecord): boolean {
    while (this.#end === undefined) {
      if (this.#skipTo !== 0) return this.#skip() && this.#giveSwitch(into);
      if (this.#at === this.#chunk.length) return false;
      if (this.#pageOffset === 0 || this.#headerLength > 0) {
        if (!this.#readPageHeader()) return false;
        continue;
      }
      if (this.#assembling) {
        if (!this.#assemble()) {
          if (this.#at === this.#chunk.length) return false;
          continue;
        }
        if (this.#finishAssembled(into)) return true;
        continue;
      }
      const available = this.#chunk.length - this.#at;
      const pageLeft = XLOG_BLCKSZ - this.#pageOffset;
      if (available >= SIZE_OF_XLOG_RECORD) {
        const length = this.#view.getUint32(this.#at, true);
        if (length <= pageLeft && length <= available - (-length & 7) && pageLeft >= SIZE_OF_XLOG_RECORD) {
          if (this.#decodeInPlace(into, length)) return true;
          continue;
        }
      }
      this.#assembling = true;
      this.#recordLsn = this.#lsn;
      this.#recordLength = 0;
      this.#headerChecked = false;
      this.#assembled = 0;
      if (this.#buffer.length > BUFFER_KEPT_MAX) this.#setBuffer(new Uint8Array(BUFFER_INITIAL));
    }
    return false;
  }

  #consume(count: number): void {
    this.#at += count;
    this.#lsn += count;
    this.#pageOffset = (this.#pageOffset + count) & (XLOG_BLCKSZ - 1);
  }

  // The LSN of the record at hand is in a field, not an argument: passed on, a number above 2^31 would be boxed.

  #decodeInPlace(into: WalRecord, length: number): boolean {
    const at = this.#at;
    this.#recordLsn = this.#lsn;
    if (
      !this.#recordHeaderIsValid(this.#chunk, this.#view, at, length) ||
      !this.#checksumIsValid(this.#view, at, length) ||
      !this.#gapIsValid(this.#chunk, at + length, at + ((length + 7) & ~7))
    )
      return false;
    if (!this.#accept(into, this.#chunk, this.#view, at, length)) return false;
    this.#consume((length + 7) & ~7);
    return this.#skipTo === 0;
  }

  #finishAssembled(into: WalRecord): boolean {
    if (!this.#checksumIsValid(this.#bufferView, 0, this.#recordLength)) return false;
    if (!this.#gapIsValid(this.#buffer, this.#recordLength, this.#assembled)) return false;
    if (!this.#accept(into, this.#buffer, this.#bufferView, 0, 0)) return false;
    this.#assembling = false;
    this.#statistics.assembledCount++;
    return this.#skipTo === 0;
  }

  /** Decodes a record that passed its checks and moves the position behind it, unless it is a switch record whose segment has not ended; `pending` bytes of it, without padding, are not yet consumed. */
  #accept(into: WalRecord, bytes: Uint8Array, view: DataView, offset: number, pending: number): boolean {
    const end = this.#lsn + ((pending + 7) & ~7);
    const isSwitch =
      bytes[offset + XL_RMID] === RM_XLOG_ID &&
      ((bytes[offset + XL_INFO] as number) & XLR_RMGR_INFO_MASK) === XLOG_SWITCH;
    const endLsn = isSwitch ? Math.ceil(end / this.#segmentSize) * this.#segmentSize : end;
    into.lsn = this.#recordLsn as Lsn;
    into.endLsn = endLsn as Lsn;
    try {
      decodeParts(this.#format, bytes, view, offset, into);
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      return this.#fail('record-body', this.#recordLsn, error.message);
    }
    if (this.#overwrittenLsn !== 0 && !this.#overwriteIsRight(into)) return false;
    this.#previousLsn = this.#recordLsn;
    if (isSwitch && endLsn > end) {
      if (pending > 0) this.#buffer.set(bytes.subarray(offset, offset + pending)); // at most a page: the buffer is larger
      this.#skipTo = endLsn;
      this.#switchLsn = this.#recordLsn;
      return true;
    }
    this.#position = endLsn as Lsn;
    this.#lastRecordLsn = this.#recordLsn as Lsn;
    this.#statistics.recordCount++;
    return true;
  }

  /** The segment that a switch record ends is here in full. */
  #giveSwitch(into: WalRecord): true {
    into.lsn = this.#switchLsn as Lsn;
    into.endLsn = this.#skipTo as Lsn;
    decodeParts(this.#format, this.#buffer, this.#bufferView, 0, into);
    this.#position = this.#skipTo as Lsn;
    this.#lastRecordLsn = this.#switchLsn as Lsn;
    this.#skipTo = 0;
    this.#statistics.recordCount++;
    return true;
  }

  /** After a lost continuation, a record that says which record it was must name the right one. PG: VerifyOverwriteContrecord(). */
  #overwriteIsRight(record: WalRecord): boolean {
    const overwritten = this.#overwrittenLsn;
    this.#overwrittenLsn = 0;
    if (record.rmid !== RM_XLOG_ID || (record.info & XLR_RMGR_INFO_MASK) !== XLOG_OVERWRITE_CONTRECORD) return true;
    if (record.mainDataLength >= 8 && readLsn(record.view, record.mainDataOffset) === overwritten) return true;
    return this.#fail(
      'continuation',
      record.lsn,
      `the record at ${formatLsn(record.lsn)} does not name the lost record at ${formatLsn(overwritten as Lsn)}`,
    );
  }

  /** Looks at bytes that belong to no record, where that was asked for. */
  #gapIsValid(bytes: Uint8Array, start: number, end: number): boolean {
    if (!this.#zeroGaps) return true;
    for (let at = start; at < end; at++)
      if (bytes[at] !== 0) return this.#failRecord('gap', 'is followed by something else than zeroes');
    return true;
  }

  /** Skips the rest of a segment as far as it has arrived; true when it has arrived in full. */
  #skip(): boolean {
    const count = Math.min(this.#skipTo - this.#lsn, this.#chunk.length - this.#at);
    if (!this.#gapIsValid(this.#chunk, this.#at, this.#at + count)) return false;
    this.#consume(count);
    return this.#lsn === this.#skipTo;
  }

  /** Takes what the chunk has of the record on this page; true when the record, its padding included, is complete. */
  #assemble(): boolean {
    if (this.#recordLength === 0) {
      this.#append(4 - this.#assembled);
      if (this.#assembled < 4) return false;
      // The length is on the record's first page whole, since records begin at multiples of 8.
      const length = this.#bufferView.getUint32(0, true);
      if (!this.#recordLengthIsValid(length)) return false;
      this.#recordLength = length;
    }
    const target = Math.ceil(this.#recordLength / 8) * 8;
    if (!this.#headerChecked) {
      this.#append(SIZE_OF_XLOG_RECORD - this.#assembled);
      if (this.#assembled < SIZE_OF_XLOG_RECORD) return false;
      if (!this.#recordHeaderIsValid(this.#buffer, this.#bufferView, 0, this.#recordLength)) return false;
      this.#headerChecked = true;
    }
    // The header may have ended with its page; then the next bytes are those of a page header.
    if (this.#assembled < target && this.#pageOffset !== 0) this.#append(target - this.#assembled);
    return this.#assembled === target;
  }

  /** Appends at most `count` bytes from the chunk to the record, staying on this page. */
  #append(count: number): void {
    const length = Math.min(count, XLOG_BLCKSZ - this.#pageOffset, this.#chunk.length - this.#at);
    if (this.#assembled + length > this.#buffer.length) this.#grow(this.#assembled + length);
    copyBetweenViews(this.#view, this.#at, this.#bufferView, this.#assembled, length);
    this.#assembled += length;
    this.#consume(length);
  }

  #grow(needed: number): void {
    const buffer = new Uint8Array(Math.max(needed, 2 * this.#buffer.length));
    buffer.set(this.#buffer.subarray(0, this.#assembled));
    this.#setBuffer(buffer);
  }

  #setBuffer(buffer: Uint8Array<ArrayBuffer>): void {
    this.#buffer = buffer;
    this.#bufferView = new DataView(buffer.buffer);
  }

  /** Checks the page header that begins or goes on here; false when it is not yet whole or not valid. */
  #readPageHeader(): boolean {
    let view = this.#view;
    let offset = this.#at;
    const available = this.#chunk.length - this.#at;
    if (this.#headerLength === 0 && available >= SIZE_OF_XLOG_LONG_PHD) {
      const length = this.#isLong(view, offset) ? SIZE_OF_XLOG_LONG_PHD : SIZE_OF_XLOG_SHORT_PHD;
      this.#consume(length);
      return this.#pageHeaderIsValid(view, offset, this.#lsn - length);
    }
    this.#collectHeader(SIZE_OF_XLOG_SHORT_PHD);
    if (this.#headerLength < SIZE_OF_XLOG_SHORT_PHD) return false;
    view = this.#headerView;
    offset = 0;
    if (this.#isLong(view, offset)) {
      this.#collectHeader(SIZE_OF_XLOG_LONG_PHD);
      if (this.#headerLength < SIZE_OF_XLOG_LONG_PHD) return false;
    }
    const pageLsn = this.#lsn - this.#headerLength;
    this.#headerLength = 0;
    return this.#pageHeaderIsValid(view, offset, pageLsn);
  }

  #isLong(view: DataView, offset: number): boolean {
    return (view.getUint16(offset + XLP_INFO, true) & XLP_LONG_HEADER) !== 0;
  }

  /** Takes bytes of the header until it has `wanted` of them, or as many as there are. */
  #collectHeader(wanted: number): void {
    if (this.#headerLength >= wanted) return;
    const count = Math.min(wanted - this.#headerLength, this.#chunk.length - this.#at);
    copyBytes(this.#chunk, this.#at, this.#header, this.#headerLength, count);
    this.#headerLength += count;
    this.#consume(count);
  }

  /** PG: XLogReaderValidatePageHeader() and the checks of XLogDecodeNextRecord() on a continuation. */
  #pageHeaderIsValid(view: DataView, offset: number, pageLsn: number): boolean {
    const magic = view.getUint16(offset + XLP_MAGIC, true);
    const info = view.getUint16(offset + XLP_INFO, true);
    const isLong = (info & XLP_LONG_HEADER) !== 0;
    if (magic !== this.#format.walPageMagic)
      return this.#failPage(pageLsn, `magic number ${hex(magic)}, expected ${hex(this.#format.walPageMagic)}`);
    if ((info & ~XLP_ALL_FLAGS) !== 0) return this.#failPage(pageLsn, `unknown flags ${hex(info)}`);
    if (isLong && !this.#longHeaderIsValid(view, offset, pageLsn)) return false;
    if (!isLong && pageLsn % this.#segmentSize === 0)
      return this.#failPage(pageLsn, 'no long header on the first page of a segment');
    const address = readWalPageAddress(view, offset);
    if (address !== pageLsn) return this.#failPage(pageLsn, `page address ${formatLsn(address)}`);
    const pgTimeline = view.getUint32(offset + XLP_TLI, true);
    if (pgTimeline < this.#pgTimeline)
      return this.#failPage(pageLsn, `timeline ${pgTimeline} after timeline ${this.#pgTimeline}`);
    if (this.#zeroGaps && !this.#unusedIsValid(view, offset, pageLsn, isLong, pgTimeline)) return false;
    this.#pgTimeline = pgTimeline;
    this.#statistics.pageCount++;

    const continues = (info & XLP_FIRST_IS_CONTRECORD) !== 0;
    if (!this.#assembling) {
      return continues
        ? this.#fail(
            'continuation',
            pageLsn,
            `the page at ${formatLsn(pageLsn as Lsn)} begins with the rest of a record, a whole one was expected`,
          )
        : true;
    }
    if ((info & XLP_FIRST_IS_OVERWRITE_CONTRECORD) !== 0) {
      this.#overwrittenLsn = this.#recordLsn;
      this.#assembling = false;
      this.#statistics.overwrittenCount++;
      return true;
    }
    const remaining = view.getUint32(offset + XLP_REM_LEN, true);
    if (!continues || remaining === 0 || remaining !== this.#recordLength - this.#assembled) {
      const what = continues ? `continues with ${remaining} bytes` : 'does not continue';
      return this.#fail(
        'continuation',
        this.#recordLsn,
        `the record at ${formatLsn(this.#recordLsn as Lsn)} needs ${this.#recordLength - this.#assembled} more bytes, the page at ${formatLsn(pageLsn as Lsn)} ${what}`,
      );
    }
    return true;
  }

  /** What {@link WalStreamDecoderOptions.gaps} says of page headers. */
  #unusedIsValid(view: DataView, offset: number, pageLsn: number, isLong: boolean, pgTimeline: number): boolean {
    const continues = (view.getUint16(offset + XLP_INFO, true) & XLP_FIRST_IS_CONTRECORD) !== 0;
    if (isLong && pageLsn % this.#segmentSize !== 0) return this.#failPage(pageLsn, 'a long header within a segment');
    if (this.#pgTimeline !== 0 && pgTimeline !== this.#pgTimeline)
      return this.#failPage(pageLsn, `timeline ${pgTimeline} after timeline ${this.#pgTimeline}`);
    if (
      view.getUint32(offset + XLP_REM_LEN + 4, true) !== 0 ||
      (!continues && view.getUint32(offset + XLP_REM_LEN, true) !== 0)
    )
      return this.#failPage(pageLsn, 'what is not used is not zero');
    return true;
  }

  #longHeaderIsValid(view: DataView, offset: number, pageLsn: number): boolean {
    const segmentSize = view.getUint32(offset + XLP_SEG_SIZE, true);
    const pageSize = view.getUint32(offset + XLP_XLOG_BLCKSZ, true);
    if (this.#systemId !== undefined) {
      const systemId = view.getBigUint64(offset + XLP_SYSID, true);
      if (systemId !== this.#systemId)
        return this.#failPage(pageLsn, `it is of the database system ${systemId}, expected ${this.#systemId}`);
    }
    if (segmentSize !== this.#segmentSize)
      return this.#failPage(pageLsn, `segment size ${segmentSize}, expected ${this.#segmentSize}`);
    if (pageSize !== XLOG_BLCKSZ) return this.#failPage(pageLsn, `page size ${pageSize}, expected ${XLOG_BLCKSZ}`);
    return true;
  }

  #recordLengthIsValid(length: number): boolean {
    if (length >= SIZE_OF_XLOG_RECORD && length <= this.#format.walRecordLengthMax) return true;
    if (length === 0)
      return this.#fail('never-written', this.#recordLsn, `no record begins at ${formatLsn(this.#recordLsn as Lsn)}`);
    return this.#failRecord('record-header', `has the length ${length}`);
  }

  /** PG: ValidXLogRecordHeader(). */
  #recordHeaderIsValid(bytes: Uint8Array, view: DataView, offset: number, length: number): boolean {
    if (!this.#recordLengthIsValid(length)) return false;
    const rmid = bytes[offset + XL_RMID] as number;
    if (!isResourceManagerId(rmid))
      return this.#failRecord('record-header', `has the invalid resource manager ${rmid}`);
    const previous = readLsn(view, offset + XL_PREV);
    if (this.#previousLsn === 0 ? previous < this.#recordLsn : previous === this.#previousLsn) return true;
    const expected = this.#previousLsn === 0 ? 'one before it' : formatLsn(this.#previousLsn as Lsn);
    return this.#failRecord('previous-link', `follows ${formatLsn(previous)}, expected ${expected}`);
  }

  /** The CRC covers what follows the header first, then the header up to the CRC. PG: ValidXLogRecord(). */
  #checksumIsValid(view: DataView, offset: number, length: number): boolean {
    const body = crc32cOfView(view, offset + SIZE_OF_XLOG_RECORD, offset + length, 0);
    if (crc32cOfView(view, offset, offset + XL_CRC, body) === view.getInt32(offset + XL_CRC, true)) return true;
    return this.#failRecord('checksum', 'has a wrong checksum');
  }

  #failRecord(reason: WalEndReason, what: string): false {
    return this.#fail(reason, this.#recordLsn, `the record at ${formatLsn(this.#recordLsn as Lsn)} ${what}`);
  }

  #failPage(pageLsn: number, what: string): false {
    const at = this.#assembling ? this.#recordLsn : pageLsn;
    return this.#fail('page-header', at, `the WAL page at ${formatLsn(pageLsn as Lsn)} has a wrong header: ${what}`);
  }

  #fail(reason: WalEndReason, lsn: number, message: string): false {
    this.#end = { reason, lsn: lsn as Lsn, message };
    this.#chunk = NO_BYTES;
    this.#at = 0;
    return false;
  }
}

function hex(value: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(4, '0')}`;
}
