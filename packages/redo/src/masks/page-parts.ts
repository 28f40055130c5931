import {
  LP_UNUSED,
  PD_ALL_VISIBLE,
  PD_HAS_FREE_LINES,
  PD_PAGE_FULL,
  checkPagePointers,
  clearPageFlags,
  linePointer,
  lpFlags,
  lpLength,
  lpOffset,
  packLinePointer,
  pageLower,
  pageMaxOffset,
  pageUpper,
  setLinePointer,
  setPageChecksum,
  setPageLower,
  setPageLsn,
  setPagePruneXid,
  setPageUpper,
  SIZE_OF_PAGE_HEADER,
  type Page,
} from '@zenith/pg-format';
import { INVALID_LSN } from '@zenith/base';

/** What masked bytes are overwritten with. PG: MASK_MARKER, bufmask.h. */
export const MASK_MARKER = 0;

/** PG: mask_page_lsn_and_checksum(), bufmask.c. */
export function maskLsnAndChecksum(page: Page): void {
  setPageLsn(page, INVALID_LSN);
  setPageChecksum(page, MASK_MARKER);
}

/** What of a page header changes without WAL. PG: mask_page_hint_bits(), bufmask.c. */
export function maskPageHintBits(page: Page): void {
  setPagePruneXid(page, MASK_MARKER);
  clearPageFlags(page, PD_PAGE_FULL | PD_HAS_FREE_LINES | PD_ALL_VISIBLE);
}

/** The hole between pd_lower and pd_upper. PG: mask_unused_space(), bufmask.c. @throws CorruptionError when there is no telling where it is */
export function maskUnusedSpace(page: Page): void {
  checkPagePointers(page);
  page.bytes.fill(MASK_MARKER, pageLower(page), pageUpper(page));
}

/** States of line pointers, which index scans change without WAL. PG: mask_lp_flags(), bufmask.c. */
export function maskLinePointerFlags(page: Page): void {
  const count = pageMaxOffset(page);
  for (let offsetNumber = 1; offsetNumber <= count; offsetNumber++) {
    const pointer = linePointer(page, offsetNumber);
    if (lpFlags(pointer) !== LP_UNUSED)
      setLinePointer(page, offsetNumber, packLinePointer(lpOffset(pointer), LP_UNUSED, lpLength(pointer)));
  }
}

/** All of a deleted page but its header. PG: mask_page_content(), bufmask.c. */
export function maskPageContent(page: Page): void {
  page.bytes.fill(MASK_MARKER, SIZE_OF_PAGE_HEADER);
  setPageLower(page, MASK_MARKER);
  setPageUpper(page, MASK_MARKER);
}
