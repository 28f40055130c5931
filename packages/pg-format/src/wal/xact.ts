import { CorruptionError, INVALID_LSN, readLsn, type Lsn } from '@zenith/base';
import { maxAlign } from '../page/header.ts';
import type { PgMajor } from '../version.ts';
import { formatOf } from '../versions/formats.ts';
import type { WalRecord } from './record.ts';

// A commit or abort record: time i64, then if XLOG_XACT_HAS_INFO is set in xl_info the word xinfo, then what its bits announce, in this order:
//   DBINFO         db u32, spc u32
//   SUBXACTS       count i32, xids u32[]
//   RELFILENODES   count i32, (spc u32, db u32, rel u32)[]: files to drop
//   DROPPED_STATS  count i32, items of 12 bytes, of 16 in 18
//   INVALS         count i32, messages of 16 bytes (commit only)
//   TWOPHASE       xid u32 of the prepared transaction; then if GID its name, zero-terminated
//   ORIGIN         lsn u64, time i64, unaligned
// A prepare record, and a two-phase state file: magic u32 @0, length of the file u32 @4, xid u32 @8, db u32 @12, prepared at i64 @16, owner u32 @24,
// counts i32 of subtransactions @28, files to drop on commit @32 and on abort @36, statistics on commit @40 and on abort @44, invalidation messages
// @48, init file flag u8 @52, length of the name u16 @54, origin lsn u64 @56, origin time i64 @64; from byte 72 on the parts, each padded to 8: name,
// xids, files (commit), files (abort), statistics (commit), statistics (abort), messages, then resource managers' records.
// PG 15-18: xact.h, xactdesc.c, twophase.c

/** Record type of RM_XACT_ID. PG: xact.h. */
export const XLOG_XACT_COMMIT = 0x00;
/** Record type of RM_XACT_ID. PG: xact.h. */
export const XLOG_XACT_PREPARE = 0x10;
/** Record type of RM_XACT_ID. PG: xact.h. */
export const XLOG_XACT_ABORT = 0x20;
/** Record type of RM_XACT_ID. PG: xact.h. */
export const XLOG_XACT_COMMIT_PREPARED = 0x30;
/** Record type of RM_XACT_ID. PG: xact.h. */
export const XLOG_XACT_ABORT_PREPARED = 0x40;
/** Record type of RM_XACT_ID. PG: xact.h. */
export const XLOG_XACT_ASSIGNMENT = 0x50;
/** Record type of RM_XACT_ID. PG: xact.h. */
export const XLOG_XACT_INVALIDATIONS = 0x60;
/** xl_info bits that hold the record type of RM_XACT_ID. PG: xact.h. */
export const XLOG_XACT_OPMASK = 0x70;
/** xl_info bit of RM_XACT_ID: the record has an xinfo word. PG: xact.h. */
export const XLOG_XACT_HAS_INFO = 0x80;

/** xinfo bit. PG: xact.h. */
export const XACT_XINFO_HAS_DBINFO = 1 << 0;
/** xinfo bit. PG: xact.h. */
export const XACT_XINFO_HAS_SUBXACTS = 1 << 1;
/** xinfo bit; XACT_XINFO_HAS_RELFILENODES in 15. PG: xact.h. */
export const XACT_XINFO_HAS_RELFILELOCATORS = 1 << 2;
/** xinfo bit. PG: xact.h. */
export const XACT_XINFO_HAS_INVALS = 1 << 3;
/** xinfo bit. PG: xact.h. */
export const XACT_XINFO_HAS_TWOPHASE = 1 << 4;
/** xinfo bit. PG: xact.h. */
export const XACT_XINFO_HAS_ORIGIN = 1 << 5;
/** xinfo bit. PG: xact.h. */
export const XACT_XINFO_HAS_AE_LOCKS = 1 << 6;
/** xinfo bit. PG: xact.h. */
export const XACT_XINFO_HAS_GID = 1 << 7;
/** xinfo bit. PG: xact.h. */
export const XACT_XINFO_HAS_DROPPED_STATS = 1 << 8;

/** The word a PREPARE record and a two-phase state file begin with. PG: twophase.c. */
export const TWOPHASE_MAGIC = 0x57f94534;

/** Size of one relation (spc, db, rel) in these records. Unit: bytes. PG: RelFileLocator. */
export const SIZE_OF_REL_FILE_LOCATOR = 12;
const SIZE_OF_INVALIDATION_MESSAGE = 16;
const SIZE_OF_PREPARE_HEADER = 72;
const TIME = 8;

