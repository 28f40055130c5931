import { CorruptionError } from '@zenith/base';
import { BTP_LEAF, BTP_ROOT, P_NONE } from '@zenith/pg-format';
import { mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { restoreMetaPage } from './meta-page.ts';
import { clearIncompleteSplit, initBtreePage } from './page.ts';
import { restoreBtreePage } from './restore-page.ts';

// xl_btree_newroot: rootblk u32 @0, level u32 @4.  Block 0: the new root, its tuples as data unless it is a leaf. Block 1: the left child, when an
// old root was split. Block 2: the meta page.  PG 15-18: nbtxlog.h; redo: btree_xlog_newroot() in nbtxlog.c
const SIZE_OF_BTREE_NEWROOT = 8;
const ROOT = 0;
const LEFT_CHILD = 1;
const META = 2;

/** PG: btree_xlog_newroot(). */
export const redoBtreeNewRoot: RedoRoutine = (record, blockIndex, page) => {
  const level = record.view.getUint32(mainData(record, SIZE_OF_BTREE_NEWROOT) + 4, true);
  switch (blockIndex) {
    case ROOT:
      initBtreePage(page, P_NONE, P_NONE, level, level === 0 ? BTP_ROOT | BTP_LEAF : BTP_ROOT);
      if (level > 0) restoreBtreePage(record, ROOT, page);
      return true;
    case LEFT_CHILD:
      clearIncompleteSplit(page);
      return true;
    case META:
      restoreMetaPage(record, META, page);
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};
