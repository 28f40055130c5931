import { CorruptionError } from '@zenith/base';
import { SIZE_OF_INDEX_TUPLE, copyBytes, type Page, type WalRecord } from '@zenith/pg-format';
import { onlyIndexTupleIn } from '../index-page/items.ts';
import { blockData, blockDataLength, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { restoreMetaPage } from './meta-page.ts';
import { clearIncompleteSplit, existingOpaque } from './page.ts';
import { tupleScratch } from './scratch.ts';
import { indexTupleAt, putIndexTuple, swapPosting } from './tuples.ts';

// xl_btree_insert: offnum u16 @0.  Block 0: the page, with the new tuple as data (insert-post: before it u16, where in the posting list of the
// tuple before it it falls). Block 1: the child whose split this completes (upper, meta). Block 2: the meta page (meta).
// PG 15-18: nbtxlog.h; redo: btree_xlog_insert() in nbtxlog.c
const SIZE_OF_BTREE_INSERT = 2;
const PAGE = 0;
const CHILD = 1;
const META = 2;

function insertTuple(record: WalRecord, page: Page): void {
  const offsetNumber = record.view.getUint16(mainData(record, SIZE_OF_BTREE_INSERT), true);
  existingOpaque(page);
  const data = blockData(record, PAGE, SIZE_OF_INDEX_TUPLE);
  const length = onlyIndexTupleIn(record.view, data, data + blockDataLength(record, PAGE));
  putIndexTuple(page, record.bytes, data, length, offsetNumber);
}

/** PG: btree_xlog_insert(true, false, false). */
export const redoBtreeInsertLeaf: RedoRoutine = (record, blockIndex, page) => {
  if (blockIndex !== PAGE) throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  insertTuple(record, page);
  return true;
};

/** PG: btree_xlog_insert(false, false, false). */
export const redoBtreeInsertUpper: RedoRoutine = (record, blockIndex, page) => {
  if (blockIndex !== CHILD) return redoBtreeInsertLeaf(record, blockIndex, page);
  clearIncompleteSplit(page);
  return true;
};

/** PG: btree_xlog_insert(false, true, false). */
export const redoBtreeInsertMeta: RedoRoutine = (record, blockIndex, page) => {
  if (blockIndex !== META) return redoBtreeInsertUpper(record, blockIndex, page);
  restoreMetaPage(record, META, page);
  return true;
};

/** PG: btree_xlog_insert(true, false, true). */
export const redoBtreeInsertPost: RedoRoutine = (record, blockIndex, page) => {
  if (blockIndex !== PAGE) throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  const offsetNumber = record.view.getUint16(mainData(record, SIZE_OF_BTREE_INSERT), true);
  const data = blockData(record, PAGE, 2 + SIZE_OF_INDEX_TUPLE);
  const length = onlyIndexTupleIn(record.view, data + 2, data + blockDataLength(record, PAGE));
  existingOpaque(page);
  const posting = indexTupleAt(page, offsetNumber - 1);
  copyBytes(record.bytes, data + 2, tupleScratch.bytes, 0, length);
  swapPosting(
    page.view,
    page.bytes,
    posting,
    record.view.getUint16(data, true),
    tupleScratch.view,
    tupleScratch.bytes,
    0,
  );
  putIndexTuple(page, tupleScratch.bytes, 0, length, offsetNumber);
  return true;
};
