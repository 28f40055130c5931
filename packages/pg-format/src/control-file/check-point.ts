import { CorruptionError, readLsn, writeLsn, type Lsn } from '@zenith/base';
import type { PgMajor } from '../version.ts';
import { formatOf } from '../versions/formats.ts';

// CheckPoint, 88 bytes: redo u64 @0, ThisTimeLineID u32 @8, PrevTimeLineID u32 @12, fullPageWrites u8 @16, wal_level i32 @20 (17 and later),
// nextXid u64 @24, nextOid u32 @32, nextMulti u32 @36, nextMultiOffset u32 @40, oldestXid u32 @44, oldestXidDB u32 @48, oldestMulti u32 @52,
// oldestMultiDB u32 @56, time i64 @64, oldestCommitTsXid u32 @72, newestCommitTsXid u32 @76, oldestActiveXid u32 @80.
// PG 15-18: pg_control.h

/** Size of a CheckPoint. Unit: bytes. */
export const SIZE_OF_CHECK_POINT = 88;

/** Body of a checkpoint record and part of the control file. PG: CheckPoint, pg_control.h. */
export interface CheckPoint {
  /** Where redo begins; for a shutdown checkpoint the record's own start. */
  readonly redo: Lsn;
  /** PostgreSQL's timeline id. */
  readonly pgTimeline: number;
  /** The timeline before, when the record begins a new one; else the same. */
  readonly previousPgTimeline: number;
  readonly fullPageWrites: boolean;
  /** 0 minimal, 1 replica, 2 logical; 0 below 17, which does not store it. */
  readonly walLevel: number;
  /** Next transaction id to be assigned, with its epoch. */
  readonly nextXid: bigint;
  readonly nextOid: number;
  readonly nextMulti: number;
  readonly nextMultiOffset: number;
  /** Oldest datfrozenxid of the cluster and the database that has it. */
  readonly oldestXid: number;
  readonly oldestXidDb: number;
  /** Oldest datminmxid of the cluster and the database that has it. */
  readonly oldestMulti: number;
  readonly oldestMultiDb: number;
  /** Seconds since 1970. */
  readonly time: number;
  /** Range of transactions with a commit timestamp; 0 when there are none. */
  readonly oldestCommitTsXid: number;
  readonly newestCommitTsXid: number;
  /** Oldest transaction still running; 0 in a shutdown checkpoint. */
  readonly oldestActiveXid: number;
}

/** Decodes the CheckPoint at `offset`. @throws CorruptionError when it does not lie inside of `view` */
export function decodeCheckPoint(major: PgMajor, view: DataView, offset: number): CheckPoint {
  if (offset < 0 || offset + SIZE_OF_CHECK_POINT > view.byteLength)
    throw new CorruptionError(`a checkpoint has ${SIZE_OF_CHECK_POINT} bytes, ${view.byteLength - offset} are there`);
  return {
    redo: readLsn(view, offset),
    pgTimeline: view.getUint32(offset + 8, true),
    previousPgTimeline: view.getUint32(offset + 12, true),
    fullPageWrites: view.getUint8(offset + 16) !== 0,
    walLevel: formatOf(major).checkPointHasWalLevel ? view.getInt32(offset + 20, true) : 0,
    nextXid: view.getBigUint64(offset + 24, true),
    nextOid: view.getUint32(offset + 32, true),
    nextMulti: view.getUint32(offset + 36, true),
    nextMultiOffset: view.getUint32(offset + 40, true),
    oldestXid: view.getUint32(offset + 44, true),
    oldestXidDb: view.getUint32(offset + 48, true),
    oldestMulti: view.getUint32(offset + 52, true),
    oldestMultiDb: view.getUint32(offset + 56, true),
    time: Number(view.getBigInt64(offset + 64, true)),
    oldestCommitTsXid: view.getUint32(offset + 72, true),
    newestCommitTsXid: view.getUint32(offset + 76, true),
    oldestActiveXid: view.getUint32(offset + 80, true),
  };
}

/** Writes all 88 bytes of a CheckPoint at `offset`, padding zero. */
export function encodeCheckPoint(major: PgMajor, checkPoint: CheckPoint, view: DataView, offset: number): void {
  writeLsn(view, offset, checkPoint.redo);
  view.setUint32(offset + 8, checkPoint.pgTimeline, true);
  view.setUint32(offset + 12, checkPoint.previousPgTimeline, true);
  view.setUint32(offset + 16, checkPoint.fullPageWrites ? 1 : 0, true);
  view.setInt32(offset + 20, formatOf(major).checkPointHasWalLevel ? checkPoint.walLevel : 0, true);
  view.setBigUint64(offset + 24, checkPoint.nextXid, true);
  view.setUint32(offset + 32, checkPoint.nextOid, true);
  view.setUint32(offset + 36, checkPoint.nextMulti, true);
  view.setUint32(offset + 40, checkPoint.nextMultiOffset, true);
  view.setUint32(offset + 44, checkPoint.oldestXid, true);
  view.setUint32(offset + 48, checkPoint.oldestXidDb, true);
  view.setUint32(offset + 52, checkPoint.oldestMulti, true);
  view.setUint32(offset + 56, checkPoint.oldestMultiDb, true);
  view.setUint32(offset + 60, 0, true);
  view.setBigInt64(offset + 64, BigInt(checkPoint.time), true);
  view.setUint32(offset + 72, checkPoint.oldestCommitTsXid, true);
  view.setUint32(offset + 76, checkPoint.newestCommitTsXid, true);
  view.setUint32(offset + 80, checkPoint.oldestActiveXid, true);
  view.setUint32(offset + 84, 0, true);
}
