import { CorruptionError } from '@zenith/base';
import { SIZE_OF_PAGE_HEADER, setPageLower, type Page } from '@zenith/pg-format';
import { blockNumber, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { BRIN_PAGETYPE_META, BRIN_PAGETYPE_REVMAP, checkBrinPage, initBrinPage } from './page.ts';

// BrinMetaPageData, after the page header: brinMagic u32 @0, brinVersion u32 @4, pagesPerRange u32 @8, lastRevmapPage u32 @12.
// PG 15-18: brin_page.h
const META = SIZE_OF_PAGE_HEADER;
const MAGIC = 0;
const VERSION = 4;
const PAGES_PER_RANGE = 8;
const LAST_REVMAP_PAGE = 12;
const SIZE_OF_META = 16;
const BRIN_META_MAGIC = 0xa8109cfa;

// xl_brin_createidx: pagesPerRange u32 @0, version u16 @4.  Block 0: the meta page.
// xl_brin_revmap_extend: targetBlk u32 @0.  Block 0: the meta page. Block 1: the new page of the map, which is block targetBlk.
// PG 15-18: brin_xlog.h; redo: brin_xlog_createidx(), brin_xlog_revmap_extend() in brin_xlog.c
const SIZE_OF_BRIN_CREATEIDX = 6;
const SIZE_OF_BRIN_REVMAP_EXTEND = 4;
const NEW_REVMAP_PAGE = 1;

/** PG: brin_xlog_createidx(). */
export const redoBrinCreateIndex: RedoRoutine = (record, blockIndex, page) => {
  if (blockIndex !== 0) throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  const main = mainData(record, SIZE_OF_BRIN_CREATEIDX);
  initBrinPage(page, BRIN_PAGETYPE_META);
  page.view.setUint32(META + MAGIC, BRIN_META_MAGIC, true);
  page.view.setUint32(META + VERSION, record.view.getUint16(main + 4, true), true);
  page.view.setUint32(META + PAGES_PER_RANGE, record.view.getUint32(main, true), true);
  setLastRevmapPage(page, 0);
  return true;
};

/** PG: brin_xlog_revmap_extend(). */
export const redoBrinRevmapExtend: RedoRoutine = (record, blockIndex, page) => {
  const target = record.view.getUint32(mainData(record, SIZE_OF_BRIN_REVMAP_EXTEND), true);
  if (blockNumber(record, NEW_REVMAP_PAGE) !== target)
    throw new CorruptionError(`the map is extended by block ${target}, the record has ${blockNumber(record, 1)}`);
  switch (blockIndex) {
    case 0:
      checkBrinPage(page, BRIN_PAGETYPE_META);
      setLastRevmapPage(page, target);
      return true;
    case NEW_REVMAP_PAGE:
      initBrinPage(page, BRIN_PAGETYPE_REVMAP);
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};

/** Sets it, and pd_lower, without which an image of the page would leave the meta data out as part of the hole. */
function setLastRevmapPage(page: Page, block: number): void {
  page.view.setUint32(META + LAST_REVMAP_PAGE, block, true);
  setPageLower(page, META + SIZE_OF_META);
}
