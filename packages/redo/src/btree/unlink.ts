import { CorruptionError } from '@zenith/base';
import {
  BTP_DELETED,
  BTP_HALF_DEAD,
  BTP_HAS_FULLXID,
  BTP_LEAF,
  P_HIKEY,
  P_NONE,
  SIZE_OF_INDEX_TUPLE,
  SIZE_OF_PAGE_HEADER,
  addItemSpace,
  indexTupleDownLink,
  pageIndexTupleDelete,
  pageUpper,
  setBtreeNext,
  setBtreePrev,
  setIndexTupleInfo,
  setIndexTupleTopParent,
  setItemPointerBlock,
  setPageLower,
  type Page,
  type WalRecord,
} from '@zenith/pg-format';
import { mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { restoreMetaPage } from './meta-page.ts';
import { existingOpaque, initBtreePage } from './page.ts';
import { indexTupleAt } from './tuples.ts';

// xl_btree_mark_page_halfdead: poffset u16 @0, leafblk u32 @4, leftblk u32 @8, rightblk u32 @12, topparent u32 @16.  Block 0: the leaf. Block 1: the
// parent whose tuple poffset is its downlink.
// xl_btree_unlink_page: leftsib u32 @0, rightsib u32 @4, level u32 @8, safexid u64 @16, leafleftsib u32 @24, leafrightsib u32 @28,
// leaftopparent u32 @32; 36 bytes.  Block 0: the page. Block 1: its left sibling, if any. Block 2: its right sibling. Block 3: the leaf of its
// subtree, when it is another page. Block 4: the meta page (unlink-page-meta).
// PG 15-18: nbtxlog.h; redo: btree_xlog_mark_page_halfdead(), btree_xlog_unlink_page() in nbtxlog.c
const SIZE_OF_BTREE_MARK_PAGE_HALFDEAD = 20;
const SIZE_OF_BTREE_UNLINK_PAGE = 36;

// BTDeletedPageData behind the page header: safexid u64.  PG 15-18: nbtree.h
const SIZE_OF_DELETED_PAGE_DATA = 8;

const LEAF = 0;
const PARENT = 1;

/** PG: btree_xlog_mark_page_halfdead(). */
export const redoBtreeMarkPageHalfDead: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_BTREE_MARK_PAGE_HALFDEAD);
  const { view } = record;
  if (blockIndex === LEAF) {
    initHalfDeadLeaf(
      page,
      view.getUint32(main + 8, true),
      view.getUint32(main + 12, true),
      view.getUint32(main + 16, true),
    );
    return true;
  }
  if (blockIndex !== PARENT) throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  removeDownLink(page, view.getUint16(main, true));
  return true;
};

/** The parent's tuple takes over the downlink of the next, which goes: so the next one's key range grows to the left. */
function removeDownLink(page: Page, offsetNumber: number): void {
  existingOpaque(page);
  const rightSibling = indexTupleDownLink(page.view, indexTupleAt(page, offsetNumber + 1));
  const tuple = indexTupleAt(page, offsetNumber);
  setItemPointerBlock(page.view, tuple, rightSibling);
  pageIndexTupleDelete(page, offsetNumber + 1);
}

/** An empty leaf on its way out: all it has is a high key that points to the top of the subtree that goes with it. */
function initHalfDeadLeaf(page: Page, left: number, right: number, topParent: number): void {
  initBtreePage(page, left, right, 0, BTP_HALF_DEAD | BTP_LEAF);
  if (addItemSpace(page, SIZE_OF_INDEX_TUPLE, P_HIKEY) !== P_HIKEY)
    throw new CorruptionError('no room for the high key of an empty page');
  const tuple = pageUpper(page);
  setIndexTupleInfo(page.view, tuple, SIZE_OF_INDEX_TUPLE);
  setIndexTupleTopParent(page.view, tuple, topParent);
}

const TARGET = 0;
const LEFT_SIBLING = 1;
const RIGHT_SIBLING = 2;
const SUBTREE_LEAF = 3;
const META = 4;

/** PG: btree_xlog_unlink_page(). */
export const redoBtreeUnlinkPage: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_BTREE_UNLINK_PAGE);
  const { view } = record;
  const left = view.getUint32(main, true);
  const right = view.getUint32(main + 4, true);
  switch (blockIndex) {
    case TARGET:
      initDeletedPage(record, main, page, left, right);
      return true;
    case LEFT_SIBLING:
      if (left === P_NONE) throw new CorruptionError('a left sibling where there is none');
      setBtreeNext(page, existingOpaque(page), right);
      return true;
    case RIGHT_SIBLING:
      setBtreePrev(page, existingOpaque(page), left);
      return true;
    case SUBTREE_LEAF:
      initHalfDeadLeaf(
        page,
        view.getUint32(main + 24, true),
        view.getUint32(main + 28, true),
        view.getUint32(main + 32, true),
      );
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};

/** PG: btree_xlog_unlink_page() with its meta page. */
export const redoBtreeUnlinkPageMeta: RedoRoutine = (record, blockIndex, page) => {
  if (blockIndex !== META) return redoBtreeUnlinkPage(record, blockIndex, page);
  restoreMetaPage(record, META, page);
  return true;
};

/** A deleted page keeps its links and the xid after which nobody can still be on its way to it. PG: BTPageSetDeleted(). */
function initDeletedPage(record: WalRecord, main: number, page: Page, left: number, right: number): void {
  const level = record.view.getUint32(main + 8, true);
  const flags = BTP_DELETED | BTP_HAS_FULLXID;
  initBtreePage(page, left, right, level, level === 0 ? flags | BTP_LEAF : flags);
  page.view.setUint32(SIZE_OF_PAGE_HEADER, record.view.getUint32(main + 16, true), true);
  page.view.setUint32(SIZE_OF_PAGE_HEADER + 4, record.view.getUint32(main + 20, true), true);
  setPageLower(page, SIZE_OF_PAGE_HEADER + SIZE_OF_DELETED_PAGE_DATA);
}
