import { CorruptionError } from '@zenith/base';
import { BLCKSZ, checkPagePointers, initPage, pageSpecial, type Page } from '@zenith/pg-format';

// BrinSpecialSpace, the special space: four u16, of which flags @4, page type @6.  PG 15-18: brin_page.h
const SIZE_OF_SPECIAL = 8;
const PAGE_TYPE = 6;

/** Page type: the meta page. PG: brin_page.h. */
export const BRIN_PAGETYPE_META = 0xf091;
/** Page type: of the map from heap ranges to tuples. PG: brin_page.h. */
export const BRIN_PAGETYPE_REVMAP = 0xf092;
/** Page type: holds tuples. PG: brin_page.h. */
export const BRIN_PAGETYPE_REGULAR = 0xf093;

/** Makes `page` an empty one of this type. PG: brin_page_init(), brin_pageops.c. */
export function initBrinPage(page: Page, type: number): void {
  initPage(page, SIZE_OF_SPECIAL);
  page.view.setUint16(pageSpecial(page) + PAGE_TYPE, type, true);
}

/** @throws CorruptionError unless `page` is one of a BRIN index, of this type */
export function checkBrinPage(page: Page, type: number): void {
  checkPagePointers(page);
  const actual = pageSpecial(page) === BLCKSZ - SIZE_OF_SPECIAL ? page.view.getUint16(BLCKSZ - 2, true) : 0;
  if (actual !== type)
    throw new CorruptionError(`a BRIN page of type 0x${actual.toString(16)}, expected 0x${type.toString(16)}`);
}
