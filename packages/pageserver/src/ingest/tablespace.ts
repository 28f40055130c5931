import { CorruptionError } from '@zenith/base';
import { XLR_RMGR_INFO_MASK, type WalRecord } from '@zenith/pg-format';
import { ObjectKind } from '../key-space/object.ts';
import { mainData, putGone, putSmall, unknownRecord, type IngestContext } from './context.ts';
import { encodeTablespace } from './tablespace-location.ts';

const XLOG_TBLSPC_CREATE = 0x00;
const XLOG_TBLSPC_DROP = 0x10;

// xl_tblspc_create_rec: oid u32 @0, location, zero-terminated @4.  xl_tblspc_drop_rec: oid u32 @0.  PG 15-18: tablespace.h
const HEADER = 4;

/** Tablespaces come and go; what is in them is told by other records. PG: tblspc_redo(), tablespace.c. */
export function ingestTablespace(context: IngestContext, record: WalRecord): void {
  const info = record.info & XLR_RMGR_INFO_MASK;
  const offset = mainData(record, HEADER);
  const oid = record.view.getUint32(offset, true);
  if (info === XLOG_TBLSPC_CREATE) {
    const end = record.bytes.indexOf(0, offset + HEADER);
    if (end < 0 || end >= offset + record.mainDataLength)
      throw new CorruptionError('a tablespace location without its end', { source: 'WAL', offset: record.lsn });
    putSmall(
      context.target,
      ObjectKind.tablespace,
      oid,
      0,
      0,
      record.endLsn,
      encodeTablespace(record.bytes.subarray(offset + HEADER, end)),
    );
  } else if (info === XLOG_TBLSPC_DROP) {
    putGone(context.target, ObjectKind.tablespace, oid, 0, 0, record.endLsn);
  } else {
    throw unknownRecord(record);
  }
}
