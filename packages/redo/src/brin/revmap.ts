import { CorruptionError } from '@zenith/base';
import { SIZE_OF_ITEM_POINTER, SIZE_OF_PAGE_HEADER, setItemPointer, type Page } from '@zenith/pg-format';
import { BRIN_PAGETYPE_REVMAP, checkBrinPage } from './page.ts';

// RevmapContents: item pointers from the page header to the special space, one for each range of heap pages.  PG 15-18: brin_page.h
/** PG: REVMAP_PAGE_MAXITEMS. */
const REVMAP_PAGE_MAXITEMS = 1360;

/**
 * Says on a page of the map where the tuple is that sums up the range of heap pages that `heapBlock` belongs to. That the page is the one
 * for that range is the record's word. PG: brinSetHeapBlockItemptr(), brin_revmap.c. @throws CorruptionError
 */
export function setRevmapEntry(
  page: Page,
  pagesPerRange: number,
  heapBlock: number,
  block: number,
  offsetNumber: number,
): void {
  checkBrinPage(page, BRIN_PAGETYPE_REVMAP);
  if (pagesPerRange === 0) throw new CorruptionError('ranges of 0 heap pages');
  const index = Math.floor(heapBlock / pagesPerRange) % REVMAP_PAGE_MAXITEMS;
  setItemPointer(page.view, SIZE_OF_PAGE_HEADER + index * SIZE_OF_ITEM_POINTER, block, offsetNumber);
}
