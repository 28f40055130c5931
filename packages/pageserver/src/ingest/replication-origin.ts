import { INVALID_LSN, readLsn, type Lsn } from '@zenith/base';
import { XLR_RMGR_INFO_MASK, type WalRecord } from '@zenith/pg-format';
import { ObjectKind } from '../key-space/object.ts';
import { encodeOriginValue, remoteLsnOfValue } from '../snapshot/origin-file.ts';
import { mainData, putGone, putSmall, unknownRecord, type IngestContext } from './context.ts';

const XLOG_REPLORIGIN_SET = 0x00;
const XLOG_REPLORIGIN_DROP = 0x10;

// xl_replorigin_set: remote_lsn u64 @0, node_id u16 @8, force u8 @10.  xl_replorigin_drop: node_id u16 @0.  PG 15-18: origin.h
const SET_SIZE = 11,
  DROP_SIZE = 2;

/** Not a real origin: its progress is not kept. PG: DoNotReplicateId, origin.h. */
const DO_NOT_REPLICATE = 0xffff;

/** Progress of replication origins that was set by hand, or dropped. PG: replorigin_redo(), origin.c. */
export function ingestReplicationOrigin(context: IngestContext, record: WalRecord): void {
  const info = record.info & XLR_RMGR_INFO_MASK;
  const { view } = record;
  if (info === XLOG_REPLORIGIN_SET) {
    const offset = mainData(record, SET_SIZE);
    advanceOrigin(
      context,
      view.getUint16(offset + 8, true),
      readLsn(view, offset),
      record.endLsn,
      view.getUint8(offset + 10) !== 0,
    );
  } else if (info === XLOG_REPLORIGIN_DROP) {
    putGone(
      context.target,
      ObjectKind.replicationOrigin,
      view.getUint16(mainData(record, DROP_SIZE), true),
      0,
      0,
      record.endLsn,
    );
  } else {
    throw unknownRecord(record);
  }
}

/** An origin's progress moves to `remote`; backward only when `force` says so. PG: replorigin_advance(), origin.c. */
export function advanceOrigin(context: IngestContext, origin: number, remote: Lsn, local: Lsn, force: boolean): void {
  if (origin === 0 || origin === DO_NOT_REPLICATE) return;
  const { target } = context;
  const known = target.readSmall(target.intern(ObjectKind.replicationOrigin, origin, 0, 0, 0), target.lastRecordLsn);
  const knownRemote = known === undefined || known.length === 0 ? INVALID_LSN : remoteLsnOfValue(known);
  putSmall(
    target,
    ObjectKind.replicationOrigin,
    origin,
    0,
    0,
    local,
    encodeOriginValue(force || knownRemote < remote ? remote : knownRemote, local),
  );
}
