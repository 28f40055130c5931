import { CorruptionError } from '@zenith/base';
import {
  BLCKSZ,
  LP_UNUSED,
  SIZE_OF_INDEX_TUPLE,
  SIZE_OF_ITEM_POINTER,
  SIZE_OF_PAGE_HEADER,
  addItem,
  copyBytes,
  indexTupleIsPosting,
  indexTupleLength,
  linePointer,
  lpFlags,
  lpLength,
  lpOffset,
  maxAlign,
  pageMaxOffset,
  postingCount,
  postingListLength,
  postingListOffset,
  type Page,
} from '@zenith/pg-format';

/** PG: BTMaxItemSize, nbtree.h: the longest a tuple with a posting list may get. Unit: bytes. */
export const BT_MAX_ITEM_SIZE = 2704;

/** The raw line pointer of an index tuple that must be there, inside the page. Its state does not matter. @throws CorruptionError */
export function indexLinePointer(page: Page, offsetNumber: number): number {
  if (offsetNumber < 1 || offsetNumber > pageMaxOffset(page))
    throw new CorruptionError(`offset number ${offsetNumber} of ${pageMaxOffset(page)}`);
  const pointer = linePointer(page, offsetNumber);
  const offset = lpOffset(pointer);
  if (
    lpFlags(pointer) === LP_UNUSED ||
    lpLength(pointer) < SIZE_OF_INDEX_TUPLE ||
    offset < SIZE_OF_PAGE_HEADER ||
    offset + maxAlign(lpLength(pointer)) > BLCKSZ
  ) {
    throw new CorruptionError(
      `corrupted line pointer ${offsetNumber}: offset = ${offset}, length = ${lpLength(pointer)}, state = ${lpFlags(pointer)}`,
    );
  }
  return pointer;
}

/** Where the index tuple `offsetNumber` begins; its own length agrees with its line pointer's. @throws CorruptionError */
export function indexTupleAt(page: Page, offsetNumber: number): number {
  const pointer = indexLinePointer(page, offsetNumber);
  const tuple = lpOffset(pointer);
  const size = indexTupleLength(page.view, tuple);
  if (size < SIZE_OF_INDEX_TUPLE || size > maxAlign(lpLength(pointer))) {
    throw new CorruptionError(
      `index tuple ${offsetNumber} says it has ${size} bytes, its line pointer ${lpLength(pointer)}`,
    );
  }
  return tuple;
}

/** How many heap TIDs the leaf tuple at `tuple` has. @throws CorruptionError for a posting list that does not fit its tuple */
export function heapTidCount(view: DataView, tuple: number): number {
  if (!indexTupleIsPosting(view, tuple)) return 1;
  const count = postingCount(view, tuple);
  const start = postingListOffset(view, tuple);
  if (
    count < 2 ||
    start < SIZE_OF_INDEX_TUPLE ||
    (start & 7) !== 0 ||
    start + postingListLength(count) > indexTupleLength(view, tuple)
  ) {
    throw new CorruptionError(
      `posting list of ${count} heap TIDs at byte ${start} of a tuple of ${indexTupleLength(view, tuple)} bytes`,
    );
  }
  return count;
}

/** Where the heap TIDs of the leaf tuple at `tuple` begin: a plain tuple's is its t_tid. Asked after {@link heapTidCount}, which checks. */
export function heapTidsStart(view: DataView, tuple: number): number {
  return indexTupleIsPosting(view, tuple) ? tuple + postingListOffset(view, tuple) : tuple;
}

/** Length of a leaf tuple without its posting list: header and key. Unit: bytes. @throws CorruptionError when it is not aligned */
export function keyLength(view: DataView, tuple: number): number {
  const length = indexTupleIsPosting(view, tuple) ? postingListOffset(view, tuple) : indexTupleLength(view, tuple);
  if (length < SIZE_OF_INDEX_TUPLE || (length & 7) !== 0)
    throw new CorruptionError(`leaf tuple with ${length} bytes of header and key`);
  return length;
}

/** Puts an index tuple at `offsetNumber`, moving those from there on up. @throws CorruptionError when there is no room or no such place */
export function putIndexTuple(
  page: Page,
  bytes: Uint8Array,
  offset: number,
  length: number,
  offsetNumber: number,
): void {
  if (
    offsetNumber === 0 ||
    length < SIZE_OF_INDEX_TUPLE ||
    addItem(page, bytes, offset, length, offsetNumber) !== offsetNumber
  ) {
    throw new CorruptionError(`an index tuple of ${length} bytes cannot be put at offset number ${offsetNumber}`);
  }
}

/**
 * Splits a posting list that a new tuple's heap TID falls into: the TID takes place `postingOffset` of the list (in `view` at `posting`), the
 * list's last TID becomes the new tuple's (in `newView` at `newTuple`). Both in place: their lengths stay. PG: _bt_swap_posting(), nbtdedup.c.
 * @throws CorruptionError when there is no such place in a posting list
 */
export function swapPosting(
  view: DataView,
  bytes: Uint8Array,
  posting: number,
  postingOffset: number,
  newView: DataView,
  newBytes: Uint8Array,
  newTuple: number,
): void {
  const count = heapTidCount(view, posting);
  if (count < 2 || postingOffset < 1 || postingOffset >= count)
    throw new CorruptionError(`posting list of ${count} heap TIDs cannot be split at ${postingOffset}`);
  const start = heapTidsStart(view, posting);
  const place = start + postingOffset * SIZE_OF_ITEM_POINTER;
  const last = start + (count - 1) * SIZE_OF_ITEM_POINTER;
  const high = view.getUint32(last, true);
  const offsetNumber = view.getUint16(last + 4, true);
  bytes.copyWithin(place + SIZE_OF_ITEM_POINTER, place, last);
  copyBytes(newBytes, newTuple, bytes, place, SIZE_OF_ITEM_POINTER);
  newView.setUint32(newTuple, high, true);
  newView.setUint16(newTuple + 4, offsetNumber, true);
}
