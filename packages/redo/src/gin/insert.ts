import { CorruptionError } from '@zenith/base';
import {
  INVALID_OFFSET_NUMBER,
  SIZE_OF_INDEX_TUPLE,
  itemPointerBlock,
  pageIndexTupleReplace,
  setItemPointer,
  type Page,
  type WalRecord,
} from '@zenith/pg-format';
import { itemAt, onlyIndexTupleIn, putItem } from '../index-page/items.ts';
import { blockData, blockDataLength, exactBlockData, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { GIN_DATA, GIN_LEAF, clearGinIncompleteSplit, existingGinPage } from './page.ts';
import { insertPostingItem } from './posting-tree.ts';
import { recompressLeaf } from './recompress.ts';

// ginxlogInsert: flags u16 @0, then, unless on a leaf, the block numbers of the left and the right half of the child whose split this completes, each
// as two u16, high half first, @2 and @6.  Block 0: the page; data by kind of page:
//   entry tree: ginxlogInsertEntry: offset u16 @0, isDelete u8 @2, the index tuple @4
//   posting tree, leaf: ginxlogRecompressDataLeaf, see recompress.ts
//   posting tree, inner page: ginxlogInsertDataInternal: offset u16 @0, the posting item @2; 12 bytes
// Block 1: the child's left half.  PG 15-18: ginxlog.h; redo: ginRedoInsert()
const GIN_INSERT_ISDATA = 0x01;
const GIN_INSERT_ISLEAF = 0x02;
const SIZE_OF_INSERT = 2;
const SIZE_OF_CHILDREN = 8;
const RIGHT_CHILD = 6;
const IS_DELETE = 2;
const ENTRY_TUPLE = 4;
const SIZE_OF_INSERT_DATA_INTERNAL = 12;
const PAGE = 0;
const CHILD = 1;

/** PG: ginRedoInsert(). */
export const redoGinInsert: RedoRoutine = (record, blockIndex, page) => {
  const flags = record.view.getUint16(mainData(record, SIZE_OF_INSERT), true);
  const leaf = (flags & GIN_INSERT_ISLEAF) !== 0;
  if (blockIndex === CHILD && !leaf) {
    clearGinIncompleteSplit(page);
    return true;
  }
  if (blockIndex !== PAGE) throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  const data = (flags & GIN_INSERT_ISDATA) !== 0;
  if (!data) insertEntry(record, page, leaf);
  else if (leaf) recompressLeaf(record, PAGE, page);
  else {
    const at = exactBlockData(record, PAGE, SIZE_OF_INSERT_DATA_INTERNAL);
    insertPostingItem(page, record, at + 2, record.view.getUint16(at, true), rightChild(record));
  }
  return true;
};

/** PG: ginRedoInsertEntry(). */
function insertEntry(record: WalRecord, page: Page, leaf: boolean): void {
  const at = blockData(record, PAGE, ENTRY_TUPLE + SIZE_OF_INDEX_TUPLE);
  const length = blockDataLength(record, PAGE) - ENTRY_TUPLE;
  const offsetNumber = record.view.getUint16(at, true);
  existingGinPage(page, GIN_DATA | GIN_LEAF, leaf ? GIN_LEAF : 0);
  if (!leaf) {
    const split = itemAt(page, offsetNumber, SIZE_OF_INDEX_TUPLE);
    setItemPointer(page.view, split, rightChild(record), INVALID_OFFSET_NUMBER);
  }
  const tuple = at + ENTRY_TUPLE;
  onlyIndexTupleIn(record.view, tuple, tuple + length);
  if (record.view.getUint8(at + IS_DELETE) === 0) {
    putItem(page, record.bytes, tuple, length, offsetNumber);
    return;
  }
  if (!leaf) throw new CorruptionError('an entry of an inner page is never replaced');
  if (!pageIndexTupleReplace(page, offsetNumber, record.bytes, tuple, length))
    throw new CorruptionError(`no room for an item of ${length} bytes in the place of item ${offsetNumber}`);
}

function rightChild(record: WalRecord): number {
  return itemPointerBlock(record.view, mainData(record, SIZE_OF_INSERT + SIZE_OF_CHILDREN) + RIGHT_CHILD);
}
