import { CorruptionError } from '@zenith/base';
import { BLCKSZ, INVALID_BLOCK_NUMBER, SIZE_OF_PAGE_HEADER, setPageLower, type Page } from '@zenith/pg-format';
import {
  INVALID_BUCKET,
  LH_META_PAGE,
  SIZE_OF_HASH_PAGE_OPAQUE,
  hashOpaque,
  hashPageType,
  initHashPage,
} from './page.ts';
import { bucketsUpTo, splitpointOf } from './splitpoint.ts';

// HashMetaPageData behind the page header, 4544 bytes: hashm_magic u32 @0, hashm_version u32 @4, hashm_ntuples f64 @8, hashm_ffactor u16 @16,
// hashm_bsize u16 @18, hashm_bmsize u16 @20, hashm_bmshift u16 @22, hashm_maxbucket u32 @24, hashm_highmask u32 @28, hashm_lowmask u32 @32,
// hashm_ovflpoint u32 @36, hashm_firstfree u32 @40, hashm_nmaps u32 @44, hashm_procid u32 @48, hashm_spares u32[98] @52, hashm_mapp u32[1024] @444.
// PG 15-18: hash.h
const META = SIZE_OF_PAGE_HEADER;
const MAGIC = META;
const VERSION = META + 4;
const NTUPLES = META + 8;
const FFACTOR = META + 16;
const BSIZE = META + 18;
const BMSIZE = META + 20;
const BMSHIFT = META + 22;
const MAXBUCKET = META + 24;
const HIGHMASK = META + 28;
const LOWMASK = META + 32;
const OVFLPOINT = META + 36;
const FIRSTFREE = META + 40;
const NMAPS = META + 44;
const PROCID = META + 48;
const SPARES = META + 52;
const MAPP = META + 444;
const SIZE_OF_META_PAGE_DATA = 4544;
const HASH_MAX_SPLITPOINTS = 98;
const HASH_MAX_BITMAPS = 1024;
const HASH_MAGIC = 0x6440640;
const HASH_VERSION = 4;

/** log2 of the bytes of a bitmap: the highest power of two that fits a page. */
const BITMAP_SHIFT = 12;
const BYTE_TO_BIT = 3;
/** Most buckets that an index begins with. PG: _hash_init_metabuffer(). */
const MAX_INITIAL_BUCKETS = 0x4000_0000;

/** Checks that an existing page is a meta page with its counters in bounds. @throws CorruptionError */
export function checkHashMetaPage(page: Page): void {
  const { view } = page;
  if (
    hashPageType(page, hashOpaque(page)) !== LH_META_PAGE ||
    view.getUint32(MAGIC, true) !== HASH_MAGIC ||
    view.getUint32(OVFLPOINT, true) >= HASH_MAX_SPLITPOINTS ||
    view.getUint32(NMAPS, true) > HASH_MAX_BITMAPS
  )
    throw new CorruptionError('not a meta page of a hash index');
}

/** Makes `page` the meta page of an empty index that expects `tupleCount` tuples. PG: _hash_init_metabuffer(). */
export function initHashMetaPage(page: Page, tupleCount: number, procid: number, fillFactor: number): void {
  const wanted = tupleCount / fillFactor;
  if (!(wanted >= 0)) throw new CorruptionError(`an index of ${tupleCount} tuples, ${fillFactor} in a bucket`);
  let buckets = 2;
  if (wanted >= MAX_INITIAL_BUCKETS) buckets = MAX_INITIAL_BUCKETS;
  else if (wanted > 2) buckets = bucketsUpTo(splitpointOf(Math.trunc(wanted)));
  const splitpoint = splitpointOf(buckets);
  const bits = 32 - Math.clz32(buckets); // buckets + 1 rounded up to a power of two is 2^bits

  initHashPage(page, INVALID_BLOCK_NUMBER, INVALID_BUCKET, LH_META_PAGE);
  const { view } = page;
  view.setUint32(MAGIC, HASH_MAGIC, true);
  view.setUint32(VERSION, HASH_VERSION, true);
  view.setUint16(FFACTOR, fillFactor, true);
  view.setUint16(BSIZE, BLCKSZ - SIZE_OF_PAGE_HEADER - SIZE_OF_HASH_PAGE_OPAQUE, true);
  view.setUint16(BMSIZE, 1 << BITMAP_SHIFT, true);
  view.setUint16(BMSHIFT, BITMAP_SHIFT + BYTE_TO_BIT, true);
  view.setUint32(MAXBUCKET, buckets - 1, true);
  view.setUint32(HIGHMASK, 2 ** bits - 1, true);
  view.setUint32(LOWMASK, 2 ** (bits - 1) - 1, true);
  view.setUint32(OVFLPOINT, splitpoint, true);
  view.setUint32(PROCID, procid, true);
  // One page behind the buckets is taken: the first bitmap.
  setSpares(page, splitpoint, 1);
  setPageLower(page, META + SIZE_OF_META_PAGE_DATA);
}

/** hashm_ntuples. */
export function hashTupleCount(page: Page): number {
  return page.view.getFloat64(NTUPLES, true);
}

/** Sets hashm_ntuples. */
export function setHashTupleCount(page: Page, count: number): void {
  page.view.setFloat64(NTUPLES, count, true);
}

/** hashm_maxbucket. */
export function hashMaxBucket(page: Page): number {
  return page.view.getUint32(MAXBUCKET, true);
}

/** Sets hashm_maxbucket. */
export function setHashMaxBucket(page: Page, bucket: number): void {
  page.view.setUint32(MAXBUCKET, bucket, true);
}

/** Sets hashm_lowmask and hashm_highmask. */
export function setHashMasks(page: Page, low: number, high: number): void {
  page.view.setUint32(LOWMASK, low, true);
  page.view.setUint32(HIGHMASK, high, true);
}

/** Goes on to another splitpoint, before which there are `spares` overflow pages. @throws CorruptionError when there is no such splitpoint */
export function setHashSplitpoint(page: Page, splitpoint: number, spares: number): void {
  if (splitpoint >= HASH_MAX_SPLITPOINTS)
    throw new CorruptionError(`splitpoint ${splitpoint} of ${HASH_MAX_SPLITPOINTS}`);
  setSpares(page, splitpoint, spares);
  page.view.setUint32(OVFLPOINT, splitpoint, true);
}

/** Sets hashm_firstfree, the lowest overflow page that may be free. */
export function setHashFirstFree(page: Page, bit: number): void {
  page.view.setUint32(FIRSTFREE, bit, true);
}

/** Counts one more overflow page at the current splitpoint. */
export function addHashSpare(page: Page): void {
  const splitpoint = page.view.getUint32(OVFLPOINT, true);
  setSpares(page, splitpoint, page.view.getUint32(SPARES + splitpoint * 4, true) + 1);
}

/** Adds a bitmap page to the list of them. @throws CorruptionError when the list is full */
export function addHashBitmap(page: Page, block: number): void {
  const count = page.view.getUint32(NMAPS, true);
  if (count >= HASH_MAX_BITMAPS) throw new CorruptionError(`${count} bitmap pages, there is no room for one more`);
  page.view.setUint32(MAPP + count * 4, block, true);
  page.view.setUint32(NMAPS, count + 1, true);
}

function setSpares(page: Page, splitpoint: number, spares: number): void {
  page.view.setUint32(SPARES + splitpoint * 4, spares, true);
}
