import { CorruptionError } from '@zenith/base';
import {
  copyBytes,
  setItemPointerBlock,
  setPageLower,
  setPagePruneXid,
  type Page,
  type WalRecord,
} from '@zenith/pg-format';
import { mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import {
  GIN_COMPRESSED,
  GIN_DATA,
  GIN_DELETED,
  GIN_LEAF,
  existingGinPage,
  ginFlags,
  ginMaxOff,
  initGinPage,
  setGinFlags,
  setGinMaxOff,
  setGinRightLink,
} from './page.ts';

// A page of a posting tree has, after the page header, the right bound, an item pointer padded to 8 bytes, @24, then @32 on a leaf posting list
// segments, on an inner page maxoff posting items of 10 bytes: child block number u32 as two u16, high half first @0, key ItemPointerData @4.
// pd_lower is where these end.  PG 15-18: ginblock.h

/** Where the segments or posting items of a posting tree's page begin. Unit: bytes into the page. PG: GinDataPageGetData(). */
export const POSTING_TREE_DATA = 32;
const SIZE_OF_POSTING_ITEM = 10;

// ginxlogCreatePostingTree: size u32 @0, then so many bytes of segments.  Block 0: the root.
// ginxlogDeletePage: parentOffset u16 @0, rightLink u32 @4, deleteXid u32 @8.  Block 0: the deleted page. Block 1: its parent. Block 2: its left
// sibling.  PG 15-18: ginxlog.h; redo: ginRedoCreatePTree(), ginRedoDeletePage()
const SIZE_OF_CREATE_PTREE = 4;
const SIZE_OF_DELETE_PAGE = 12;
const DELETED = 0;
const PARENT = 1;
const LEFT = 2;

/** PG: ginRedoCreatePTree(). */
export const redoGinCreatePostingTree: RedoRoutine = (record, blockIndex, page) => {
  if (blockIndex !== 0) throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  const main = mainData(record, SIZE_OF_CREATE_PTREE);
  const length = record.view.getUint32(main, true);
  const limit = initGinPage(page, GIN_DATA | GIN_LEAF | GIN_COMPRESSED);
  if (length !== record.mainDataLength - SIZE_OF_CREATE_PTREE || POSTING_TREE_DATA + length > limit)
    throw new CorruptionError(
      `posting lists of ${length} bytes in ${record.mainDataLength - SIZE_OF_CREATE_PTREE} bytes of data`,
    );
  copyBytes(record.bytes, main + SIZE_OF_CREATE_PTREE, page.bytes, POSTING_TREE_DATA, length);
  setPageLower(page, POSTING_TREE_DATA + length);
  return true;
};

/** PG: ginRedoDeletePage(). */
export const redoGinDeletePage: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_DELETE_PAGE);
  switch (blockIndex) {
    case DELETED: {
      const opaque = existingGinPage(page, GIN_DATA, GIN_DATA);
      setGinFlags(page, opaque, ginFlags(page, opaque) | GIN_DELETED);
      setPagePruneXid(page, record.view.getUint32(main + 8, true));
      return true;
    }
    case PARENT:
      deletePostingItem(page, record.view.getUint16(main, true));
      return true;
    case LEFT:
      setGinRightLink(page, existingGinPage(page, GIN_DATA, GIN_DATA), record.view.getUint32(main + 4, true));
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};

/**
 * Puts the posting item of 10 bytes at `at` in the record before number `offsetNumber` of an inner page; what was there gets `rightChild` as
 * its child: that page was split, the new item is for its left half. PG: ginRedoInsertData(), GinDataPageAddPostingItem(). @throws CorruptionError
 */
export function insertPostingItem(
  page: Page,
  record: WalRecord,
  at: number,
  offsetNumber: number,
  rightChild: number,
): void {
  const opaque = existingGinPage(page, GIN_DATA | GIN_LEAF, GIN_DATA);
  const count = postingItemCount(page, opaque, offsetNumber);
  const end = postingItem(count + 1);
  if (end + SIZE_OF_POSTING_ITEM > opaque) throw new CorruptionError(`no room for a posting item after ${count}`);
  const place = postingItem(offsetNumber);
  setItemPointerBlock(page.view, place, rightChild);
  page.bytes.copyWithin(place + SIZE_OF_POSTING_ITEM, place, end);
  copyBytes(record.bytes, at, page.bytes, place, SIZE_OF_POSTING_ITEM);
  setPostingItemCount(page, opaque, count + 1);
}

/** PG: GinPageDeletePostingItem(), gindatapage.c. */
function deletePostingItem(page: Page, offsetNumber: number): void {
  const opaque = existingGinPage(page, GIN_DATA | GIN_LEAF, GIN_DATA);
  const count = postingItemCount(page, opaque, offsetNumber);
  page.bytes.copyWithin(postingItem(offsetNumber), postingItem(offsetNumber + 1), postingItem(count + 1));
  setPostingItemCount(page, opaque, count - 1);
}

/** How many posting items an inner page has, of which `offsetNumber` is one. @throws CorruptionError when it is not, or they leave the page */
function postingItemCount(page: Page, opaque: number, offsetNumber: number): number {
  const count = ginMaxOff(page, opaque);
  if (offsetNumber < 1 || offsetNumber > count || postingItem(count + 1) > opaque)
    throw new CorruptionError(`posting item ${offsetNumber} of ${count}`);
  return count;
}

function setPostingItemCount(page: Page, opaque: number, count: number): void {
  setGinMaxOff(page, opaque, count);
  setPageLower(page, postingItem(count + 1));
}

/** Where posting item `offsetNumber`, from 1, begins. Unit: bytes into the page. */
function postingItem(offsetNumber: number): number {
  return POSTING_TREE_DATA + (offsetNumber - 1) * SIZE_OF_POSTING_ITEM;
}
