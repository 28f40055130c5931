import { XLR_RMGR_INFO_MASK, slruSegmentIsTruncated, type WalRecord } from '@zenith/pg-format';
import { SlruKind } from '../key-space/object.ts';
import { mainData, unknownRecord, type IngestContext } from './context.ts';
import { SLRU_GEOMETRY, pageNumberSize, readPageNumber } from './slru-geometry.ts';

const CLOG_ZEROPAGE = 0x00;
const CLOG_TRUNCATE = 0x10;

/** Commit log: new pages and truncation. PG: clog_redo(), clog.c. xl_clog_truncate: page number, oldestXact u32, oldestXactDb u32. */
export function ingestClog(context: IngestContext, record: WalRecord): void {
  const info = record.info & XLR_RMGR_INFO_MASK;
  const size = pageNumberSize(context.format.major);
  if (info === CLOG_ZEROPAGE) {
    context.slru.zeroPage(SlruKind.clog, readPageNumber(record.view, mainData(record, size), size), record.endLsn);
  } else if (info === CLOG_TRUNCATE) {
    const offset = mainData(record, size + 8);
    const cutoff = readPageNumber(record.view, offset, size);
    context.counters.advanceOldestXid(
      record.view.getUint32(offset + size, true),
      record.view.getUint32(offset + size + 4, true),
    );
    context.slru.removeSegments(SlruKind.clog, (segment) =>
      slruSegmentIsTruncated(SLRU_GEOMETRY[SlruKind.clog], segment, cutoff),
    );
  } else {
    throw unknownRecord(record);
  }
}
