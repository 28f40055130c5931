import { SIZE_OF_ITEM_POINTER, itemPointerBlock, itemPointerOffset, setItemPointer } from '../page/item-pointer.ts';

// IndexTupleData, 8 bytes: t_tid 6 bytes @0, t_info u16 @6 (bits 0-12 length of the whole tuple, 13 for the access method, 14 variable width,
// 15 nulls). PG 15-18: itup.h
// In a btree bit 13 (INDEX_ALT_TID_MASK) says that t_tid is not a heap pointer: its offset number then is a count in bits 0-11 (key columns, or
// heap pointers of a posting list) and status in bits 12-15; its block number is a downlink or where the posting list begins.  PG 15-18: nbtree.h
const T_INFO = 6;

/** Size of the fixed part of an index tuple. Unit: bytes. PG: sizeof(IndexTupleData). */
export const SIZE_OF_INDEX_TUPLE = 8;
/** t_info bits: length of the tuple. PG: itup.h. */
export const INDEX_SIZE_MASK = 0x1fff;
/** t_info bit: t_tid has another meaning. PG: nbtree.h. */
export const INDEX_ALT_TID_MASK = 0x2000;
/** t_info bit: variable-width attributes. PG: itup.h. */
export const INDEX_VAR_MASK = 0x4000;
/** t_info bit: nulls. PG: itup.h. */
export const INDEX_NULL_MASK = 0x8000;
/** t_tid offset number bits: a count. PG: nbtree.h. */
export const BT_OFFSET_MASK = 0x0fff;
/** t_tid offset number bits: status. PG: nbtree.h. */
export const BT_STATUS_OFFSET_MASK = 0xf000;
/** t_tid status bit: a pivot tuple ends with a heap pointer. PG: nbtree.h. */
export const BT_PIVOT_HEAP_TID_ATTR = 0x1000;
/** t_tid status bit: a posting list tuple. PG: nbtree.h. */
export const BT_IS_POSTING = 0x2000;

/** t_info of the index tuple at `offset`. */
export function indexTupleInfo(view: DataView, offset: number): number {
  return view.getUint16(offset + T_INFO, true);
}

/** Sets t_info. */
export function setIndexTupleInfo(view: DataView, offset: number, info: number): void {
  view.setUint16(offset + T_INFO, info, true);
}

/** Length of the index tuple at `offset`. Unit: bytes. PG: IndexTupleSize(). */
export function indexTupleLength(view: DataView, offset: number): number {
  return indexTupleInfo(view, offset) & INDEX_SIZE_MASK;
}

/** True for a tuple with a posting list. PG: BTreeTupleIsPosting(). */
export function indexTupleIsPosting(view: DataView, offset: number): boolean {
  return (
    (indexTupleInfo(view, offset) & INDEX_ALT_TID_MASK) !== 0 && (itemPointerOffset(view, offset) & BT_IS_POSTING) !== 0
  );
}

/** True for a pivot tuple of a version 4 index. PG: BTreeTupleIsPivot(). */
export function indexTupleIsPivot(view: DataView, offset: number): boolean {
  return (
    (indexTupleInfo(view, offset) & INDEX_ALT_TID_MASK) !== 0 && (itemPointerOffset(view, offset) & BT_IS_POSTING) === 0
  );
}

/** Number of heap pointers of a posting list tuple. PG: BTreeTupleGetNPosting(). */
export function postingCount(view: DataView, offset: number): number {
  return itemPointerOffset(view, offset) & BT_OFFSET_MASK;
}

/** Where the posting list begins, counted from the tuple. Unit: bytes. PG: BTreeTupleGetPostingOffset(). */
export function postingListOffset(view: DataView, offset: number): number {
  return itemPointerBlock(view, offset);
}

/** Length of a posting list. Unit: bytes. */
export function postingListLength(count: number): number {
  return count * SIZE_OF_ITEM_POINTER;
}

/** Makes the tuple a posting list tuple; the list itself is not touched. PG: BTreeTupleSetPosting(). */
export function setPosting(view: DataView, offset: number, count: number, listOffset: number): void {
  setIndexTupleInfo(view, offset, indexTupleInfo(view, offset) | INDEX_ALT_TID_MASK);
  setItemPointer(view, offset, listOffset, count | BT_IS_POSTING);
}

/** Downlink of a pivot tuple. PG: BTreeTupleGetDownLink(). */
export function indexTupleDownLink(view: DataView, offset: number): number {
  return itemPointerBlock(view, offset);
}

/** Sets the number of key columns of a pivot tuple. PG: BTreeTupleSetNAtts(). */
export function setIndexTupleKeyCount(view: DataView, offset: number, keyCount: number, heapTid: boolean): void {
  setIndexTupleInfo(view, offset, indexTupleInfo(view, offset) | INDEX_ALT_TID_MASK);
  view.setUint16(offset + 4, keyCount | (heapTid ? BT_PIVOT_HEAP_TID_ATTR : 0), true);
}

/** Turns a leaf high key into the pointer to the top of a subtree to be deleted. PG: BTreeTupleSetTopParent(). */
export function setIndexTupleTopParent(view: DataView, offset: number, block: number): void {
  setItemPointer(view, offset, block, 0);
  setIndexTupleKeyCount(view, offset, 0, false);
}
