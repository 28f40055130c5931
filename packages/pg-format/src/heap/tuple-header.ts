import { itemPointerBlock, itemPointerOffset, setItemPointer } from '../page/item-pointer.ts';

// HeapTupleHeaderData, 23 bytes: t_xmin u32 @0, t_xmax u32 @4, t_cid or t_xvac u32 @8, t_ctid 6 bytes @12, t_infomask2 u16 @18, t_infomask u16 @20,
// t_hoff u8 @22, then the null bitmap; the tuple's data begin at t_hoff, a multiple of 8.  PG 15-18: htup_details.h
const T_XMIN = 0;
const T_XMAX = 4;
const T_CID = 8;
const T_CTID = 12;
const T_INFOMASK2 = 18;
const T_INFOMASK = 20;
const T_HOFF = 22;

/** Length of the fixed part, where the null bitmap begins. Unit: bytes. PG: SizeofHeapTupleHeader. */
export const SIZE_OF_HEAP_TUPLE_HEADER = 23;

/** t_infomask bit. PG: htup_details.h. */
export const HEAP_HASNULL = 0x0001;
/** t_infomask bit. PG: htup_details.h. */
export const HEAP_HASVARWIDTH = 0x0002;
/** t_infomask bit. PG: htup_details.h. */
export const HEAP_HASEXTERNAL = 0x0004;
/** t_infomask bit. PG: htup_details.h. */
export const HEAP_XMAX_KEYSHR_LOCK = 0x0010;
/** t_infomask bit: t_cid is a combo command id. PG: htup_details.h. */
export const HEAP_COMBOCID = 0x0020;
/** t_infomask bit. PG: htup_details.h. */
export const HEAP_XMAX_EXCL_LOCK = 0x0040;
/** t_infomask bit: t_xmax, if valid, is only a locker. PG: htup_details.h. */
export const HEAP_XMAX_LOCK_ONLY = 0x0080;
/** t_infomask bits. PG: htup_details.h. */
export const HEAP_XMAX_SHR_LOCK = HEAP_XMAX_EXCL_LOCK | HEAP_XMAX_KEYSHR_LOCK;
/** t_infomask bits. PG: htup_details.h. */
export const HEAP_LOCK_MASK = HEAP_XMAX_SHR_LOCK | HEAP_XMAX_EXCL_LOCK | HEAP_XMAX_KEYSHR_LOCK;
/** t_infomask bit: t_xmin is known committed (a hint). PG: htup_details.h. */
export const HEAP_XMIN_COMMITTED = 0x0100;
/** t_infomask bit: t_xmin is known aborted (a hint). PG: htup_details.h. */
export const HEAP_XMIN_INVALID = 0x0200;
/** t_infomask bits: t_xmin is frozen. PG: htup_details.h. */
export const HEAP_XMIN_FROZEN = HEAP_XMIN_COMMITTED | HEAP_XMIN_INVALID;
/** t_infomask bit: t_xmax is known committed (a hint). PG: htup_details.h. */
export const HEAP_XMAX_COMMITTED = 0x0400;
/** t_infomask bit: t_xmax is none or known aborted. PG: htup_details.h. */
export const HEAP_XMAX_INVALID = 0x0800;
/** t_infomask bit: t_xmax is a multixact. PG: htup_details.h. */
export const HEAP_XMAX_IS_MULTI = 0x1000;
/** t_infomask bit: this is an updated version of a row. PG: htup_details.h. */
export const HEAP_UPDATED = 0x2000;
/** t_infomask bit: moved away by VACUUM FULL before 9.0. PG: htup_details.h. */
export const HEAP_MOVED_OFF = 0x4000;
/** t_infomask bit: moved here by VACUUM FULL before 9.0. PG: htup_details.h. */
export const HEAP_MOVED_IN = 0x8000;
/** t_infomask bits. PG: htup_details.h. */
export const HEAP_MOVED = HEAP_MOVED_OFF | HEAP_MOVED_IN;
/** t_infomask bits that tell visibility. PG: htup_details.h. */
export const HEAP_XACT_MASK = 0xfff0;
/** t_infomask bits that tell about t_xmax. PG: htup_details.h. */
export const HEAP_XMAX_BITS =
  HEAP_XMAX_COMMITTED | HEAP_XMAX_INVALID | HEAP_XMAX_IS_MULTI | HEAP_LOCK_MASK | HEAP_XMAX_LOCK_ONLY;
