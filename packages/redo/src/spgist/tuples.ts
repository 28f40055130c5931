import { CorruptionError } from '@zenith/base';
import {
  SIZE_OF_INDEX_TUPLE,
  addItem,
  indexTupleLength,
  linePointer,
  lpLength,
  pageIndexTupleDelete,
  pageMaxOffset,
  setItemPointer,
  type Page,
} from '@zenith/pg-format';
import { itemAt, putItem } from '../index-page/items.ts';
import { countPlaceholders } from './page.ts';

// Every tuple begins with a u32 whose bits 0-1 are its state.
// SpGistInnerTupleData, 8 bytes: state bits 0-1, allTheSame bit 2, nNodes bits 3-15, prefixSize bits 16-31 u32 @0, size u16 @4; then the prefix, then the
// nodes, which are index tuples (t_tid is the downlink).
// SpGistLeafTupleData, 12 bytes: state bits 0-1, size bits 2-31 u32 @0, t_info u16 @4 (bits 0-13 offset number of the next in its chain), heapPtr @6.
// SpGistDeadTupleData, 16 bytes: the same, pointer @6 (a redirection's target), xid u32 @12 (the one that made it).
// Sizes are multiples of 8, and none is below that of a dead tuple, so that each tuple can become one.  PG 15-18: spgist_private.h
const STATE_MASK = 0x3;
const NODES_SHIFT = 3;
const NODES_MASK = 0x1fff;
const PREFIX_SHIFT = 16;
const INNER_SIZE = 4;
const SIZE_OF_INNER_TUPLE = 8;
const LEAF_SIZE_SHIFT = 2;
const T_INFO = 4;
const NEXT_OFFSET_MASK = 0x3fff;

/** Size of a dead tuple, the least that any tuple of a leaf has. Unit: bytes. PG: SGDTSIZE. */
export const SIZE_OF_DEAD_TUPLE = 16;
/** Tuple state: in use. PG: spgist_private.h. */
export const SPGIST_LIVE = 0;
/** Tuple state: leads to where the tuple went. PG: spgist_private.h. */
export const SPGIST_REDIRECT = 1;
/** Tuple state: an empty chain that something still points to. PG: spgist_private.h. */
export const SPGIST_DEAD = 2;
/** Tuple state: nothing, but the other tuples must keep their offset numbers. PG: spgist_private.h. */
export const SPGIST_PLACEHOLDER = 3;

/** State of the tuple at `tuple`. */
export function tupleState(view: DataView, tuple: number): number {
  return view.getUint32(tuple, true) & STATE_MASK;
}

/** Sets the state of the tuple at `tuple`. */
export function setTupleState(view: DataView, tuple: number, state: number): void {
  view.setUint32(tuple, ((view.getUint32(tuple, true) & ~STATE_MASK) | state) >>> 0, true);
}

/** Length of the leaf tuple at `at` in a record. @throws CorruptionError when it is none or leaves the range `[at, end)` */
export function leafTupleIn(view: DataView, at: number, end: number): number {
  const length = at + SIZE_OF_DEAD_TUPLE > end ? 0 : view.getUint32(at, true) >>> LEAF_SIZE_SHIFT;
  if (length < SIZE_OF_DEAD_TUPLE || (length & 7) !== 0 || length > end - at)
    throw new CorruptionError(`a leaf tuple of ${length} bytes, ${end - at} bytes left`);
  return length;
}

/** Length of the inner tuple at `at` in a record. @throws CorruptionError when it is none or leaves the range `[at, end)` */
export function innerTupleIn(view: DataView, at: number, end: number): number {
  const length = at + SIZE_OF_INNER_TUPLE > end ? 0 : view.getUint16(at + INNER_SIZE, true);
  if (length < SIZE_OF_DEAD_TUPLE || (length & 7) !== 0 || length > end - at)
    throw new CorruptionError(`an inner tuple of ${length} bytes, ${end - at} bytes left`);
  return length;
}

/** Sets which tuple follows the leaf tuple `offsetNumber` in its chain. @throws CorruptionError when it is not on the page */
export function setNextOffset(page: Page, offsetNumber: number, next: number): void {
  const at = itemAt(page, offsetNumber, SIZE_OF_DEAD_TUPLE) + T_INFO;
  page.view.setUint16(at, (page.view.getUint16(at, true) & ~NEXT_OFFSET_MASK) | (next & NEXT_OFFSET_MASK), true);
}

/** Sets the downlink of a node of the inner tuple `offsetNumber`. PG: spgUpdateNodeLink(). @throws CorruptionError when there is no such node */
export function updateNodeLink(page: Page, offsetNumber: number, node: number, block: number, target: number): void {
  const { view } = page;
  const tuple = itemAt(page, offsetNumber, SIZE_OF_INNER_TUPLE);
  const end = tuple + lpLength(linePointer(page, offsetNumber));
  const header = view.getUint32(tuple, true);
  const nodeCount = (header >>> NODES_SHIFT) & NODES_MASK;
  let at = tuple + SIZE_OF_INNER_TUPLE + (header >>> PREFIX_SHIFT);
  if (node >= nodeCount) throw new CorruptionError(`node ${node} of an inner tuple of ${nodeCount}`);
  for (let i = 0; ; i++) {
    const length = at + SIZE_OF_INDEX_TUPLE > end ? 0 : indexTupleLength(view, at);
    if (length < SIZE_OF_INDEX_TUPLE || at + length > end)
      throw new CorruptionError(`node ${i} of the inner tuple ${offsetNumber} leaves it`);
    if (i === node) break;
    at += length;
  }
  setItemPointer(view, at, block, target);
}

/**
 * Puts a tuple where the server's SpGistPageAddNewItem() did: in the place of a placeholder, or behind all others.
 * PG: addOrReplaceTuple(), spgxlog.c.
 * @throws CorruptionError when another tuple is there or there is no room
 */
export function addOrReplaceTuple(
  page: Page,
  opaque: number,
  bytes: Uint8Array,
  offset: number,
  length: number,
  offsetNumber: number,
): void {
  if (offsetNumber !== 0 && offsetNumber <= pageMaxOffset(page)) {
    if (tupleState(page.view, itemAt(page, offsetNumber, SIZE_OF_DEAD_TUPLE)) !== SPGIST_PLACEHOLDER)
      throw new CorruptionError(`tuple ${offsetNumber} is not a placeholder`);
    countPlaceholders(page, opaque, -1);
    pageIndexTupleDelete(page, offsetNumber);
  }
  putItem(page, bytes, offset, length, offsetNumber);
}

/** Puts a tuple in the place of another. @throws CorruptionError when there is none or there is no room */
export function replaceTuple(
  page: Page,
  bytes: Uint8Array,
  offset: number,
  length: number,
  offsetNumber: number,
): void {
  pageIndexTupleDelete(page, offsetNumber);
  if (addItem(page, bytes, offset, length, offsetNumber) !== offsetNumber)
    throw new CorruptionError(`a tuple of ${length} bytes does not fit in the place of tuple ${offsetNumber}`);
}
