import { INVALID_BLOCK_NUMBER, SIZE_OF_PAGE_HEADER, initPage, pageSpecial, type Page } from '@zenith/pg-format';
import { specialSpace } from '../index-page/special-space.ts';

// GISTPageOpaqueData, 16 bytes of special space: nsn 2×u32 @0 (high word first), rightlink u32 @8, flags u16 @12, gist_page_id u16 @14.
// GISTDeletedPageContents behind the header of a deleted page: deleteXid u64.  PG 15-18: gist.h
const NSN_HIGH = 0;
const NSN_LOW = 4;
const RIGHTLINK = 8;
const FLAGS = 12;
const PAGE_ID = 14;
const SIZE_OF_GIST_PAGE_OPAQUE = 16;
const GIST_PAGE_ID = 0xff81;

/** Block number of every GiST index's root. PG: gist.h. */
export const GIST_ROOT_BLKNO = 0;
/** Flag bit: a leaf. PG: gist.h. */
export const F_LEAF = 1 << 0;
/** Flag bit: removed from the tree. PG: gist.h. */
export const F_DELETED = 1 << 1;
/** Flag bit: tuples were removed at some time. PG: gist.h. */
export const F_TUPLES_DELETED = 1 << 2;
/** Flag bit: the right sibling's downlink is missing. PG: gist.h. */
export const F_FOLLOW_RIGHT = 1 << 3;
/** Flag bit: some tuples are LP_DEAD (a hint). PG: gist.h. */
export const F_HAS_GARBAGE = 1 << 4;

/** Where a deleted page has the xid after which nobody can still be on its way to it, u64. */
export const DELETE_XID = SIZE_OF_PAGE_HEADER;
/** pd_lower of a deleted page. */
export const DELETED_PAGE_LOWER = SIZE_OF_PAGE_HEADER + 8;

/** Where the opaque data of a page that is read begin. @throws CorruptionError for a page that cannot be of a GiST index */
export function gistOpaque(page: Page): number {
  return specialSpace(page, SIZE_OF_GIST_PAGE_OPAQUE, GIST_PAGE_ID, 'a GiST index');
}

/** Makes `page` an empty one with these flags; gives where its opaque data begin. PG: gistinitpage(). */
export function initGistPage(page: Page, flags: number): number {
  initPage(page, SIZE_OF_GIST_PAGE_OPAQUE);
  const opaque = pageSpecial(page);
  setGistRightLink(page, opaque, INVALID_BLOCK_NUMBER);
  page.view.setUint16(opaque + FLAGS, flags, true);
  page.view.setUint16(opaque + PAGE_ID, GIST_PAGE_ID, true);
  return opaque;
}

/** The flag bits. `opaque` here and below is what {@link gistOpaque} gives. */
export function gistFlags(page: Page, opaque: number): number {
  return page.view.getUint16(opaque + FLAGS, true);
}

/** Sets the flag bits of `set` and clears those of `clear`. */
export function changeGistFlags(page: Page, opaque: number, set: number, clear: number): void {
  page.view.setUint16(opaque + FLAGS, (gistFlags(page, opaque) | set) & ~clear, true);
}

/** Sets the right sibling. */
export function setGistRightLink(page: Page, opaque: number, block: number): void {
  page.view.setUint32(opaque + RIGHTLINK, block, true);
}

/** Sets the sequence number by which a scan sees that the page was split since it read the parent: an LSN in two words. */
export function setGistNsn(page: Page, opaque: number, high: number, low: number): void {
  page.view.setUint32(opaque + NSN_HIGH, high, true);
  page.view.setUint32(opaque + NSN_LOW, low, true);
}
