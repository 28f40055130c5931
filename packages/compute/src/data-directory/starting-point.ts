import { PG_TIMELINE, type Lsn } from '@zenith/base';
import { DbState, encodeControlFile, type CheckPoint, type ControlFile } from '@zenith/pg-format';
import type { SnapshotCheckpoint } from '@zenith/wire';

/** wal_level of a compute: at least replica. PG: WAL_LEVEL_REPLICA, xlog.h. */
const WAL_LEVEL_REPLICA = 1;

/** First LSN for unlogged relations. PG: FirstNormalUnloggedLSN, xlogdefs.h. */
const FIRST_NORMAL_UNLOGGED_LSN = 1000;

/** The checkpoint a server writes when it is shut down with these counters, at `recordLsn`. */
export function shutdownCheckPoint(counters: SnapshotCheckpoint, recordLsn: Lsn, nowMs: number): CheckPoint {
  return {
    redo: recordLsn,
    pgTimeline: PG_TIMELINE,
    previousPgTimeline: PG_TIMELINE,
    fullPageWrites: false,
    walLevel: Math.max(counters.walLevel, WAL_LEVEL_REPLICA),
    nextXid: counters.nextXid,
    nextOid: counters.nextOid,
    nextMulti: counters.nextMulti,
    nextMultiOffset: counters.nextMultiOffset,
    oldestXid: counters.oldestXid,
    oldestXidDb: counters.oldestXidDb,
    oldestMulti: counters.oldestMulti,
    oldestMultiDb: counters.oldestMultiDb,
    time: Math.floor(nowMs / 1000),
    oldestCommitTsXid: counters.oldestCommitTsXid,
    newestCommitTsXid: counters.newestCommitTsXid,
    oldestActiveXid: 0,
  };
}

/** The control file of a cluster that was shut down cleanly with that checkpoint: PostgreSQL starts from it without recovery. The parameters stay as they were. */
export function controlFileAt(imported: ControlFile, checkPoint: CheckPoint, nowMs: number): Uint8Array {
  return encodeControlFile({
    ...imported,
    state: DbState.shutdowned,
    time: Math.floor(nowMs / 1000),
    checkPoint: checkPoint.redo,
    checkPointCopy: checkPoint,
    unloggedLsn: Math.max(imported.unloggedLsn, FIRST_NORMAL_UNLOGGED_LSN) as Lsn,
    minRecoveryPoint: 0 as Lsn,
    minRecoveryPointTimeline: 0,
    backupStartPoint: 0 as Lsn,
    backupEndPoint: 0 as Lsn,
    backupEndRequired: false,
  });
}
