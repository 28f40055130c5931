import { CorruptionError, type Lsn } from '@zenith/base';
import type { VersionFormat, WalRecord, XactRecord } from '@zenith/pg-format';
import type { VisibilityMapClears } from '@zenith/redo';
import type { ObjectId } from '../key-space/object-table.ts';
import type { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import type { ClusterCounters } from './counters.ts';
import type { ObjectSizes } from './object-sizes.ts';
import type { Pacer } from './pacer.ts';
import type { ParameterState } from './parameters.ts';
import type { SlruWriter } from './slru-writer.ts';
import type { IngestTarget } from './target.ts';

/** What the parts of ingest share: the head of one timeline. */
export interface IngestContext {
  readonly target: IngestTarget;
  readonly format: VersionFormat;
  readonly sizes: ObjectSizes;
  readonly slru: SlruWriter;
  readonly counters: ClusterCounters;
  readonly parameters: ParameterState;
  readonly pacer: Pacer;
  /** A buffer for one encoded value, used between an encoding and the put that follows it. */
  readonly scratch: ScratchBuffer;
  /** Scratch: the object of each block reference of the record at hand. */
  readonly blockObjects: Int32Array;
  /** Scratch: the visibility map bits the record at hand clears. */
  readonly clears: VisibilityMapClears;
  /** Scratch: the commit, abort or prepare record at hand. */
  readonly xact: XactRecord;
}

/** What a part of ingest does with a record. A promise when it has to take its time; the record is borrowed only until the call returns. */
export type RecordHandler = (context: IngestContext, record: WalRecord) => Promise<void> | void;

/** A buffer that is reused and grows to the largest value that was asked of it. */
export class ScratchBuffer {
  /** The buffer. */
  bytes = new Uint8Array(64 * 1024);
  /** A view over exactly `bytes`. */
  view: DataView = new DataView(this.bytes.buffer);

  /** Makes room for `length` bytes; what was in the buffer is lost when it grows. */
  reserve(length: number): void {
    if (length <= this.bytes.length) return;
    this.bytes = new Uint8Array(2 ** Math.ceil(Math.log2(length)));
    this.view = new DataView(this.bytes.buffer);
  }
}

const NO_BYTES = new Uint8Array(0);

/** Puts the whole content of a small object. */
export function putSmall(
  target: IngestTarget,
  kind: ObjectKind,
  spc: number,
  db: number,
  rel: number,
  lsn: Lsn,
  bytes: Uint8Array,
): void {
  const object: ObjectId = target.intern(kind, spc, db, rel, 0);
  target.put(object, 0, lsn, ValueKind.image, bytes, 0, bytes.length);
}

/** A small object exists no more. */
export function putGone(target: IngestTarget, kind: ObjectKind, spc: number, db: number, rel: number, lsn: Lsn): void {
  putSmall(target, kind, spc, db, rel, lsn, NO_BYTES);
}

/** Where the main data begin, when there are at least `length` bytes. @throws CorruptionError */
export function mainData(record: WalRecord, length: number): number {
  if (record.mainDataLength < length) {
    throw new CorruptionError(
      `record of resource manager ${record.rmid}, info 0x${record.info.toString(16)}, has ${record.mainDataLength} bytes of main data, at least ${length} were expected`,
      {
        source: 'WAL',
        offset: record.lsn,
      },
    );
  }
  return record.mainDataOffset;
}

/** A record whose kind its resource manager does not have. */
export function unknownRecord(record: WalRecord): CorruptionError {
  return new CorruptionError(`resource manager ${record.rmid} has no record of info 0x${record.info.toString(16)}`, {
    source: 'WAL',
    offset: record.lsn,
  });
}
