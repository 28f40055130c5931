import { RM_MIN_CUSTOM_ID, type PgMajor, type WalRecord } from '@zenith/pg-format';
import { recordType } from '../rmgr/resource-manager.ts';
import { resourceManagersOf } from '../versions/resource-managers.ts';

/** `HEAP/INSERT`, `HEAP/INSERT+INIT`; `BTREE/0xf0` for an unknown kind, `custom resource manager 128/0x00` for an unknown resource manager. */
export function recordName(major: PgMajor, record: WalRecord): string {
  const rmgr = resourceManagersOf(major)[record.rmid];
  const code = `0x${(record.info & 0xf0).toString(16).padStart(2, '0')}`;
  if (rmgr === undefined)
    return `${record.rmid >= RM_MIN_CUSTOM_ID ? 'custom' : 'unknown'} resource manager ${record.rmid}/${code}`;
  const type = recordType(rmgr, record);
  if (type === undefined) return `${rmgr.name}/${code}`;
  return `${rmgr.name}/${type.name}${(record.info & rmgr.initBit) === 0 ? '' : '+INIT'}`;
}

/** One line on a record for logs and errors, `HEAP/INSERT off 3 flags 0x08`. Never fails, whatever the record holds. */
export function describeRecord(major: PgMajor, record: WalRecord): string {
  const name = recordName(major, record);
  const rmgr = resourceManagersOf(major)[record.rmid];
  const detail = rmgr === undefined ? undefined : recordType(rmgr, record)?.detail;
  if (detail === undefined) return name;
  try {
    return `${name} ${detail(record)}`;
  } catch {
    return `${name} (main data of ${record.mainDataLength} bytes, too short)`;
  }
}

/** One line on a block that a record refers to, `block 0: relation 1663/5/16384 fork 0 block 7`. */
export function describeBlock(record: WalRecord, blockIndex: number): string {
  const block = record.blocks[blockIndex];
  if (block === undefined || blockIndex >= record.blockCount || !block.inUse)
    return `block ${blockIndex}: not in the record`;
  return `block ${blockIndex}: relation ${block.spc}/${block.db}/${block.rel} fork ${block.fork} block ${block.block}`;
}