/**
 * What a commit, abort or prepare record says, filled in place and reused. Offsets are into `bytes`, which is the record's buffer and only borrowed:
 * read the xids as u32 at `subxactsOffset + 4·i`, the files as three u32 (spc, db, rel) at `relsOffset + 12·i`.
 */
export class XactRecord {
  bytes: Uint8Array = new Uint8Array(0);
  view: DataView = new DataView(new ArrayBuffer(0));
  /** Where the i64 time of commit, abort or prepare lies. Microseconds since 2000. */
  timeOffset = 0;
  /** 0 for a record without it. */
  xinfo = 0;
  /** Database of the transaction; 0 when the record does not say. */
  db = 0;
  /** Its tablespace; 0 when the record does not say. */
  spc = 0;
  subxactCount = 0;
  subxactsOffset = 0;
  /** Relation files to drop: with a prepare record, at commit. */
  relCount = 0;
  relsOffset = 0;
  /** Only in prepare records: relation files to drop at abort. */
  abortRelCount = 0;
  abortRelsOffset = 0;
  /** The prepared transaction's id, in prepare records and in those that finish one; else 0. */
  twoPhaseXid = 0;
  /** Its name with the closing zero; length 0 when the record does not have it. */
  gidOffset = 0;
  gidLength = 0;
  /** True when the transaction was replayed from another server; the id of that is in the WAL record. */
  hasOrigin = false;
  originLsn: Lsn = INVALID_LSN;
  /** Where the i64 time of commit on the origin lies. */
  originTimeOffset = 0;

  /** Empties every field. */
  clear(bytes: Uint8Array, view: DataView): void {
    this.bytes = bytes;
    this.view = view;
    this.timeOffset = 0;
    this.xinfo = 0;
    this.db = 0;
    this.spc = 0;
    this.subxactCount = 0;
    this.subxactsOffset = 0;
    this.relCount = 0;
    this.relsOffset = 0;
    this.abortRelCount = 0;
    this.abortRelsOffset = 0;
    this.twoPhaseXid = 0;
    this.gidOffset = 0;
    this.gidLength = 0;
    this.hasOrigin = false;
    this.originLsn = INVALID_LSN;
    this.originTimeOffset = 0;
  }
}

/** Where `length` bytes at `at` end. @throws CorruptionError when that is past `end` */
function past(at: number, length: number, end: number): number {
  if (length < 0 || length > end - at)
    throw new CorruptionError(
      `a transaction record is too short: ${length} bytes expected at ${at}, ${end - at} are there`,
    );
  return at + length;
}

/** Where an array of `count` items of `size` bytes ends that begins at `at`. */
function pastArray(at: number, count: number, size: number, end: number): number {
  if (count < 0) throw new CorruptionError(`a transaction record has a list of ${count} items`);
  return past(at, count * size, end);
}

/** Skips a list led by its count. */
function pastCounted(view: DataView, at: number, size: number, end: number): number {
  const first = past(at, 4, end);
  return pastArray(first, view.getInt32(at, true), size, end);
}

function parseEnding(major: PgMajor, record: WalRecord, hasInvalidations: boolean, into: XactRecord): void {
  const { view, bytes } = record;
  const end = record.mainDataOffset + record.mainDataLength;
  into.clear(bytes, view);
  into.timeOffset = record.mainDataOffset;
  let at = past(record.mainDataOffset, TIME, end);
  if ((record.info & XLOG_XACT_HAS_INFO) !== 0) {
    const word = at;
    at = past(at, 4, end);
    into.xinfo = view.getUint32(word, true);
  }
  const xinfo = into.xinfo;
  if ((xinfo & XACT_XINFO_HAS_DBINFO) !== 0) {
    const start = at;
    at = past(at, 8, end);
    into.db = view.getUint32(start, true);
    into.spc = view.getUint32(start + 4, true);
  }
  if ((xinfo & XACT_XINFO_HAS_SUBXACTS) !== 0) {
    const start = at;
    at = pastCounted(view, at, 4, end);
    into.subxactCount = view.getInt32(start, true);
    into.subxactsOffset = start + 4;
  }
  if ((xinfo & XACT_XINFO_HAS_RELFILELOCATORS) !== 0) {
    const start = at;
    at = pastCounted(view, at, SIZE_OF_REL_FILE_LOCATOR, end);
    into.relCount = view.getInt32(start, true);
    into.relsOffset = start + 4;
  }
  if ((xinfo & XACT_XINFO_HAS_DROPPED_STATS) !== 0)
    at = pastCounted(view, at, formatOf(major).xactStatsItemLength, end);
  if (hasInvalidations && (xinfo & XACT_XINFO_HAS_INVALS) !== 0)
    at = pastCounted(view, at, SIZE_OF_INVALIDATION_MESSAGE, end);
  if ((xinfo & XACT_XINFO_HAS_TWOPHASE) !== 0) {
    const start = at;
    at = past(at, 4, end);
    into.twoPhaseXid = view.getUint32(start, true);
    if ((xinfo & XACT_XINFO_HAS_GID) !== 0) {
      into.gidOffset = at;
      while (at < end && bytes[at] !== 0) at++;
      at = past(at, 1, end);
      into.gidLength = at - into.gidOffset;
    }
  }
  if ((xinfo & XACT_XINFO_HAS_ORIGIN) !== 0) {
    const start = at;
    past(at, 16, end);
    into.hasOrigin = true;
    into.originLsn = readLsn(view, start);
    into.originTimeOffset = start + 8;
  }
}

