import { CorruptionError } from '@zenith/base';
import {
  FROZEN_TRANSACTION_ID,
  INVALID_TRANSACTION_ID,
  setHeapCid,
  setHeapInfomask,
  setHeapInfomask2,
  setHeapXmax,
  type Page,
} from '@zenith/pg-format';
import { blockData, blockDataLength, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { tupleAt } from './tuple.ts';

// xl_heap_freeze_page.  PG 15: cutoff_xid u32 @0, ntuples u16 @4; PG 16: snapshotConflictHorizon u32 @0, nplans u16 @4, isCatalogRel u8 @6.
// Data of block 0.  PG 15: per tuple 12 bytes: xmax u32 @0, offset u16 @4, t_infomask2 u16 @6, t_infomask u16 @8, frzflags u8 @10.
// PG 16: the plans, 12 bytes each, with how many tuples each is for: xmax u32 @0, t_infomask2 u16 @4, t_infomask u16 @6, frzflags u8 @8,
// ntuples u16 @10; then the tuples' offset numbers, u16 each, in the order of the plans. From 17 on they are part of the prune record.
// heapam_xlog.h; redo: heap_xlog_freeze_page() and heap_execute_freeze_tuple(), heapam.c
const SIZE_OF_HEAP_FREEZE_PAGE_15 = 6;
const SIZE_OF_HEAP_FREEZE_PAGE_16 = 7;
const COUNT = 4;
const FREEZE_TUPLE = 12;
/** Size of a freeze plan of 16 and later. Unit: bytes. */
export const FREEZE_PLAN = 12;
const XLH_FREEZE_XVAC = 0x02;
const XLH_INVALID_XVAC = 0x04;

/** PG 15: heap_xlog_freeze_page(). */
export const redoHeapFreezePage15: RedoRoutine = (record, blockIndex, page) => {
  const { view } = record;
  const count = view.getUint16(mainData(record, SIZE_OF_HEAP_FREEZE_PAGE_15) + COUNT, true);
  const start = blockData(record, blockIndex, 0);
  const length = blockDataLength(record, blockIndex);
  if (length !== count * FREEZE_TUPLE)
    throw new CorruptionError(`${count} tuples to freeze in ${length} bytes of data`);
  for (let i = 0; i < count; i++) {
    const at = start + i * FREEZE_TUPLE;
    freezeTuple(page, view, view.getUint16(at + 4, true), at, at + 6);
  }
  return true;
};

/** PG 16: heap_xlog_freeze_page(). */
export const redoHeapFreezePage16: RedoRoutine = (record, blockIndex, page) => {
  const { view } = record;
  const count = view.getUint16(mainData(record, SIZE_OF_HEAP_FREEZE_PAGE_16) + COUNT, true);
  const start = blockData(record, blockIndex, 0);
  const end = start + blockDataLength(record, blockIndex);
  if (freezeByPlans(view, page, start, count, start + count * FREEZE_PLAN, end) !== end)
    throw new CorruptionError(`more data than ${count} freeze plans announce`);
  return true;
};

/**
 * Freezes what `planCount` plans at `plans` of `view` say; the offset numbers of their tuples begin at `offsets`, the data end at `end`. Gives the end of the
 * offset numbers. PG: heap_execute_freeze_tuple() for each.
 */
export function freezeByPlans(
  view: DataView,
  page: Page,
  plans: number,
  planCount: number,
  offsets: number,
  end: number,
): number {
  if (offsets > end) throw new CorruptionError(`${planCount} freeze plans announced, ${end - plans} bytes of data`);
  let at = offsets;
  for (let i = 0; i < planCount; i++) {
    const plan = plans + i * FREEZE_PLAN;
    const tupleCount = view.getUint16(plan + 10, true);
    if (at + tupleCount * 2 > end)
      throw new CorruptionError(
        `freeze plan ${i + 1} of ${planCount} has ${tupleCount} tuples, more than the data hold`,
      );
    for (let t = 0; t < tupleCount; t++, at += 2) freezeTuple(page, view, view.getUint16(at, true), plan, plan + 4);
  }
  return at;
}

/** Gives a tuple the xmax at `xmaxAt` of `view`, and the infomasks that lie at `masksAt` with the flags behind them. */
function freezeTuple(page: Page, view: DataView, offsetNumber: number, xmaxAt: number, masksAt: number): void {
  const tuple = tupleAt(page, offsetNumber);
  const flags = view.getUint8(masksAt + 4);
  setHeapXmax(page.view, tuple, view.getUint32(xmaxAt, true));
  if ((flags & XLH_FREEZE_XVAC) !== 0) setHeapCid(page.view, tuple, FROZEN_TRANSACTION_ID);
  if ((flags & XLH_INVALID_XVAC) !== 0) setHeapCid(page.view, tuple, INVALID_TRANSACTION_ID);
  setHeapInfomask2(page.view, tuple, view.getUint16(masksAt, true));
  setHeapInfomask(page.view, tuple, view.getUint16(masksAt + 2, true));
}
