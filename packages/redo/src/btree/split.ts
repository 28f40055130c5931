import { CorruptionError } from '@zenith/base';
import {
  BLCKSZ,
  BTP_INCOMPLETE_SPLIT,
  BTP_LEAF,
  P_HIKEY,
  P_NONE,
  SIZE_OF_INDEX_TUPLE,
  btreeFirstDataKey,
  btreeLevel,
  btreePrev,
  copyBytes,
  indexTupleLength,
  lpLength,
  lpOffset,
  maxAlign,
  setBtreePrev,
  type Page,
  type WalRecord,
} from '@zenith/pg-format';
import { blockData, blockDataLength, blockNumber, hasBlock, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { clearIncompleteSplit, existingOpaque, initBtreePage } from './page.ts';
import { restoreBtreePage } from './restore-page.ts';
import { originalPage, tupleScratch } from './scratch.ts';
import { indexLinePointer, indexTupleAt, putIndexTuple, swapPosting } from './tuples.ts';

// xl_btree_split: level u32 @0, firstrightoff u16 @4, newitemoff u16 @6, postingoff u16 @8.  Block 0: the page that is split, its left half remains;
// data: the new tuple, if it goes left (SPLIT_L) or splits a posting list (postingoff), then the left page's high key. Block 1: the new right
// page, its tuples as data. Block 2: the page right of both, if any. Block 3: the child whose split this completes, unless a leaf is split.
// PG 15-18: nbtxlog.h; redo: btree_xlog_split() in nbtxlog.c
const SIZE_OF_BTREE_SPLIT = 10;
const LEFT = 0;
const RIGHT = 1;
const RIGHT_SIBLING = 2;
const CHILD = 3;

/** PG: btree_xlog_split(true). */
export const redoBtreeSplitLeft: RedoRoutine = (record, blockIndex, page) => redoSplit(record, blockIndex, page, true);

/** PG: btree_xlog_split(false). */
export const redoBtreeSplitRight: RedoRoutine = (record, blockIndex, page) =>
  redoSplit(record, blockIndex, page, false);

function redoSplit(record: WalRecord, blockIndex: number, page: Page, newItemOnLeft: boolean): boolean {
  const main = mainData(record, SIZE_OF_BTREE_SPLIT);
  const level = record.view.getUint32(main, true);
  switch (blockIndex) {
    case LEFT:
      rebuildLeftPage(record, main, page, newItemOnLeft);
      return true;
    case RIGHT:
      initBtreePage(
        page,
        blockNumber(record, LEFT),
        hasBlock(record, RIGHT_SIBLING) ? blockNumber(record, RIGHT_SIBLING) : P_NONE,
        level,
        level === 0 ? BTP_LEAF : 0,
      );
      restoreBtreePage(record, RIGHT, page);
      return true;
    case RIGHT_SIBLING:
      setBtreePrev(page, existingOpaque(page), blockNumber(record, RIGHT));
      return true;
    case CHILD:
      clearIncompleteSplit(page);
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
}

/**
 * The left page is rebuilt from its old self in item order, as the server does, so that tuples lie where the server has them. A posting
 * list that the new tuple splits is split in the copy of the old page first, so that it is copied like any other tuple.
 */
function rebuildLeftPage(record: WalRecord, main: number, page: Page, newItemOnLeft: boolean): void {
  const { view } = record;
  const firstRight = view.getUint16(main + 4, true);
  const newItemOffset = view.getUint16(main + 6, true);
  const postingOffset = view.getUint16(main + 8, true);
  let at = blockData(record, LEFT, SIZE_OF_INDEX_TUPLE);
  const end = at + blockDataLength(record, LEFT);
  const opaque = existingOpaque(page);
  const leaf = view.getUint32(main, true) === 0;
  const prev = btreePrev(page, opaque);
  const level = btreeLevel(page, opaque);
  const first = btreeFirstDataKey(page, opaque);
  originalPage.bytes.set(page.bytes);

  let newLength = 0;
  if (newItemOnLeft || postingOffset !== 0) {
    newLength = tupleInData(view, at, end);
    copyBytes(record.bytes, at, tupleScratch.bytes, 0, newLength);
    at += newLength;
    if (postingOffset !== 0) {
      const posting = indexTupleAt(originalPage, newItemOffset - 1);
      swapPosting(
        originalPage.view,
        originalPage.bytes,
        posting,
        postingOffset,
        tupleScratch.view,
        tupleScratch.bytes,
        0,
      );
    }
  }
  const highKeyLength = tupleInData(view, at, end);
  if (at + highKeyLength !== end)
    throw new CorruptionError(`${end - at - highKeyLength} bytes left after the left page's high key`);

  initBtreePage(
    page,
    prev,
    blockNumber(record, RIGHT),
    level,
    leaf ? BTP_INCOMPLETE_SPLIT | BTP_LEAF : BTP_INCOMPLETE_SPLIT,
  );
  putIndexTuple(page, record.bytes, at, highKeyLength, P_HIKEY);
  let to = P_HIKEY + 1;
  let placed = !newItemOnLeft;
  for (let from = first; from < firstRight; from++) {
    if (!placed && from === newItemOffset) {
      putIndexTuple(page, tupleScratch.bytes, 0, newLength, to++);
      placed = true;
    }
    const pointer = indexLinePointer(originalPage, from);
    putIndexTuple(page, originalPage.bytes, lpOffset(pointer), lpLength(pointer), to++);
  }
  if (placed) return;
  if (newItemOffset !== firstRight)
    throw new CorruptionError(
      `new tuple at offset number ${newItemOffset} of a left page whose tuples are ${first} to ${firstRight - 1}`,
    );
  putIndexTuple(page, tupleScratch.bytes, 0, newLength, to);
}

/** Aligned length of the index tuple at `at` in a block's data. @throws CorruptionError when it leaves them */
function tupleInData(view: DataView, at: number, end: number): number {
  const length = at + SIZE_OF_INDEX_TUPLE > end ? 0 : maxAlign(indexTupleLength(view, at));
  if (length < SIZE_OF_INDEX_TUPLE || at + length > end || length > BLCKSZ)
    throw new CorruptionError(`an index tuple of ${length} bytes, ${end - at} bytes left`);
  return length;
}
