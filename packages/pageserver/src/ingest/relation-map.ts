import { CorruptionError } from '@zenith/base';
import { XLR_RMGR_INFO_MASK, type WalRecord } from '@zenith/pg-format';
import { ObjectKind } from '../key-space/object.ts';
import { mainData, putSmall, unknownRecord, type IngestContext } from './context.ts';

const XLOG_RELMAP_UPDATE = 0x00;

// xl_relmap_update: db u32 @0, spc u32 @4, nbytes i32 @8, the whole file @12.  PG 15-18: relmapper.h
const HEADER = 12;

/** A relation map file is replaced as a whole. PG: relmap_redo(), relmapper.c. The shared map's database is 0. */
export function ingestRelationMap(context: IngestContext, record: WalRecord): void {
  if ((record.info & XLR_RMGR_INFO_MASK) !== XLOG_RELMAP_UPDATE) throw unknownRecord(record);
  const offset = mainData(record, HEADER);
  const length = record.view.getUint32(offset + 8, true);
  if (length !== context.format.relationMapLength)
    throw new CorruptionError(`a relation map of ${length} bytes instead of ${context.format.relationMapLength}`, {
      source: 'WAL',
      offset: record.lsn,
    });
  mainData(record, HEADER + length);
  const content = record.bytes.subarray(offset + HEADER, offset + HEADER + length);
  putSmall(
    context.target,
    ObjectKind.relationMap,
    record.view.getUint32(offset + 4, true),
    record.view.getUint32(offset, true),
    0,
    record.endLsn,
    content,
  );
}
