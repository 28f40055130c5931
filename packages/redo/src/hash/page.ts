import { INVALID_BLOCK_NUMBER, initPage, pageSpecial, type Page } from '@zenith/pg-format';
import { specialSpace } from '../index-page/special-space.ts';

// HashPageOpaqueData, 16 bytes of special space: hasho_prevblkno u32 @0, hasho_nextblkno u32 @4, hasho_bucket u32 @8, hasho_flag u16 @12,
// hasho_page_id u16 @14. In a bucket's first page hasho_prevblkno is the highest bucket there was when the bucket was last split.
// PG 15-18: hash.h
const PREV = 0;
const NEXT = 4;
const BUCKET = 8;
const FLAG = 12;
const PAGE_ID = 14;
const HASHO_PAGE_ID = 0xff80;

/** Size of a hash page's special space. Unit: bytes. PG: sizeof(HashPageOpaqueData). */
export const SIZE_OF_HASH_PAGE_OPAQUE = 16;
/** The bucket that is none. PG: hash.h. */
export const INVALID_BUCKET = 0xffffffff;
/** hasho_flag: a page that is in no chain. PG: hash.h. */
export const LH_UNUSED_PAGE = 0;
/** hasho_flag: a page that continues a bucket. PG: hash.h. */
export const LH_OVERFLOW_PAGE = 1 << 0;
/** hasho_flag: a bucket's first page. PG: hash.h. */
export const LH_BUCKET_PAGE = 1 << 1;
/** hasho_flag: a bitmap of free overflow pages. PG: hash.h. */
export const LH_BITMAP_PAGE = 1 << 2;
/** hasho_flag: the meta page. PG: hash.h. */
export const LH_META_PAGE = 1 << 3;
/** hasho_flag: tuples that a split moved away are still here. PG: hash.h. */
export const LH_BUCKET_NEEDS_SPLIT_CLEANUP = 1 << 6;
/** hasho_flag: some tuples are LP_DEAD (a hint). PG: hash.h. */
export const LH_PAGE_HAS_DEAD_TUPLES = 1 << 7;

/** The bits of hasho_flag that tell what a page is for. PG: LH_PAGE_TYPE, hash.h. */
const LH_PAGE_TYPE = LH_OVERFLOW_PAGE | LH_BUCKET_PAGE | LH_BITMAP_PAGE | LH_META_PAGE;

/** Where the opaque data of a page that is read begin. @throws CorruptionError for a page that cannot be of a hash index */
export function hashOpaque(page: Page): number {
  return specialSpace(page, SIZE_OF_HASH_PAGE_OPAQUE, HASHO_PAGE_ID, 'a hash index');
}

/** Makes `page` an empty one without siblings on the right. PG: _hash_initbuf(). */
export function initHashPage(page: Page, prev: number, bucket: number, flag: number): void {
  initPage(page, SIZE_OF_HASH_PAGE_OPAQUE);
  const opaque = pageSpecial(page);
  setHashPrev(page, opaque, prev);
  setHashNext(page, opaque, INVALID_BLOCK_NUMBER);
  page.view.setUint32(opaque + BUCKET, bucket, true);
  setHashFlag(page, opaque, flag);
  page.view.setUint16(opaque + PAGE_ID, HASHO_PAGE_ID, true);
}

/** Sets the page before this one in its bucket. `opaque` here and below is what {@link hashOpaque} gives. */
export function setHashPrev(page: Page, opaque: number, block: number): void {
  page.view.setUint32(opaque + PREV, block, true);
}

/** Sets the page behind this one in its bucket. */
export function setHashNext(page: Page, opaque: number, block: number): void {
  page.view.setUint32(opaque + NEXT, block, true);
}

/** What the page is for: one of LH_UNUSED_PAGE, LH_OVERFLOW_PAGE, LH_BUCKET_PAGE, LH_BITMAP_PAGE, LH_META_PAGE. */
export function hashPageType(page: Page, opaque: number): number {
  return page.view.getUint16(opaque + FLAG, true) & LH_PAGE_TYPE;
}

/** Sets hasho_flag, all of it. */
export function setHashFlag(page: Page, opaque: number, flag: number): void {
  page.view.setUint16(opaque + FLAG, flag, true);
}

/** Clears bits of hasho_flag. */
export function clearHashFlag(page: Page, opaque: number, bits: number): void {
  setHashFlag(page, opaque, page.view.getUint16(opaque + FLAG, true) & ~bits);
}
