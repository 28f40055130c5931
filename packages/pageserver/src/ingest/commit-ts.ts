import {
  COMMIT_TS_XACTS_PER_PAGE,
  XLR_RMGR_INFO_MASK,
  slruSegmentIsTruncated,
  type WalRecord,
} from '@zenith/pg-format';
import { SlruKind } from '../key-space/object.ts';
import { mainData, unknownRecord, type IngestContext } from './context.ts';
import { SLRU_GEOMETRY, pageNumberSize, readPageNumber } from './slru-geometry.ts';

const COMMIT_TS_ZEROPAGE = 0x00;
const COMMIT_TS_TRUNCATE = 0x10;

/** Commit timestamps: new pages and truncation. PG: commit_ts_redo(), commit_ts.c. xl_commit_ts_truncate: page number, oldestXid u32. */
export function ingestCommitTs(context: IngestContext, record: WalRecord): void {
  const info = record.info & XLR_RMGR_INFO_MASK;
  const size = pageNumberSize(context.format.major);
  if (info === COMMIT_TS_ZEROPAGE) {
    context.slru.zeroPage(SlruKind.commitTs, readPageNumber(record.view, mainData(record, size), size), record.endLsn);
  } else if (info === COMMIT_TS_TRUNCATE) {
    const offset = mainData(record, size + 4);
    const cutoff = readPageNumber(record.view, offset, size);
    context.counters.advanceOldestCommitTs(record.view.getUint32(offset + size, true));
    context.slru.removeSegments(SlruKind.commitTs, (segment) =>
      slruSegmentIsTruncated(SLRU_GEOMETRY[SlruKind.commitTs], segment, cutoff),
    );
  } else {
    throw unknownRecord(record);
  }
}

/**
 * The server began to track commit timestamps, or stopped. It begins with the page of the next transaction, without logging it, and stops by removing everything. PG:
 * ActivateCommitTs(), DeactivateCommitTs(), commit_ts.c.
 */
export function switchCommitTs(context: IngestContext, record: WalRecord, wasOn: boolean, isOn: boolean): void {
  const { counters, slru } = context;
  if (isOn && !wasOn) {
    if (counters.oldestCommitTsXid === 0) counters.setCommitTsRange(counters.nextXid, counters.nextXid);
    const page = Math.floor(counters.nextXid / COMMIT_TS_XACTS_PER_PAGE);
    if (!slru.hasPage(SlruKind.commitTs, page)) slru.zeroPage(SlruKind.commitTs, page, record.endLsn);
  } else if (!isOn && wasOn) {
    counters.setCommitTsRange(0, 0);
    slru.removeSegments(SlruKind.commitTs, () => true);
  }
}