/**
 * Parses an XLOG_XACT_COMMIT or XLOG_XACT_COMMIT_PREPARED record. PG: ParseCommitRecord(), xactdesc.c.
 * @throws CorruptionError when it is too short for what it announces
 */
export function parseCommit(major: PgMajor, record: WalRecord, into: XactRecord): void {
  parseEnding(major, record, true, into);
}

/**
 * Parses an XLOG_XACT_ABORT or XLOG_XACT_ABORT_PREPARED record. PG: ParseAbortRecord(), xactdesc.c.
 * @throws CorruptionError when it is too short for what it announces
 */
export function parseAbort(major: PgMajor, record: WalRecord, into: XactRecord): void {
  parseEnding(major, record, false, into);
}

/**
 * Parses an XLOG_XACT_PREPARE record. PG: ParsePrepareRecord(), xactdesc.c.
 * @throws CorruptionError when it is too short for what it announces, or its magic is wrong
 */
export function parsePrepare(major: PgMajor, record: WalRecord, into: XactRecord): void {
  parsePrepareData(major, record.bytes, record.view, record.mainDataOffset, record.mainDataLength, into);
}

/**
 * {@link parsePrepare} on the main data of a record, or on a two-phase state file without its CRC: `bytes[offset, offset + length)`.
 * @throws CorruptionError when they are too short for what they announce, or their magic is wrong
 */
export function parsePrepareData(
  major: PgMajor,
  bytes: Uint8Array,
  view: DataView,
  offset: number,
  length: number,
  into: XactRecord,
): void {
  const end = offset + length;
  into.clear(bytes, view);
  let at = past(offset, SIZE_OF_PREPARE_HEADER, end);
  const magic = view.getUint32(offset, true);
  if (magic !== TWOPHASE_MAGIC)
    throw new CorruptionError(`a prepared transaction has the magic number ${magic}, expected ${TWOPHASE_MAGIC}`);
  const fileLength = view.getUint32(offset + 4, true);
  if (fileLength !== length + 4)
    throw new CorruptionError(`a prepared transaction gives its length as ${fileLength} bytes, expected ${length + 4}`);
  into.twoPhaseXid = view.getUint32(offset + 8, true);
  into.db = view.getUint32(offset + 12, true);
  into.timeOffset = offset + 16;
  into.subxactCount = view.getInt32(offset + 28, true);
  into.relCount = view.getInt32(offset + 32, true);
  into.abortRelCount = view.getInt32(offset + 36, true);
  into.gidLength = view.getUint16(offset + 54, true);
  into.originLsn = readLsn(view, offset + 56);
  into.hasOrigin = into.originLsn !== INVALID_LSN;
  into.originTimeOffset = offset + 64;

  const statsLength = formatOf(major).xactStatsItemLength;
  into.gidOffset = at;
  at = past(at, maxAlign(into.gidLength), end);
  into.subxactsOffset = at;
  at = pastPadded(at, into.subxactCount, 4, end);
  into.relsOffset = at;
  at = pastPadded(at, into.relCount, SIZE_OF_REL_FILE_LOCATOR, end);
  into.abortRelsOffset = at;
  at = pastPadded(at, into.abortRelCount, SIZE_OF_REL_FILE_LOCATOR, end);
  at = pastPadded(at, view.getInt32(offset + 40, true), statsLength, end);
  at = pastPadded(at, view.getInt32(offset + 44, true), statsLength, end);
  pastPadded(at, view.getInt32(offset + 48, true), SIZE_OF_INVALIDATION_MESSAGE, end);
}

/** Where an array ends that is padded to a multiple of 8. */
function pastPadded(at: number, count: number, size: number, end: number): number {
  const length = pastArray(at, count, size, end) - at;
  return past(at, maxAlign(length), end);
}
