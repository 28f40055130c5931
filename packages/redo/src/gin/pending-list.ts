import { CorruptionError } from '@zenith/base';
import { INVALID_BLOCK_NUMBER, type Page, type WalRecord } from '@zenith/pg-format';
import { appendIndexTuples } from '../index-page/items.ts';
import { blockData, blockDataLength, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { SIZE_OF_GIN_META, restoreGinMetaPage } from './meta-page.ts';
import {
  GIN_DELETED,
  GIN_LIST,
  GIN_LIST_FULLROW,
  existingGinPage,
  ginMaxOff,
  initGinPage,
  setGinMaxOff,
  setGinRightLink,
} from './page.ts';

// ginxlogUpdateMeta: locator three u32 @0, metadata @16, prevTail u32 @72, newRightlink u32 @76, ntuples i32 @80.  Block 0: the meta page. Block 1:
// the list's last page: with tuples, they are its data and one more row on it; without, it gets newRightlink.
// ginxlogInsertListPage: rightlink u32 @0, ntuples i32 @4.  Block 0: the new page, with the tuples as data.
// ginxlogDeleteListPages: metadata @0, ndeleted i32 @56.  Block 0: the meta page. Blocks 1 to ndeleted: the deleted pages.
// PG 15-18: ginxlog.h; redo: ginRedoUpdateMetapage(), ginRedoInsertListPage(), ginRedoDeleteListPages()
const UPDATE_METADATA = 16;
const PREV_TAIL = UPDATE_METADATA + SIZE_OF_GIN_META;
const NEW_RIGHTLINK = PREV_TAIL + 4;
const UPDATE_NTUPLES = PREV_TAIL + 8;
const SIZE_OF_UPDATE_META = PREV_TAIL + 12;
const SIZE_OF_INSERT_LIST_PAGE = 8;
const SIZE_OF_DELETE_LIST_PAGES = SIZE_OF_GIN_META + 4;
const META = 0;
const TAIL = 1;

/** PG: ginRedoUpdateMetapage(). */
export const redoGinUpdateMetaPage: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_UPDATE_META);
  if (blockIndex === META) {
    restoreGinMetaPage(record, main + UPDATE_METADATA, page);
    return true;
  }
  const count = record.view.getInt32(main + UPDATE_NTUPLES, true);
  if (blockIndex !== TAIL || (count <= 0 && record.view.getUint32(main + PREV_TAIL, true) === INVALID_BLOCK_NUMBER))
    throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  const opaque = existingGinPage(page, GIN_LIST, GIN_LIST);
  if (count > 0) {
    appendTuples(record, TAIL, page, count);
    setGinMaxOff(page, opaque, ginMaxOff(page, opaque) + 1);
  } else {
    setGinRightLink(page, opaque, record.view.getUint32(main + NEW_RIGHTLINK, true));
  }
  return true;
};

/** PG: ginRedoInsertListPage(): the page is always built from nothing. */
export const redoGinInsertListPage: RedoRoutine = (record, blockIndex, page) => {
  if (blockIndex !== 0) throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  const main = mainData(record, SIZE_OF_INSERT_LIST_PAGE);
  const rightLink = record.view.getUint32(main, true);
  // The last page of those that one row needed: the row ends there.
  const last = rightLink === INVALID_BLOCK_NUMBER;
  const opaque = initGinPage(page, last ? GIN_LIST | GIN_LIST_FULLROW : GIN_LIST);
  setGinRightLink(page, opaque, rightLink);
  setGinMaxOff(page, opaque, last ? 1 : 0);
  appendTuples(record, blockIndex, page, record.view.getInt32(main + 4, true));
  return true;
};

/** PG: ginRedoDeleteListPages(): nobody reads the deleted pages any more, so that they keep nothing. */
export const redoGinDeleteListPages: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_DELETE_LIST_PAGES);
  const deleted = record.view.getInt32(main + SIZE_OF_GIN_META, true);
  if (blockIndex === META) restoreGinMetaPage(record, main, page);
  else if (blockIndex <= deleted) initGinPage(page, GIN_DELETED);
  else throw new CorruptionError(`block ${blockIndex} of ${deleted} deleted pages`);
  return true;
};

/** Puts the `count` index tuples that are a block's data after those that its page has. @throws CorruptionError when they are not so many */
function appendTuples(record: WalRecord, blockIndex: number, page: Page, count: number): void {
  const at = blockData(record, blockIndex, 0);
  const appended = appendIndexTuples(page, record.view, record.bytes, at, at + blockDataLength(record, blockIndex));
  if (appended !== count) throw new CorruptionError(`${appended} index tuples, expected ${count}`);
}
