import type { Lsn } from '@zenith/base';

/** Size of a page. Unit: bytes. PG: BLCKSZ, pg_config.h. */
export const BLCKSZ = 8192;

/** Blocks in one segment file of a relation fork (1 GiB). PG: RELSEG_SIZE, pg_config.h. */
export const RELSEG_SIZE = 131072;

/** One page in memory: 8192 bytes with the one view over them that travels along. */
export interface Page {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** A new page of zeroes in a buffer of its own. */
export function allocatePage(): Page {
  const buffer = new ArrayBuffer(BLCKSZ);
  return { bytes: new Uint8Array(buffer), view: new DataView(buffer) };
}

// PageHeaderData: pd_lsn 2×u32 @0 (high word first), pd_checksum u16 @8, pd_flags u16 @10, pd_lower u16 @12, pd_upper u16 @14,
// pd_special u16 @16, pd_pagesize_version u16 @18, pd_prune_xid u32 @20, line pointers u32[] @24.  PG 18: bufpage.h
const PD_LSN_HIGH = 0;
const PD_LSN_LOW = 4;

/** The LSN in the page header. PG: PageGetLSN(). */
export function pageLsn(page: Page): Lsn {
  return (page.view.getUint32(PD_LSN_HIGH, true) * 0x1_0000_0000 + page.view.getUint32(PD_LSN_LOW, true)) as Lsn;
}

/** Sets the LSN in the page header. PG: PageSetLSN(). */
export function setPageLsn(page: Page, lsn: Lsn): void {
  page.view.setUint32(PD_LSN_HIGH, Math.floor(lsn / 0x1_0000_0000), true);
  page.view.setUint32(PD_LSN_LOW, lsn % 0x1_0000_0000, true);
}

/** Most line pointers a heap page can have. PG: MaxHeapTuplesPerPage, htup_details.h. */
export const MAX_HEAP_TUPLES_PER_PAGE = 291;

/** Most tuples an index page can have. PG: MaxIndexTuplesPerPage, itup.h. */
export const MAX_INDEX_TUPLES_PER_PAGE = 408;
