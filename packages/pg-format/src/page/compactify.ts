import { CorruptionError } from '@zenith/base';
import { copyBytes } from './copy-bytes.ts';
import {
  PD_HAS_FREE_LINES,
  SIZE_OF_PAGE_HEADER,
  addPageFlags,
  checkPagePointers,
  clearPageFlags,
  maxAlign,
  pageLower,
  pageSpecial,
  pageUpper,
  setPageUpper,
} from './header.ts';
import {
  FIRST_OFFSET_NUMBER,
  LP_UNUSED,
  SIZE_OF_ITEM_ID,
  linePointer,
  linePointerPosition,
  lpFlags,
  lpLength,
  lpOffset,
  packLinePointer,
  pageMaxOffset,
  setLinePointer,
  setLinePointerNormal,
  setLinePointerUnused,
  setPageMaxOffset,
} from './line-pointer.ts';
import { BLCKSZ, type Page } from './page.ts';

// Scratch of one synchronous call each; nothing in it outlives the call that filled it. A page has room for this many line pointers.
const MAX_LINE_POINTERS = (BLCKSZ - SIZE_OF_PAGE_HEADER) / SIZE_OF_ITEM_ID;
const itemIndex = new Int32Array(MAX_LINE_POINTERS);
const itemOffset = new Int32Array(MAX_LINE_POINTERS);
const itemAligned = new Int32Array(MAX_LINE_POINTERS);
const tupleCopy = new Uint8Array(BLCKSZ);

/**
 * Moves the tuples of the first `count` scratch entries to the end of the page, in that order from the back, and points their line pointers
 * at them. The result is that of compactify_tuples() (PG 15-18: bufpage.c), which redo must match byte for byte.
 */
function compactify(page: Page, count: number, presorted: boolean): void {
  const { view } = page;
  const special = pageSpecial(page);
  // Tuples that already lie where they belong stay.
  let upper = special;
  let i = 0;
  while (i < count && upper === (itemOffset[i] as number) + (itemAligned[i] as number))
    upper -= itemAligned[i++] as number;
  if (!presorted) tupleCopy.set(page.bytes.subarray(pageUpper(page), special), pageUpper(page));
  while (i < count) {
    // One move for a run of tuples that were neighbours. Sorted by descending offset no move hits a tuple that is still to be moved.
    const end = (itemOffset[i] as number) + (itemAligned[i] as number);
    let start = end;
    const target = upper;
    for (; i < count && start === (itemOffset[i] as number) + (itemAligned[i] as number); i++) {
      start -= itemAligned[i] as number;
      upper -= itemAligned[i] as number;
      // All but lp_off stays.
      const at = linePointerPosition((itemIndex[i] as number) + 1);
      const pointer = view.getInt32(at, true);
      view.setInt32(at, pointer - lpOffset(pointer) + upper, true);
    }
    if (presorted) page.bytes.copyWithin(target - (end - start), start, end);
    else copyBytes(tupleCopy, start, page.bytes, target - (end - start), end - start);
  }
  setPageUpper(page, upper);
}

/**
 * Squeezes out the space of removed tuples on a heap page, drops unused line pointers from the end of the array and sets the hint about
 * free ones. PG 15-18: PageRepairFragmentation(), bufpage.c.
 * @throws CorruptionError when the page's pointers are corrupt; the page is then unchanged
 */
export function pageRepairFragmentation(page: Page): void {
  checkPagePointers(page);
  const { view } = page;
  const lower = pageLower(page);
  const upper = pageUpper(page);
  const special = pageSpecial(page);
  const lineCount = pageMaxOffset(page);
  let count = 0;
  let unusedCount = 0;
  let unusedBits = 0;
  let totalLength = 0;
  let lastOffset = special;
  let lastUsed = 0;
  let presorted = true;
  for (let offsetNumber = FIRST_OFFSET_NUMBER; offsetNumber <= lineCount; offsetNumber++) {
    const pointer = view.getInt32(linePointerPosition(offsetNumber), true);
    if (lpFlags(pointer) === LP_UNUSED) {
      unusedCount++;
      unusedBits |= pointer;
      continue;
    }
    lastUsed = offsetNumber;
    const length = lpLength(pointer);
    if (length === 0) continue;
    const offset = lpOffset(pointer);
    const aligned = maxAlign(length);
    if (!isInTuples(offset, aligned, upper, special)) throw corruptItem(offsetNumber, offset, aligned);
    if (lastOffset > offset) lastOffset = offset;
    else presorted = false;
    itemIndex[count] = offsetNumber - 1;
    itemOffset[count] = offset;
    itemAligned[count] = aligned;
    totalLength += aligned;
    count++;
  }
  checkTotal(totalLength, special - lower);

  // PostgreSQL clears what an unused line pointer may hold besides its state; so it is done once nothing can fail any more.
  if (unusedBits !== 0) clearUnused(page, lineCount);
  if (count === 0) setPageUpper(page, special);
  else compactify(page, count, presorted);
  if (lastUsed !== lineCount) {
    unusedCount -= lineCount - lastUsed;
    setPageMaxOffset(page, lastUsed);
  }
  if (unusedCount > 0) addPageFlags(page, PD_HAS_FREE_LINES);
  else clearPageFlags(page, PD_HAS_FREE_LINES);
}

