import { type Lsn, type SystemId } from '@zenith/base';
import { SIZE_OF_CHECK_POINT, encodeCheckPoint, type CheckPoint } from '../control-file/check-point.ts';
import type { PgMajor } from '../version.ts';
import { DEFAULT_WAL_SEGMENT_SIZE, XLOG_BLCKSZ } from './constants.ts';
import { walPageHeaderLength } from './page-header.ts';
import { RM_XLOG_ID } from './resource-managers.ts';
import { WalStreamEncoder } from './stream-encoder.ts';
import { XLOG_CHECKPOINT_SHUTDOWN } from './xlog-records.ts';

/** The WAL of one shutdown checkpoint. */
export interface ShutdownCheckpointWal {
  /** Where the record begins: `checkPoint` and `checkPointCopy.redo` of the control file that goes with it. */
  readonly recordLsn: Lsn;
  /** The first byte after it, aligned: where the server writes next. */
  readonly endLsn: Lsn;
  /** WAL from the LSN that was asked for to `endLsn`, page headers included. */
  readonly bytes: Uint8Array;
  /** Where `bytes` begin in their segment file; they can reach into the next segment. Unit: bytes. */
  readonly startOffset: number;
  /** What the record says: as given, `redo` set. */
  readonly checkPoint: CheckPoint;
}

/**
 * Makes the shutdown checkpoint record that lets a server begin at `atLsn` without recovery (design, D2): on a page boundary the page header comes
 * first. `prev` is where the record before `atLsn` begins; PostgreSQL asks only that it lie before.
 */
export function encodeShutdownCheckpoint(
  major: PgMajor,
  atLsn: Lsn,
  prev: Lsn,
  checkPoint: CheckPoint,
  systemId: SystemId,
  segmentSize = DEFAULT_WAL_SEGMENT_SIZE,
): ShutdownCheckpointWal {
  const recordLsn = (atLsn % XLOG_BLCKSZ === 0 ? atLsn + walPageHeaderLength(atLsn, segmentSize) : atLsn) as Lsn;
  const written: CheckPoint = { ...checkPoint, redo: recordLsn };
  const mainData = new Uint8Array(SIZE_OF_CHECK_POINT);
  encodeCheckPoint(major, written, new DataView(mainData.buffer), 0);
  const encoder = new WalStreamEncoder(major, atLsn, {
    systemId,
    previousLsn: prev,
    segmentSize,
    pgTimeline: checkPoint.pgTimeline,
  });
  const { endLsn } = encoder.append({ rmid: RM_XLOG_ID, info: XLOG_CHECKPOINT_SHUTDOWN, mainData });
  return { recordLsn, endLsn, bytes: encoder.bytes, startOffset: atLsn % segmentSize, checkPoint: written };
}
