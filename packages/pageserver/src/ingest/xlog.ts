import {
  XLOG_BACKUP_END,
  XLOG_CHECKPOINT_ONLINE,
  XLOG_CHECKPOINT_REDO,
  XLOG_CHECKPOINT_SHUTDOWN,
  XLOG_END_OF_RECOVERY,
  XLOG_FPI,
  XLOG_FPI_FOR_HINT,
  XLOG_FPW_CHANGE,
  XLOG_NEXTOID,
  XLOG_NOOP,
  XLOG_OVERWRITE_CONTRECORD,
  XLOG_PARAMETER_CHANGE,
  XLOG_RESTORE_POINT,
  XLOG_SWITCH,
  SIZE_OF_CHECK_POINT,
  XLR_RMGR_INFO_MASK,
  type WalRecord,
} from '@zenith/pg-format';
import { ObjectKind } from '../key-space/object.ts';
import { switchCommitTs } from './commit-ts.ts';
import { mainData, putSmall, unknownRecord, type IngestContext } from './context.ts';
import { PARAMETER_CHANGE_SIZE } from './parameters.ts';
import { ingestBlocks } from './relation-blocks.ts';

/** Checkpoints, full-page images, parameters. PG: xlog_redo(), xlog.c. */
export function ingestXlog(context: IngestContext, record: WalRecord): void {
  const { counters } = context;
  switch (record.info & XLR_RMGR_INFO_MASK) {
    case XLOG_CHECKPOINT_SHUTDOWN:
      counters.setFromShutdownCheckpoint(record.view, mainData(record, SIZE_OF_CHECK_POINT));
      return;
    case XLOG_CHECKPOINT_ONLINE:
      counters.advanceFromOnlineCheckpoint(record.view, mainData(record, SIZE_OF_CHECK_POINT));
      return;
    case XLOG_NEXTOID:
      counters.setNextOid(record.view.getUint32(mainData(record, 4), true));
      return;
    case XLOG_PARAMETER_CHANGE:
      changeParameters(context, record);
      return;
    case XLOG_FPI:
    case XLOG_FPI_FOR_HINT:
      ingestBlocks(context, record);
      return;
    case XLOG_NOOP:
    case XLOG_SWITCH:
    case XLOG_BACKUP_END:
    case XLOG_RESTORE_POINT:
    case XLOG_FPW_CHANGE:
    case XLOG_END_OF_RECOVERY:
    case XLOG_OVERWRITE_CONTRECORD:
    case XLOG_CHECKPOINT_REDO:
      return; // they change nothing that is kept here
    default:
      throw unknownRecord(record);
  }
}

function changeParameters(context: IngestContext, record: WalRecord): void {
  const { parameters, target } = context;
  const wasOn = parameters.trackCommitTimestamp;
  parameters.apply(record.view, mainData(record, PARAMETER_CHANGE_SIZE));
  putSmall(target, ObjectKind.controlFile, 0, 0, 0, record.endLsn, parameters.controlFile);
  switchCommitTs(context, record, wasOn, parameters.trackCommitTimestamp);
}