/** t_infomask2 bits: number of attributes. PG: htup_details.h. */
export const HEAP_NATTS_MASK = 0x07ff;
/** t_infomask2 bit: updated with key columns changed, or deleted. PG: htup_details.h. */
export const HEAP_KEYS_UPDATED = 0x2000;
/** t_infomask2 bit. PG: htup_details.h. */
export const HEAP_HOT_UPDATED = 0x4000;
/** t_infomask2 bit: a heap-only tuple. PG: htup_details.h. */
export const HEAP_ONLY_TUPLE = 0x8000;
/** t_infomask2 bits that tell visibility. PG: htup_details.h. */
export const HEAP2_XACT_MASK = 0xe000;

/** t_xmin as stored, of the tuple at `offset`. PG: HeapTupleHeaderGetRawXmin(). */
export function heapXmin(view: DataView, offset: number): number {
  return view.getUint32(offset + T_XMIN, true);
}

/** PG: HeapTupleHeaderSetXmin(). */
export function setHeapXmin(view: DataView, offset: number, xid: number): void {
  view.setUint32(offset + T_XMIN, xid, true);
}

/** t_xmax as stored: a transaction id or, with HEAP_XMAX_IS_MULTI, a multixact. PG: HeapTupleHeaderGetRawXmax(). */
export function heapXmax(view: DataView, offset: number): number {
  return view.getUint32(offset + T_XMAX, true);
}

/** PG: HeapTupleHeaderSetXmax(). */
export function setHeapXmax(view: DataView, offset: number, xid: number): void {
  view.setUint32(offset + T_XMAX, xid, true);
}

/** t_cid, or t_xvac of a moved tuple. PG: HeapTupleHeaderGetRawCommandId(). */
export function heapCid(view: DataView, offset: number): number {
  return view.getUint32(offset + T_CID, true);
}

/** Sets the t_cid/t_xvac field; no flags. */
export function setHeapCid(view: DataView, offset: number, value: number): void {
  view.setUint32(offset + T_CID, value, true);
}

/** Sets t_cid and clears HEAP_COMBOCID. PG: HeapTupleHeaderSetCmin(), HeapTupleHeaderSetCmax() without a combo id. */
export function setHeapCommandId(view: DataView, offset: number, commandId: number): void {
  setHeapCid(view, offset, commandId);
  setHeapInfomask(view, offset, heapInfomask(view, offset) & ~HEAP_COMBOCID);
}

/** Block number in t_ctid. */
export function heapCtidBlock(view: DataView, offset: number): number {
  return itemPointerBlock(view, offset + T_CTID);
}

/** Offset number in t_ctid. */
export function heapCtidOffset(view: DataView, offset: number): number {
  return itemPointerOffset(view, offset + T_CTID);
}

/** Sets t_ctid. */
export function setHeapCtid(view: DataView, offset: number, block: number, offsetNumber: number): void {
  setItemPointer(view, offset + T_CTID, block, offsetNumber);
}

/** t_infomask. */
export function heapInfomask(view: DataView, offset: number): number {
  return view.getUint16(offset + T_INFOMASK, true);
}

/** Sets t_infomask. */
export function setHeapInfomask(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + T_INFOMASK, value, true);
}

/** t_infomask2. */
export function heapInfomask2(view: DataView, offset: number): number {
  return view.getUint16(offset + T_INFOMASK2, true);
}

/** Sets t_infomask2. */
export function setHeapInfomask2(view: DataView, offset: number, value: number): void {
  view.setUint16(offset + T_INFOMASK2, value, true);
}

/** t_hoff: where the tuple's data begin, counted from the tuple. Unit: bytes. */
export function heapHoff(view: DataView, offset: number): number {
  return view.getUint8(offset + T_HOFF);
}

/** Sets t_hoff. */
export function setHeapHoff(view: DataView, offset: number, value: number): void {
  view.setUint8(offset + T_HOFF, value);
}

/** True when t_xmax only locks the tuple. PG: HEAP_XMAX_IS_LOCKED_ONLY(), htup_details.h. */
export function heapXmaxIsLockedOnly(infomask: number): boolean {
  return (
    (infomask & HEAP_XMAX_LOCK_ONLY) !== 0 || (infomask & (HEAP_XMAX_IS_MULTI | HEAP_LOCK_MASK)) === HEAP_XMAX_EXCL_LOCK
  );
}
