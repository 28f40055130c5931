import { BLCKSZ } from '../page/page.ts';
import { SIZE_OF_PAGE_HEADER } from '../page/header.ts';

// The visibility map's pages hold, after the page header, two bits a heap block, four blocks a byte, the lowest bits first.
// PG 15-18: visibilitymap.c, visibilitymapdefs.h

/** Bit of a heap block: all its tuples are visible to everyone. PG: visibilitymapdefs.h. */
export const VISIBILITYMAP_ALL_VISIBLE = 0x01;
/** Bit of a heap block: all its tuples are frozen. PG: visibilitymapdefs.h. */
export const VISIBILITYMAP_ALL_FROZEN = 0x02;
/** Both bits. PG: visibilitymapdefs.h. */
export const VISIBILITYMAP_VALID_BITS = 0x03;

/** Heap blocks one page of the map covers. PG: HEAPBLOCKS_PER_PAGE. */
export const HEAPBLOCKS_PER_VISIBILITYMAP_PAGE = (BLCKSZ - SIZE_OF_PAGE_HEADER) * 4;

/** Block of the map that holds the bits of `heapBlock`. PG: HEAPBLK_TO_MAPBLOCK(). */
export function visibilityMapBlock(heapBlock: number): number {
  return Math.floor(heapBlock / HEAPBLOCKS_PER_VISIBILITYMAP_PAGE);
}

/** Where in that block the byte with the bits of `heapBlock` lies. Unit: bytes into the page. PG: HEAPBLK_TO_MAPBYTE(). */
export function visibilityMapByte(heapBlock: number): number {
  return SIZE_OF_PAGE_HEADER + ((heapBlock % HEAPBLOCKS_PER_VISIBILITYMAP_PAGE) >>> 2);
}

/** How far to the left the two bits of `heapBlock` lie in that byte. PG: HEAPBLK_TO_OFFSET(). */
export function visibilityMapShift(heapBlock: number): number {
  return (heapBlock & 3) * 2;
}
