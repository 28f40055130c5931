// ItemPointerData, 6 bytes: block number as two u16, high half first @0 and @2, offset number u16 @4.  PG 15-18: itemptr.h

/** Size of an ItemPointerData. Unit: bytes. */
export const SIZE_OF_ITEM_POINTER = 6;
/** Offset number in t_ctid that says the row moved to another partition; the block is InvalidBlockNumber. PG: itemptr.h. */
export const MOVED_PARTITIONS_OFFSET_NUMBER = 0xfffd;
/** Offset number in t_ctid that says its block part is a speculative insertion's token. PG: itemptr.h. */
export const SPEC_TOKEN_OFFSET_NUMBER = 0xfffe;
/** The block number that is none. PG: block.h. */
export const INVALID_BLOCK_NUMBER = 0xffffffff;

/** Block number of the item pointer at `offset`. PG: ItemPointerGetBlockNumberNoCheck(). */
export function itemPointerBlock(view: DataView, offset: number): number {
  return view.getUint16(offset, true) * 0x1_0000 + view.getUint16(offset + 2, true);
}

/** Offset number of the item pointer at `offset`. PG: ItemPointerGetOffsetNumberNoCheck(). */
export function itemPointerOffset(view: DataView, offset: number): number {
  return view.getUint16(offset + 4, true);
}

/** Sets the block number of the item pointer at `offset`. PG: ItemPointerSetBlockNumber(). */
export function setItemPointerBlock(view: DataView, offset: number, block: number): void {
  view.setUint16(offset, block >>> 16, true);
  view.setUint16(offset + 2, block & 0xffff, true);
}

/** Sets the item pointer at `offset`. PG: ItemPointerSet(). */
export function setItemPointer(view: DataView, offset: number, block: number, offsetNumber: number): void {
  setItemPointerBlock(view, offset, block);
  view.setUint16(offset + 4, offsetNumber, true);
}
