import {
  HEAP_HOT_UPDATED,
  HEAP_KEYS_UPDATED,
  HEAP_MOVED,
  HEAP_XMAX_BITS,
  HEAP_XMAX_EXCL_LOCK,
  HEAP_XMAX_IS_MULTI,
  HEAP_XMAX_KEYSHR_LOCK,
  HEAP_XMAX_LOCK_ONLY,
  SIZE_OF_HEAP_TUPLE_HEADER,
  heapInfomask,
  heapInfomask2,
  lpOffset,
  normalLinePointer,
  pagePruneXid,
  setHeapInfomask,
  setHeapInfomask2,
  setHeapXmax,
  setPagePruneXid,
  xidPrecedes,
  type Page,
} from '@zenith/pg-format';

// infobits_set, u8: how a record says which xmax bits a tuple gets.  PG 15-18: heapam_xlog.h
const XLHL_XMAX_IS_MULTI = 0x01;
const XLHL_XMAX_LOCK_ONLY = 0x02;
const XLHL_XMAX_EXCL_LOCK = 0x04;
const XLHL_XMAX_KEYSHR_LOCK = 0x08;
const XLHL_KEYS_UPDATED = 0x10;

/** What redo sets command ids to: what they were, nobody but the transaction itself could ask. PG: FirstCommandId. */
export const FIRST_COMMAND_ID = 0;

/** Where the tuple of a line pointer that must be LP_NORMAL begins. Unit: bytes into the page. @throws CorruptionError */
export function tupleAt(page: Page, offsetNumber: number): number {
  return lpOffset(normalLinePointer(page, offsetNumber, SIZE_OF_HEAP_TUPLE_HEADER));
}

/**
 * Gives the tuple a new xmax with its bits as `infobits` says; what its old xmax was is forgotten. HEAP_HOT_UPDATED and the command id are
 * the caller's. PG: fix_infomask_from_infobits() and what its callers do before it.
 */
export function setXmaxState(page: Page, tuple: number, xmax: number, infobits: number): void {
  setXmaxBits(page, tuple, infobits);
  setHeapXmax(page.view, tuple, xmax);
}

/** {@link setXmaxState} without the xmax itself. */
export function setXmaxBits(page: Page, tuple: number, infobits: number): void {
  let infomask = heapInfomask(page.view, tuple) & ~(HEAP_XMAX_BITS | HEAP_MOVED);
  if ((infobits & XLHL_XMAX_IS_MULTI) !== 0) infomask |= HEAP_XMAX_IS_MULTI;
  if ((infobits & XLHL_XMAX_LOCK_ONLY) !== 0) infomask |= HEAP_XMAX_LOCK_ONLY;
  if ((infobits & XLHL_XMAX_EXCL_LOCK) !== 0) infomask |= HEAP_XMAX_EXCL_LOCK;
  if ((infobits & XLHL_XMAX_KEYSHR_LOCK) !== 0) infomask |= HEAP_XMAX_KEYSHR_LOCK;
  setHeapInfomask(page.view, tuple, infomask);
  const infomask2 = heapInfomask2(page.view, tuple) & ~HEAP_KEYS_UPDATED;
  setHeapInfomask2(page.view, tuple, (infobits & XLHL_KEYS_UPDATED) === 0 ? infomask2 : infomask2 | HEAP_KEYS_UPDATED);
}

/** Sets or clears HEAP_HOT_UPDATED. */
export function setHotUpdated(page: Page, tuple: number, hot: boolean): void {
  const infomask2 = heapInfomask2(page.view, tuple);
  setHeapInfomask2(page.view, tuple, hot ? infomask2 | HEAP_HOT_UPDATED : infomask2 & ~HEAP_HOT_UPDATED);
}

/** Notes that pruning might remove something once `xid` is old. PG: PageSetPrunable(). */
export function setPrunable(page: Page, xid: number): void {
  const current = pagePruneXid(page);
  if (current === 0 || xidPrecedes(xid, current)) setPagePruneXid(page, xid);
}
