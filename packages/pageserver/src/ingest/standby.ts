import { XLR_RMGR_INFO_MASK, type WalRecord } from '@zenith/pg-format';
import { mainData, unknownRecord, type IngestContext } from './context.ts';

const XLOG_STANDBY_LOCK = 0x00;
const XLOG_RUNNING_XACTS = 0x10;
const XLOG_INVALIDATIONS = 0x20;

// xl_running_xacts: xcnt i32 @0, subxcnt i32 @4, subxid_overflow u8 @8, nextXid u32 @12, oldestRunningXid u32 @16, latestCompletedXid u32 @20, xids @24.  PG 15-18: standbydefs.h
const NEXT_XID = 12,
  RUNNING_XACTS_SIZE = 24;

/** Records for hot standbys: only the next transaction id of a snapshot matters here. PG: ProcArrayApplyRecoveryInfo(), procarray.c. */
export function ingestStandby(context: IngestContext, record: WalRecord): void {
  switch (record.info & XLR_RMGR_INFO_MASK) {
    case XLOG_RUNNING_XACTS: {
      const next = record.view.getUint32(mainData(record, RUNNING_XACTS_SIZE) + NEXT_XID, true);
      context.counters.advancePastXid(previousXid(next));
      return;
    }
    case XLOG_STANDBY_LOCK:
    case XLOG_INVALIDATIONS:
      return;
    default:
      throw unknownRecord(record);
  }
}

/** The normal transaction id before `xid`. PG: TransactionIdRetreat(), transam.h. */
function previousXid(xid: number): number {
  return xid <= 3 ? 0xffff_ffff : xid - 1;
}
