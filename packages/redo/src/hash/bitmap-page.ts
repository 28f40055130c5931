import { CorruptionError } from '@zenith/base';
import {
  BLCKSZ,
  INVALID_BLOCK_NUMBER,
  SIZE_OF_PAGE_HEADER,
  pageLower,
  setPageLower,
  type Page,
} from '@zenith/pg-format';
import {
  INVALID_BUCKET,
  LH_BITMAP_PAGE,
  SIZE_OF_HASH_PAGE_OPAQUE,
  hashOpaque,
  hashPageType,
  initHashPage,
} from './page.ts';

// The bitmap begins behind the page header, bit 0 in bit 0 of its first byte (the server's words are little-endian); set: taken.
// PG 15-18: hash.h; _hash_initbitmapbuffer() in hashovfl.c
const BITMAP = SIZE_OF_PAGE_HEADER;
const MAX_BITMAP_LENGTH = BLCKSZ - BITMAP - SIZE_OF_HASH_PAGE_OPAQUE;

/** Makes `page` a bitmap of `length` bytes with every bit set. PG: _hash_initbitmapbuffer(). @throws CorruptionError when it does not fit */
export function initHashBitmapPage(page: Page, length: number): void {
  if (length > MAX_BITMAP_LENGTH) throw new CorruptionError(`a bitmap of ${length} bytes does not fit a page`);
  initHashPage(page, INVALID_BLOCK_NUMBER, INVALID_BUCKET, LH_BITMAP_PAGE);
  page.bytes.fill(0xff, BITMAP, BITMAP + length);
  setPageLower(page, BITMAP + length);
}

/** Marks an overflow page as taken. @throws CorruptionError when the bitmap has no such bit */
export function setHashBitmapBit(page: Page, bit: number): void {
  const at = bitmapByte(page, bit);
  page.view.setUint8(at, page.view.getUint8(at) | (1 << (bit & 7)));
}

/** Marks an overflow page as free. @throws CorruptionError when the bitmap has no such bit */
export function clearHashBitmapBit(page: Page, bit: number): void {
  const at = bitmapByte(page, bit);
  page.view.setUint8(at, page.view.getUint8(at) & ~(1 << (bit & 7)));
}

function bitmapByte(page: Page, bit: number): number {
  const at = BITMAP + (bit >>> 3);
  if (hashPageType(page, hashOpaque(page)) !== LH_BITMAP_PAGE || at >= pageLower(page))
    throw new CorruptionError(`bit ${bit} of a bitmap of ${pageLower(page) - BITMAP} bytes`);
  return at;
}
