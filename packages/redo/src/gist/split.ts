import { CorruptionError } from '@zenith/base';
import type { Page, WalRecord } from '@zenith/pg-format';
import { appendIndexTuples } from '../index-page/items.ts';
import { blockData, blockDataLength, blockNumber, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { clearFollowRight } from './follow-right.ts';
import {
  F_FOLLOW_RIGHT,
  F_LEAF,
  GIST_ROOT_BLKNO,
  changeGistFlags,
  initGistPage,
  setGistNsn,
  setGistRightLink,
} from './page.ts';

// gistxlogPageSplit, 24 bytes: origrlink u32 @0, orignsn u64 @8, origleaf u8 @16, npage u16 @18, markfollowright u8 @20.
// Block 0: the left half of a split below, when this inserts the right half's downlink. Blocks 1 to npage: the pages from left to right, the first of them
// the one that was split; when that is the root, the first becomes the root of the others. Data of each: number of tuples i32, then the tuples.
// PG 15-18: gistxlog.h; redo: gistRedoPageSplitRecord() in gistxlog.c
const SIZE_OF_PAGE_SPLIT = 24;
const ORIG_NSN = 8;
const ORIG_LEAF = 16;
const NPAGE = 18;
const MARK_FOLLOW_RIGHT = 20;
const SIZE_OF_COUNT = 4;
const LEFT_CHILD = 0;
const FIRST_PAGE = 1;

/** PG: gistRedoPageSplitRecord(). */
export const redoGistPageSplit: RedoRoutine = (record, blockIndex, page) => {
  if (blockIndex === LEFT_CHILD) clearFollowRight(record, page);
  else buildPage(record, blockIndex, page);
  return true;
};

/** What {@link redoGistPageSplit} does to a block whose image was restored. */
export const redoGistPageSplitOnImage: RedoRoutine = (record, blockIndex, page) => {
  if (blockIndex !== LEFT_CHILD) return false;
  clearFollowRight(record, page);
  return true;
};

function buildPage(record: WalRecord, blockIndex: number, page: Page): void {
  const { view } = record;
  const main = mainData(record, SIZE_OF_PAGE_SPLIT);
  const pageCount = view.getUint16(main + NPAGE, true);
  if (blockIndex > pageCount) throw new CorruptionError(`block ${blockIndex} of a split into ${pageCount} pages`);
  const isRoot = blockNumber(record, blockIndex) === GIST_ROOT_BLKNO;
  if (isRoot && blockIndex !== FIRST_PAGE) throw new CorruptionError('the root is not the first page of a split');
  const splitsRoot = blockNumber(record, FIRST_PAGE) === GIST_ROOT_BLKNO;
  const isLast = blockIndex === pageCount;

  const opaque = initGistPage(page, view.getUint8(main + ORIG_LEAF) !== 0 && !isRoot ? F_LEAF : 0);
  const data = blockData(record, blockIndex, SIZE_OF_COUNT);
  const end = data + blockDataLength(record, blockIndex);
  const found = appendIndexTuples(page, view, record.bytes, data + SIZE_OF_COUNT, end);
  if (found !== view.getInt32(data, true))
    throw new CorruptionError(`${found} tuples, ${view.getInt32(data, true)} announced`);

  // The root has no sibling, as it was initialised.
  if (!isRoot)
    setGistRightLink(page, opaque, isLast ? view.getUint32(main, true) : blockNumber(record, blockIndex + 1));
  setGistNsn(page, opaque, view.getUint32(main + ORIG_NSN + 4, true), view.getUint32(main + ORIG_NSN, true));
  if (!isLast && !splitsRoot && view.getUint8(main + MARK_FOLLOW_RIGHT) !== 0)
    changeGistFlags(page, opaque, F_FOLLOW_RIGHT, 0);
}