function clearUnused(page: Page, lineCount: number): void {
  for (let offsetNumber = FIRST_OFFSET_NUMBER; offsetNumber <= lineCount; offsetNumber++) {
    if (lpFlags(linePointer(page, offsetNumber)) === LP_UNUSED) setLinePointerUnused(page, offsetNumber);
  }
}

/**
 * Drops unused line pointers from the end of a heap page's array but leaves one line pointer, and sets the hint about free ones.
 * PG 15-18: PageTruncateLinePointerArray(), bufpage.c.
 */
export function pageTruncateLinePointerArray(page: Page): void {
  const lineCount = pageMaxOffset(page);
  let keep = lineCount;
  while (keep > FIRST_OFFSET_NUMBER && lpFlags(linePointer(page, keep)) === LP_UNUSED) keep--;
  let hint = false;
  for (let offsetNumber = keep; offsetNumber >= FIRST_OFFSET_NUMBER && !hint; offsetNumber--)
    hint = lpFlags(linePointer(page, offsetNumber)) === LP_UNUSED;
  if (keep < lineCount) setPageMaxOffset(page, keep);
  if (hint) addPageFlags(page, PD_HAS_FREE_LINES);
  else clearPageFlags(page, PD_HAS_FREE_LINES);
}

/**
 * Removes several tuples and their line pointers from an index page: `count` offset numbers, ascending, stored as u16 (little-endian) in `view`
 * from `from` on, as WAL records have them. PG 15-18: PageIndexMultiDelete(), bufpage.c.
 * @throws CorruptionError when pointers are corrupt or an offset number is not on the page or out of order
 */
export function pageIndexMultiDelete(page: Page, view: DataView, from: number, count: number): void {
  if (count <= 2) {
    // One by one leaves the other tuples in their order on the page; a compaction would put them in line pointer order.
    for (let i = count - 1; i >= 0; i--) pageIndexTupleDelete(page, view.getUint16(from + 2 * i, true));
    return;
  }
  checkPagePointers(page);
  const upper = pageUpper(page);
  const special = pageSpecial(page);
  const lineCount = pageMaxOffset(page);
  let kept = 0;
  let next = 0;
  let totalLength = 0;
  let lastOffset = special;
  let presorted = true;
  for (let offsetNumber = FIRST_OFFSET_NUMBER; offsetNumber <= lineCount; offsetNumber++) {
    const pointer = linePointer(page, offsetNumber);
    const offset = lpOffset(pointer);
    const aligned = maxAlign(lpLength(pointer));
    checkItem(offsetNumber, offset, aligned, upper, special);
    if (next < count && view.getUint16(from + 2 * next, true) === offsetNumber) {
      next++;
      continue;
    }
    if (lastOffset > offset) lastOffset = offset;
    else presorted = false;
    // The line pointer's source for now; compactify() wants its new place.
    itemIndex[kept] = offsetNumber;
    itemOffset[kept] = offset;
    itemAligned[kept] = aligned;
    totalLength += aligned;
    kept++;
  }
  if (next !== count)
    throw new CorruptionError(
      `offset number ${view.getUint16(from + 2 * next, true)} to be deleted is not on the page or out of order`,
    );
  checkTotal(totalLength, special - pageLower(page));

  for (let i = 0; i < kept; i++) {
    setLinePointer(page, i + 1, linePointer(page, itemIndex[i] as number));
    itemIndex[i] = i;
  }
  setPageMaxOffset(page, kept);
  if (kept === 0) setPageUpper(page, special);
  else compactify(page, kept, presorted);
}

/**
 * Removes one tuple and its line pointer from an index page. PG 15-18: PageIndexTupleDelete(), bufpage.c.
 * @throws CorruptionError when pointers are corrupt or the offset number is not on the page; the page is then unchanged
 */
export function pageIndexTupleDelete(page: Page, offsetNumber: number): void {
  const offset = checkIndexItem(page, offsetNumber);
  const length = maxAlign(lpLength(linePointer(page, offsetNumber)));
  const position = linePointerPosition(offsetNumber);
  page.bytes.copyWithin(position, position + SIZE_OF_ITEM_ID, pageLower(page));
  shiftTuples(page, offset, length);
  const left = pageMaxOffset(page) - 1;
  setPageMaxOffset(page, left);
  moveLinePointers(page, left, offset, length);
}

/**
 * Removes one tuple from an index page but keeps its line pointer as an unused one, unless it is the last. For access methods whose offset
 * numbers must not change. PG 15-18: PageIndexTupleDeleteNoCompact(), bufpage.c.
 * @throws CorruptionError when pointers are corrupt or the offset number is not on the page; the page is then unchanged
 */
export function pageIndexTupleDeleteNoCompact(page: Page, offsetNumber: number): void {
  const offset = checkIndexItem(page, offsetNumber);
  const length = maxAlign(lpLength(linePointer(page, offsetNumber)));
  const lineCount = pageMaxOffset(page);
  if (offsetNumber < lineCount) setLinePointerUnused(page, offsetNumber);
  else setPageMaxOffset(page, lineCount - 1);
  shiftTuples(page, offset, length);
  moveLinePointers(page, pageMaxOffset(page), offset, length);
}

