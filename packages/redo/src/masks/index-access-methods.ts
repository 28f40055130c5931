import { SIZE_OF_PAGE_HEADER, pageLower, pageSpecial, type Page } from '@zenith/pg-format';
import {
  MASK_MARKER,
  maskLinePointerFlags,
  maskLsnAndChecksum,
  maskPageContent,
  maskPageHintBits,
  maskUnusedSpace,
} from './page-parts.ts';

// What the special space of each access method's pages holds that its mask asks.  PG 15-18: ginblock.h, gist.h, hash.h, brin_page.h
// GinPageOpaqueData: rightlink u32 @0, maxoff u16 @4, flags u16 @6.
const GIN_FLAGS = 6;
const GIN_DELETED = 0x04;
// GISTPageOpaqueData: nsn 2×u32 @0, rightlink u32 @8, flags u16 @12.
const GIST_FLAGS = 12;
const GIST_NSN_LENGTH = 8;
const F_LEAF = 0x01;
const F_FOLLOW_RIGHT = 0x08;
const F_HAS_GARBAGE = 0x10;
// HashPageOpaqueData: prevblkno u32 @0, nextblkno u32 @4, bucket u32 @8, flag u16 @12.
const HASH_FLAG = 12;
const LH_PAGE_TYPE = 0x0f;
const LH_UNUSED_PAGE = 0x00;
const LH_OVERFLOW_PAGE = 0x01;
const LH_BUCKET_PAGE = 0x02;
const LH_PAGE_HAS_DEAD_TUPLES = 0x80;
// BrinSpecialSpace: four u16, flags @4, page type @6.
const BRIN_FLAGS = 4;
const BRIN_PAGE_TYPE = 6;
const BRIN_EVACUATE_PAGE = 0x01;
const BRIN_PAGETYPE_META = 0xf091;
const BRIN_PAGETYPE_REGULAR = 0xf093;

/** Masks a page of a GIN index. PG 15-18: gin_mask(). @throws CorruptionError or RangeError when the page is broken */
export function maskGinPage(page: Page): void {
  maskLsnAndChecksum(page);
  const flags = page.view.getUint16(pageSpecial(page) + GIN_FLAGS, true);
  maskPageHintBits(page);
  // A deleted page is initialised as an empty one; of others the hole is masked when pd_lower seems to be kept.
  if ((flags & GIN_DELETED) !== 0) maskPageContent(page);
  else if (pageLower(page) > SIZE_OF_PAGE_HEADER) maskUnusedSpace(page);
}

/** Masks a page of a GiST index. PG 15-18: gist_mask(). @throws CorruptionError or RangeError when the page is broken */
export function maskGistPage(page: Page): void {
  maskLsnAndChecksum(page);
  maskPageHintBits(page);
  maskUnusedSpace(page);
  const special = pageSpecial(page);
  const flags = page.view.getUint16(special + GIST_FLAGS, true);
  page.bytes.fill(MASK_MARKER, special, special + GIST_NSN_LENGTH); // an LSN by another name
  if ((flags & F_LEAF) !== 0) maskLinePointerFlags(page);
  page.view.setUint16(special + GIST_FLAGS, (flags | F_FOLLOW_RIGHT) & ~F_HAS_GARBAGE, true);
}

/** Masks a page of a hash index. PG 15-18: hash_mask(). @throws CorruptionError or RangeError when the page is broken */
export function maskHashPage(page: Page): void {
  maskLsnAndChecksum(page);
  maskPageHintBits(page);
  maskUnusedSpace(page);
  const special = pageSpecial(page);
  const flag = page.view.getUint16(special + HASH_FLAG, true);
  const type = flag & LH_PAGE_TYPE;
  if (type === LH_UNUSED_PAGE) maskPageContent(page);
  else if (type === LH_BUCKET_PAGE || type === LH_OVERFLOW_PAGE) maskLinePointerFlags(page);
  // The flag is read again: masking an unused page's content cleared it.
  page.view.setUint16(
    special + HASH_FLAG,
    page.view.getUint16(special + HASH_FLAG, true) & ~LH_PAGE_HAS_DEAD_TUPLES,
    true,
  );
}

/** Masks a page of an SP-GiST index. PG 15-18: spg_mask(). @throws CorruptionError when the page is broken */
export function maskSpgistPage(page: Page): void {
  maskLsnAndChecksum(page);
  maskPageHintBits(page);
  if (pageLower(page) >= SIZE_OF_PAGE_HEADER) maskUnusedSpace(page);
}

/** Masks a page of a BRIN index. PG 15-18: brin_mask(). @throws CorruptionError or RangeError when the page is broken */
export function maskBrinPage(page: Page): void {
  maskLsnAndChecksum(page);
  maskPageHintBits(page);
  const special = pageSpecial(page);
  const type = page.view.getUint16(special + BRIN_PAGE_TYPE, true);
  if (type === BRIN_PAGETYPE_REGULAR || (type === BRIN_PAGETYPE_META && pageLower(page) > SIZE_OF_PAGE_HEADER))
    maskUnusedSpace(page);
  page.view.setUint16(
    special + BRIN_FLAGS,
    page.view.getUint16(special + BRIN_FLAGS, true) & ~BRIN_EVACUATE_PAGE,
    true,
  );
}
