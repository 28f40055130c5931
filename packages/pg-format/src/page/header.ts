import { CorruptionError } from '@zenith/base';
import { BLCKSZ, type Page } from './page.ts';

// PageHeaderData, 24 bytes: pd_lsn 2×u32 @0 (high word first, see page.ts), pd_checksum u16 @8, pd_flags u16 @10, pd_lower u16 @12,
// pd_upper u16 @14, pd_special u16 @16, pd_pagesize_version u16 @18, pd_prune_xid u32 @20, then line pointers u32[].
// PG 15-18: bufpage.h
const PD_CHECKSUM = 8;
const PD_FLAGS = 10;
const PD_LOWER = 12;
const PD_UPPER = 14;
const PD_SPECIAL = 16;
const PD_PAGESIZE_VERSION = 18;
const PD_PRUNE_XID = 20;

/** Length of the page header, where the line pointers begin. Unit: bytes. PG: SizeOfPageHeaderData. */
export const SIZE_OF_PAGE_HEADER = 24;

/** Flag bit: there may be unused line pointers before pd_lower (a hint). PG: bufpage.h. */
export const PD_HAS_FREE_LINES = 0x0001;
/** Flag bit: an update found no room here (a hint). PG: bufpage.h. */
export const PD_PAGE_FULL = 0x0002;
/** Flag bit: all tuples on the page are visible to everyone. PG: bufpage.h. */
export const PD_ALL_VISIBLE = 0x0004;
/** Every defined flag bit. PG: bufpage.h. */
export const PD_VALID_FLAG_BITS = 0x0007;

/** The page layout of every supported PostgreSQL. PG: bufpage.h. */
export const PG_PAGE_LAYOUT_VERSION = 4;

/** pd_checksum as stored; 0 on a cluster without data checksums. */
export function storedPageChecksum(page: Page): number {
  return page.view.getUint16(PD_CHECKSUM, true);
}

/** Sets pd_checksum. */
export function setPageChecksum(page: Page, checksum: number): void {
  page.view.setUint16(PD_CHECKSUM, checksum, true);
}

/** pd_flags, all sixteen bits. */
export function pageFlags(page: Page): number {
  return page.view.getUint16(PD_FLAGS, true);
}

/** Sets pd_flags, all sixteen bits. */
export function setPageFlags(page: Page, flags: number): void {
  page.view.setUint16(PD_FLAGS, flags, true);
}

/** Sets those bits of pd_flags that are set in `bits`. */
export function addPageFlags(page: Page, bits: number): void {
  setPageFlags(page, pageFlags(page) | bits);
}

/** Clears those bits of pd_flags that are set in `bits`. */
export function clearPageFlags(page: Page, bits: number): void {
  setPageFlags(page, pageFlags(page) & ~bits);
}

/** pd_lower: end of the line pointers, start of free space. Unit: bytes into the page. */
export function pageLower(page: Page): number {
  return page.view.getUint16(PD_LOWER, true);
}

/** Sets pd_lower. */
export function setPageLower(page: Page, lower: number): void {
  page.view.setUint16(PD_LOWER, lower, true);
}

/** pd_upper: end of free space, start of tuple data. Unit: bytes into the page. */
export function pageUpper(page: Page): number {
  return page.view.getUint16(PD_UPPER, true);
}

/** Sets pd_upper. */
export function setPageUpper(page: Page, upper: number): void {
  page.view.setUint16(PD_UPPER, upper, true);
}

/** pd_special: start of the special space, 8192 when there is none. Unit: bytes into the page. PG: PageGetSpecialPointer(). */
export function pageSpecial(page: Page): number {
  return page.view.getUint16(PD_SPECIAL, true);
}

/** Sets pd_special. */
export function setPageSpecial(page: Page, special: number): void {
  page.view.setUint16(PD_SPECIAL, special, true);
}

/** pd_pagesize_version: size in the high byte's place, layout version in the low byte. */
export function pageSizeVersion(page: Page): number {
  return page.view.getUint16(PD_PAGESIZE_VERSION, true);
}

/** pd_prune_xid: oldest xid that pruning might remove, 0 when none is known (a hint). */
export function pagePruneXid(page: Page): number {
  return page.view.getUint32(PD_PRUNE_XID, true);
}

/** Sets pd_prune_xid. PG: PageSetPrunable() without its comparison, PageClearPrunable() with 0. */
export function setPagePruneXid(page: Page, xid: number): void {
  page.view.setUint32(PD_PRUNE_XID, xid, true);
}

/** True for a page that was never initialised. PG: PageIsNew(). */
export function pageIsNew(page: Page): boolean {
  return pageUpper(page) === 0;
}

/** True for a page without line pointers. PG: PageIsEmpty(). */
export function pageIsEmpty(page: Page): boolean {
  return pageLower(page) <= SIZE_OF_PAGE_HEADER;
}

/**
 * Makes `page` an empty one: zeroes, header, `specialSize` bytes (rounded up to 8) of special space. LSN and checksum are zero.
 * PG: PageInit(), bufpage.c.
 */
export function initPage(page: Page, specialSize = 0): void {
  page.bytes.fill(0);
  const special = BLCKSZ - maxAlign(specialSize);
  setPageLower(page, SIZE_OF_PAGE_HEADER);
  setPageUpper(page, special);
  setPageSpecial(page, special);
  page.view.setUint16(PD_PAGESIZE_VERSION, BLCKSZ | PG_PAGE_LAYOUT_VERSION, true);
}

/** True when pd_lower ≤ pd_upper ≤ pd_special ≤ 8192 holds and pd_special is aligned: what PostgreSQL asks before it moves tuples. */
export function pagePointersAreSane(page: Page): boolean {
  const special = pageSpecial(page);
  const upper = pageUpper(page);
  const lower = pageLower(page);
  return lower >= SIZE_OF_PAGE_HEADER && lower <= upper && upper <= special && special <= BLCKSZ && (special & 7) === 0;
}

/** @throws CorruptionError when {@link pagePointersAreSane} does not hold */
export function checkPagePointers(page: Page): void {
  if (!pagePointersAreSane(page)) {
    throw new CorruptionError(
      `corrupted page pointers: lower = ${pageLower(page)}, upper = ${pageUpper(page)}, special = ${pageSpecial(page)}`,
    );
  }
}

/** Rounds `length` up to a multiple of 8. PG: MAXALIGN(). */
export function maxAlign(length: number): number {
  return (length + 7) & ~7;
}
