import { CorruptionError } from '@zenith/base';
import {
  BTM_ALLEQUALIMAGE,
  BTM_LAST_CLEANUP_NUM_HEAP_TUPLES,
  BTM_MAGIC,
  BTM_VERSION,
  BTP_META,
  BTREE_MAGIC,
  BT_META,
  P_NONE,
  SIZE_OF_BT_META_PAGE,
  setPageLower,
  type Page,
  type WalRecord,
} from '@zenith/pg-format';
import { blockData, blockDataLength } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { initBtreePage } from './page.ts';

// xl_btree_metadata: version u32 @0, root u32 @4, level u32 @8, fastroot u32 @12, fastlevel u32 @16, last_cleanup_num_delpages u32 @20,
// allequalimage u8 @24; 28 bytes. The six words lie on the meta page in the same order.  PG 15-18: nbtxlog.h
const SIZE_OF_METADATA = 28;
const ALL_EQUAL_IMAGE = 24;

/** Builds the meta page of an index from a record. PG: _bt_restore_meta(). @throws CorruptionError */
export function restoreMetaPage(record: WalRecord, blockIndex: number, page: Page): void {
  const data = blockData(record, blockIndex, SIZE_OF_METADATA);
  if (blockDataLength(record, blockIndex) !== SIZE_OF_METADATA)
    throw new CorruptionError(`meta data of ${blockDataLength(record, blockIndex)} bytes`);
  initBtreePage(page, P_NONE, P_NONE, 0, BTP_META);
  page.view.setUint32(BT_META + BTM_MAGIC, BTREE_MAGIC, true);
  for (let at = 0; at < ALL_EQUAL_IMAGE; at += 4)
    page.view.setUint32(BT_META + BTM_VERSION + at, record.view.getUint32(data + at, true), true);
  page.view.setFloat64(BT_META + BTM_LAST_CLEANUP_NUM_HEAP_TUPLES, -1, true);
  page.view.setUint8(BT_META + BTM_ALLEQUALIMAGE, record.view.getUint8(data + ALL_EQUAL_IMAGE));
  // Without this an image of the page would leave the meta data out as part of the hole.
  setPageLower(page, BT_META + SIZE_OF_BT_META_PAGE);
}

/** PG: btree_redo(), XLOG_BTREE_META_CLEANUP. */
export const redoBtreeMetaCleanup: RedoRoutine = (record, blockIndex, page) => {
  restoreMetaPage(record, blockIndex, page);
  return true;
};
