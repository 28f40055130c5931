import { copyBytes } from './copy-bytes.ts';
import {
  PD_HAS_FREE_LINES,
  checkPagePointers,
  clearPageFlags,
  maxAlign,
  pageFlags,
  pageLower,
  pageUpper,
  setPageLower,
  setPageUpper,
} from './header.ts';
import {
  FIRST_OFFSET_NUMBER,
  INVALID_OFFSET_NUMBER,
  LP_UNUSED,
  SIZE_OF_ITEM_ID,
  linePointer,
  linePointerPosition,
  lpFlags,
  lpLength,
  pageMaxOffset,
  setLinePointerNormal,
} from './line-pointer.ts';
import { MAX_HEAP_TUPLES_PER_PAGE, type Page } from './page.ts';

/** Flag of {@link addItem}: store at the given offset number, which must be unused or one past the last. PG: bufpage.h. */
export const PAI_OVERWRITE = 1;
/** Flag of {@link addItem}: a heap page; no more than MaxHeapTuplesPerPage line pointers. PG: bufpage.h. */
export const PAI_IS_HEAP = 2;

function freeOffsetNumber(page: Page, limit: number): number {
  if ((pageFlags(page) & PD_HAS_FREE_LINES) === 0) return limit;
  for (let offsetNumber = FIRST_OFFSET_NUMBER; offsetNumber < limit; offsetNumber++) {
    const pointer = linePointer(page, offsetNumber);
    if (lpFlags(pointer) === LP_UNUSED && lpLength(pointer) === 0) return offsetNumber;
  }
  clearPageFlags(page, PD_HAS_FREE_LINES);
  return limit;
}

/**
 * Puts an item of `length` bytes, `bytes[offset, offset + length)`, on the page and gives the offset number it got, or 0 when the page has
 * no room or the place asked for is taken: the caller, which is redo, then knows that the page is not what the record was written for.
 * Without PAI_OVERWRITE an item at an existing offset number moves the later ones up. `offsetNumber` 0 takes the first free place.
 * `bytes` must not be those of the page. PG 15-18: PageAddItemExtended(), bufpage.c.
 * @throws CorruptionError when the page's pointers are corrupt
 */
export function addItem(
  page: Page,
  bytes: Uint8Array,
  offset: number,
  length: number,
  offsetNumber: number,
  flags = 0,
): number {
  const position = addItemSpace(page, length, offsetNumber, flags);
  if (position === INVALID_OFFSET_NUMBER) return INVALID_OFFSET_NUMBER;
  copyBytes(bytes, offset, page.bytes, pageUpper(page), length);
  return position;
}

/**
 * {@link addItem} without the copy: reserves the room and sets the line pointer; the caller then writes the item's `length` bytes at the
 * new pd_upper. For items that are put together from parts. Gives the offset number, or 0.
 * @throws CorruptionError when the page's pointers are corrupt
 */
export function addItemSpace(page: Page, length: number, offsetNumber: number, flags = 0): number {
  checkPagePointers(page);
  const limit = pageMaxOffset(page) + 1;
  let shuffle = false;
  let place = offsetNumber;
  if (place === INVALID_OFFSET_NUMBER) place = freeOffsetNumber(page, limit);
  else if ((flags & PAI_OVERWRITE) === 0) shuffle = place < limit;
  else if (place < limit) {
    const pointer = linePointer(page, place);
    if (lpFlags(pointer) !== LP_UNUSED || lpLength(pointer) !== 0) return INVALID_OFFSET_NUMBER;
  }
  if (place > limit || ((flags & PAI_IS_HEAP) !== 0 && place > MAX_HEAP_TUPLES_PER_PAGE)) return INVALID_OFFSET_NUMBER;

  const lower = pageLower(page) + (place === limit || shuffle ? SIZE_OF_ITEM_ID : 0);
  const upper = pageUpper(page) - maxAlign(length);
  if (lower > upper) return INVALID_OFFSET_NUMBER;
  if (shuffle) {
    const from = linePointerPosition(place);
    page.bytes.copyWithin(from + SIZE_OF_ITEM_ID, from, linePointerPosition(limit));
  }
  setLinePointerNormal(page, place, upper, length);
  setPageLower(page, lower);
  setPageUpper(page, upper);
  return place;
}
