import { SIZE_OF_PAGE_HEADER, copyBytes, setPageLower, type Page, type WalRecord } from '@zenith/pg-format';
import { GIN_META, initGinPage } from './page.ts';

// GinMetaPageData, after the page header: head u32 @0, tail u32 @4, tailFreeSize u32 @8, nPendingPages u32 @12, nPendingHeapTuples i64 @16,
// nTotalPages u32 @24, nEntryPages u32 @28, nDataPages u32 @32, nEntries i64 @40, ginVersion i32 @48; 56 bytes. Records hold all of it.
// PG 15-18: ginblock.h

/** Length of the meta data. Unit: bytes. PG: sizeof(GinMetaPageData). */
export const SIZE_OF_GIN_META = 56;

/**
 * Builds the meta page of an index out of the {@link SIZE_OF_GIN_META} bytes at `at` in the record, which the caller has checked.
 * PG: GinInitMetabuffer(), ginutil.c, and the copy in its callers in ginxlog.c.
 */
export function restoreGinMetaPage(record: WalRecord, at: number, page: Page): void {
  initGinPage(page, GIN_META);
  copyBytes(record.bytes, at, page.bytes, SIZE_OF_PAGE_HEADER, SIZE_OF_GIN_META);
  // Without this an image of the page would leave the meta data out as part of the hole.
  setPageLower(page, SIZE_OF_PAGE_HEADER + SIZE_OF_GIN_META);
}
