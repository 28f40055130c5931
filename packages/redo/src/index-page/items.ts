import { CorruptionError } from '@zenith/base';
import {
  SIZE_OF_INDEX_TUPLE,
  addItem,
  indexTupleLength,
  lpOffset,
  normalLinePointer,
  pageIndexMultiDelete,
  pageMaxOffset,
  type Page,
} from '@zenith/pg-format';

// What the redo of GiST, SP-GiST and hash indexes does to the items of a page. Ranges of a record's bytes are `[at, end)`.

/** Puts an item at `offsetNumber`, moving those from there on up. @throws CorruptionError when there is no room or no such place */
export function putItem(page: Page, bytes: Uint8Array, offset: number, length: number, offsetNumber: number): void {
  if (offsetNumber === 0 || addItem(page, bytes, offset, length, offsetNumber) !== offsetNumber)
    throw new CorruptionError(`an item of ${length} bytes cannot be put at offset number ${offsetNumber}`);
}

/** Where the item `offsetNumber` begins, which must be there with at least `minLength` bytes. @throws CorruptionError */
export function itemAt(page: Page, offsetNumber: number, minLength: number): number {
  return lpOffset(normalLinePointer(page, offsetNumber, minLength));
}

/** Length of the index tuple at `at`, not aligned. @throws CorruptionError when it leaves the range */
export function indexTupleIn(view: DataView, at: number, end: number): number {
  const length = at + SIZE_OF_INDEX_TUPLE > end ? 0 : indexTupleLength(view, at);
  if (length < SIZE_OF_INDEX_TUPLE || at + length > end)
    throw new CorruptionError(`an index tuple of ${length} bytes, ${end - at} bytes left`);
  return length;
}

/** Checks that the range is one index tuple and no more; gives its length. @throws CorruptionError */
export function onlyIndexTupleIn(view: DataView, at: number, end: number): number {
  const length = indexTupleIn(view, at, end);
  if (at + length !== end) throw new CorruptionError(`an index tuple of ${length} bytes in ${end - at} bytes of data`);
  return length;
}

/** Puts the index tuples that fill the range behind the page's items, in their order. Gives how many. @throws CorruptionError */
export function appendIndexTuples(page: Page, view: DataView, bytes: Uint8Array, at: number, end: number): number {
  const before = pageMaxOffset(page);
  let count = 0;
  for (let from = at; from < end; count++) {
    const length = indexTupleIn(view, from, end);
    putItem(page, bytes, from, length, before + count + 1);
    from += length;
  }
  return count;
}

/** Removes the items whose offset numbers, ascending u16, begin the range. @throws CorruptionError when the range has fewer than `count` */
export function deleteItems(page: Page, view: DataView, at: number, end: number, count: number): void {
  if (at + count * 2 > end) throw new CorruptionError(`${count} offset numbers announced, ${end - at} bytes left`);
  pageIndexMultiDelete(page, view, at, count);
}