/**
 * Replaces a tuple of an index page in its place by `bytes[from, from + length)`, moving the tuples below it. False, with the page
 * unchanged, when there is no room. `bytes` must not be those of the page. PG 15-18: PageIndexTupleOverwrite(), bufpage.c.
 * @throws CorruptionError when pointers are corrupt or the offset number is not on the page; the page is then unchanged
 */
export function pageIndexTupleOverwrite(
  page: Page,
  offsetNumber: number,
  bytes: Uint8Array,
  from: number,
  length: number,
): boolean {
  const offset = checkIndexItem(page, offsetNumber);
  const pointer = linePointer(page, offsetNumber);
  const oldLength = maxAlign(lpLength(pointer));
  const newLength = maxAlign(length);
  if (newLength > oldLength + pageUpper(page) - pageLower(page)) return false;
  const shift = oldLength - newLength;
  if (shift !== 0) {
    shiftTuples(page, offset, shift);
    moveLinePointers(page, pageMaxOffset(page), offset, shift);
  }
  setLinePointer(page, offsetNumber, packLinePointer(offset + shift, lpFlags(pointer), length));
  copyBytes(bytes, from, page.bytes, offset + shift, length);
  return true;
}

/**
 * Removes a tuple of an index page and puts `bytes[from, from + length)` at its offset number: {@link pageIndexTupleDelete} and then addItem(), with the same bytes in the
 * same places, in one go. False, with the page unchanged, when there is no room. `bytes` must not be those of the page.
 * @throws CorruptionError when pointers are corrupt or the offset number is not on the page; the page is then unchanged
 */
export function pageIndexTupleReplace(
  page: Page,
  offsetNumber: number,
  bytes: Uint8Array,
  from: number,
  length: number,
): boolean {
  const offset = checkIndexItem(page, offsetNumber);
  const oldLength = maxAlign(lpLength(linePointer(page, offsetNumber)));
  const upper = pageUpper(page) + oldLength - maxAlign(length);
  if (pageLower(page) > upper) return false;
  shiftTuples(page, offset, oldLength);
  moveLinePointers(page, pageMaxOffset(page), offset, oldLength);
  setLinePointerNormal(page, offsetNumber, upper, length);
  setPageUpper(page, upper);
  copyBytes(bytes, from, page.bytes, upper, length);
  return true;
}

/** Moves the tuple data between pd_upper and `offset` by `shift` bytes, and pd_upper with them. */
function shiftTuples(page: Page, offset: number, shift: number): void {
  const upper = pageUpper(page);
  page.bytes.copyWithin(upper + shift, upper, offset);
  setPageUpper(page, upper + shift);
}

/** Adds `shift` to the offset of each of the first `lineCount` line pointers with storage at or below `offset`. */
function moveLinePointers(page: Page, lineCount: number, offset: number, shift: number): void {
  // Offsets lie in no order, so that a branch would be mispredicted every other time. Both numbers are negative for a line pointer that is to be moved.
  const { view } = page;
  const end = linePointerPosition(lineCount + 1);
  const behind = offset + 1;
  for (let at = SIZE_OF_PAGE_HEADER; at < end; at += SIZE_OF_ITEM_ID) {
    const pointer = view.getInt32(at, true);
    const isMoved = ((lpOffset(pointer) - behind) & -lpLength(pointer)) >> 31;
    // lp_off is in the low bits, and stays within them: the tuple stays within the page.
    view.setInt32(at, pointer + (isMoved & shift), true);
  }
}

function checkIndexItem(page: Page, offsetNumber: number): number {
  checkPagePointers(page);
  if (offsetNumber < FIRST_OFFSET_NUMBER || offsetNumber > pageMaxOffset(page))
    throw new CorruptionError(`invalid index offset number: ${offsetNumber}`);
  const pointer = linePointer(page, offsetNumber);
  checkItem(offsetNumber, lpOffset(pointer), maxAlign(lpLength(pointer)), pageUpper(page), pageSpecial(page));
  return lpOffset(pointer);
}

// Differs: PostgreSQL does not check a heap item's end and alignment here; we must not move bytes from outside of the tuple area.
function isInTuples(offset: number, aligned: number, upper: number, special: number): boolean {
  return offset >= upper && offset + aligned <= special && (offset & 7) === 0;
}

function corruptItem(offsetNumber: number, offset: number, aligned: number): CorruptionError {
  return new CorruptionError(`corrupted line pointer ${offsetNumber}: offset = ${offset}, size = ${aligned}`);
}

function checkItem(offsetNumber: number, offset: number, aligned: number, upper: number, special: number): void {
  if (!isInTuples(offset, aligned, upper, special)) throw corruptItem(offsetNumber, offset, aligned);
}

function checkTotal(total: number, available: number): void {
  if (total > available)
    throw new CorruptionError(`corrupted item lengths: total ${total}, available space ${available}`);
}
