import { CorruptionError } from '@zenith/base';
import { SIZE_OF_PAGE_HEADER, pageLower, setPageLower } from './header.ts';
import { BLCKSZ, type Page } from './page.ts';

// ItemIdData, u32: lp_off in bits 0-14, lp_flags in bits 15-16, lp_len in bits 17-31.  PG 15-18: itemid.h
const LP_FLAGS_SHIFT = 15;
const LP_LEN_SHIFT = 17;
const LP_OFF_MASK = 0x7fff;

/** Size of one line pointer. Unit: bytes. PG: sizeof(ItemIdData). */
export const SIZE_OF_ITEM_ID = 4;

/** Line pointer state: unused. PG: itemid.h. */
export const LP_UNUSED = 0;
/** Line pointer state: points to a tuple. PG: itemid.h. */
export const LP_NORMAL = 1;
/** Line pointer state: redirects to the line pointer whose offset number is in lp_off (HOT). PG: itemid.h. */
export const LP_REDIRECT = 2;
/** Line pointer state: dead; it may still have storage (index pages). PG: itemid.h. */
export const LP_DEAD = 3;

/** The offset number that is none. PG: off.h. */
export const INVALID_OFFSET_NUMBER = 0;
/** Offset number of a page's first line pointer. PG: off.h. */
export const FIRST_OFFSET_NUMBER = 1;

/** Number of line pointers on the page, which is the highest offset number; 0 for a new page. PG: PageGetMaxOffsetNumber(). */
export function pageMaxOffset(page: Page): number {
  const lower = pageLower(page);
  return lower <= SIZE_OF_PAGE_HEADER ? 0 : (lower - SIZE_OF_PAGE_HEADER) >>> 2;
}

/** Sets pd_lower so that the page has `count` line pointers. Their contents are not touched. */
export function setPageMaxOffset(page: Page, count: number): void {
  setPageLower(page, SIZE_OF_PAGE_HEADER + count * SIZE_OF_ITEM_ID);
}

/** Where the line pointer of `offsetNumber` (from 1) lies. Unit: bytes into the page. */
export function linePointerPosition(offsetNumber: number): number {
  return SIZE_OF_PAGE_HEADER + (offsetNumber - 1) * SIZE_OF_ITEM_ID;
}

/** The raw line pointer of `offsetNumber` (from 1; the caller has checked it against {@link pageMaxOffset}). PG: PageGetItemId(). */
export function linePointer(page: Page, offsetNumber: number): number {
  return page.view.getInt32(linePointerPosition(offsetNumber), true);
}

/** lp_off of a raw line pointer: where its tuple begins; for LP_REDIRECT the offset number it leads to. */
export function lpOffset(pointer: number): number {
  return pointer & LP_OFF_MASK;
}

/** lp_flags of a raw line pointer: one of LP_UNUSED, LP_NORMAL, LP_REDIRECT, LP_DEAD. */
export function lpFlags(pointer: number): number {
  return (pointer >>> LP_FLAGS_SHIFT) & 3;
}

/** lp_len of a raw line pointer: length of its tuple, 0 for one without storage. Unit: bytes. */
export function lpLength(pointer: number): number {
  return pointer >>> LP_LEN_SHIFT;
}

/** A raw line pointer from its parts. */
export function packLinePointer(offset: number, flags: number, length: number): number {
  return offset | (flags << LP_FLAGS_SHIFT) | (length << LP_LEN_SHIFT);
}

/** The raw line pointer that is unused. PG: ItemIdSetUnused(). */
export const UNUSED_LINE_POINTER = packLinePointer(0, LP_UNUSED, 0);

/** The raw line pointer that is dead and has no storage. PG: ItemIdSetDead(). */
export const DEAD_LINE_POINTER = packLinePointer(0, LP_DEAD, 0);

/** Stores a raw line pointer. */
export function setLinePointer(page: Page, offsetNumber: number, pointer: number): void {
  page.view.setInt32(linePointerPosition(offsetNumber), pointer, true);
}

/** PG: ItemIdSetNormal(). */
export function setLinePointerNormal(page: Page, offsetNumber: number, offset: number, length: number): void {
  setLinePointer(page, offsetNumber, packLinePointer(offset, LP_NORMAL, length));
}

/** PG: ItemIdSetUnused(). */
export function setLinePointerUnused(page: Page, offsetNumber: number): void {
  setLinePointer(page, offsetNumber, UNUSED_LINE_POINTER);
}

/** Redirects `offsetNumber` to the line pointer `target`. PG: ItemIdSetRedirect(). */
export function setLinePointerRedirect(page: Page, offsetNumber: number, target: number): void {
  setLinePointer(page, offsetNumber, packLinePointer(target, LP_REDIRECT, 0));
}

/**
 * The raw line pointer of `offsetNumber`, which must exist, be LP_NORMAL and point to at least `minLength` bytes inside the page.
 * @throws CorruptionError
 */
export function normalLinePointer(page: Page, offsetNumber: number, minLength = 0): number {
  if (offsetNumber < 1 || offsetNumber > pageMaxOffset(page)) {
    throw new CorruptionError(
      `offset number ${offsetNumber} is not on the page, which has ${pageMaxOffset(page)} line pointers`,
    );
  }
  const pointer = linePointer(page, offsetNumber);
  if (lpFlags(pointer) !== LP_NORMAL)
    throw new CorruptionError(`line pointer ${offsetNumber} has state ${lpFlags(pointer)}, not LP_NORMAL`);
  checkStorage(pointer, offsetNumber, minLength);
  return pointer;
}

function checkStorage(pointer: number, offsetNumber: number, minLength: number): void {
  const offset = lpOffset(pointer);
  const length = lpLength(pointer);
  if (offset < SIZE_OF_PAGE_HEADER || offset + length > BLCKSZ || length < minLength) {
    throw new CorruptionError(
      `corrupted line pointer ${offsetNumber}: offset = ${offset}, length = ${length}, expected at least ${minLength} bytes`,
    );
  }
}
