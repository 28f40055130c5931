import { CorruptionError } from '@zenith/base';
import {
  FROZEN_TRANSACTION_ID,
  INVALID_TRANSACTION_ID,
  pageMaxOffset,
  pageRepairFragmentation,
  pageTruncateLinePointerArray,
  setLinePointerDead,
  setLinePointerRedirect,
  setLinePointerUnused,
  setHeapCid,
  setHeapInfomask,
  setHeapInfomask2,
  setHeapXmax,
  type Page,
  type WalRecord,
} from '@zenith/pg-format';
import { blockData, blockDataLength, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { tupleAt } from './tuple.ts';

// xl_heap_prune: reason u8 @0, flags u8 @1, with XLHP_HAS_CONFLICT_HORIZON an xid (unaligned, for hot standby only).
// Data of block 0, each part only with its flag:
//   freeze plans: nplans u16, 2 bytes of padding, then per plan 12 bytes: xmax u32 @0, t_infomask2 u16 @4, t_infomask u16 @6, frzflags u8 @8, ntuples u16 @10
//   redirections: n u16, then n times from u16, to u16
//   dead items:   n u16, then n times u16
//   unused items: n u16, then n times u16
//   the frozen tuples' offset numbers, u16 each, in the order of the plans
// PG 17, 18: heapam_xlog.h; redo: heapam_xlog.c (heapam.c in 17), heap_page_prune_execute() in pruneheap.c
const SIZE_OF_HEAP_PRUNE = 2;
const XLHP_CLEANUP_LOCK = 0x04;
const XLHP_HAS_FREEZE_PLANS = 0x10;
const XLHP_HAS_REDIRECTIONS = 0x20;
const XLHP_HAS_DEAD_ITEMS = 0x40;
const XLHP_HAS_NOW_UNUSED_ITEMS = 0x80;
const FREEZE_PLANS_HEADER = 4;
const FREEZE_PLAN = 12;
const XLH_FREEZE_XVAC = 0x02;
const XLH_INVALID_XVAC = 0x04;

/** PG: heap_xlog_prune_freeze(): all three kinds of pruning and vacuuming of 17 and later, freezing included. */
export const redoHeapPruneFreeze: RedoRoutine = (record, blockIndex, page) => {
  const flags = record.view.getUint8(mainData(record, SIZE_OF_HEAP_PRUNE) + 1);
  const { view } = record;
  const start = blockData(record, blockIndex, 0);
  const end = start + blockDataLength(record, blockIndex);
  let at = start;
  let planCount = 0;
  if ((flags & XLHP_HAS_FREEZE_PLANS) !== 0) {
    planCount = view.getUint16(blockData(record, blockIndex, FREEZE_PLANS_HEADER), true);
    at += FREEZE_PLANS_HEADER + planCount * FREEZE_PLAN;
    if (at > end) throw new CorruptionError(`${planCount} freeze plans announced, ${end - start} bytes of data`);
  }
  const items = at;
  if ((flags & XLHP_HAS_REDIRECTIONS) !== 0) at = redirectItems(view, at, end, page);
  if ((flags & XLHP_HAS_DEAD_ITEMS) !== 0) at = changeItems(view, at, end, page, setLinePointerDead);
  if ((flags & XLHP_HAS_NOW_UNUSED_ITEMS) !== 0) at = changeItems(view, at, end, page, setLinePointerUnused);
  if (at !== items) {
    // Without the cleanup lock nobody may move tuples: only line pointers that were dead already became unused.
    if ((flags & XLHP_CLEANUP_LOCK) === 0) pageTruncateLinePointerArray(page);
    else pageRepairFragmentation(page);
  }
  if (freezeTuples(record, page, start + FREEZE_PLANS_HEADER, planCount, at, end) !== end)
    throw new CorruptionError('more data than the flags announce');
  return true;
};

function redirectItems(view: DataView, start: number, end: number, page: Page): number {
  const count = itemCount(view, start, end, 4);
  for (let at = start + 2; at < start + 2 + count * 4; at += 4) {
    setLinePointerRedirect(
      page,
      existing(page, view.getUint16(at, true)),
      existing(page, view.getUint16(at + 2, true)),
    );
  }
  return start + 2 + count * 4;
}

function changeItems(
  view: DataView,
  start: number,
  end: number,
  page: Page,
  change: (page: Page, offsetNumber: number) => void,
): number {
  const count = itemCount(view, start, end, 2);
  for (let at = start + 2; at < start + 2 + count * 2; at += 2) change(page, existing(page, view.getUint16(at, true)));
  return start + 2 + count * 2;
}

function itemCount(view: DataView, start: number, end: number, size: number): number {
  const count = start + 2 > end ? 0 : view.getUint16(start, true);
  if (count === 0 || start + 2 + count * size > end)
    throw new CorruptionError(`${count} items announced, ${end - start} bytes left`);
  return count;
}

function existing(page: Page, offsetNumber: number): number {
  if (offsetNumber === 0 || offsetNumber > pageMaxOffset(page))
    throw new CorruptionError(`offset number ${offsetNumber} of ${pageMaxOffset(page)}`);
  return offsetNumber;
}

/** Freezes what the plans say; gives the end of their offset numbers. PG: heap_execute_freeze_tuple(). */
function freezeTuples(
  record: WalRecord,
  page: Page,
  plans: number,
  planCount: number,
  offsets: number,
  end: number,
): number {
  const { view } = record;
  let at = offsets;
  for (let i = 0; i < planCount; i++) {
    const plan = plans + i * FREEZE_PLAN;
    const flags = view.getUint8(plan + 8);
    const tupleCount = view.getUint16(plan + 10, true);
    if (at + tupleCount * 2 > end)
      throw new CorruptionError(
        `freeze plan ${i + 1} of ${planCount} has ${tupleCount} tuples, more than the data hold`,
      );
    for (let t = 0; t < tupleCount; t++, at += 2) {
      const tuple = tupleAt(page, view.getUint16(at, true));
      setHeapXmax(page.view, tuple, view.getUint32(plan, true));
      if ((flags & XLH_FREEZE_XVAC) !== 0) setHeapCid(page.view, tuple, FROZEN_TRANSACTION_ID);
      if ((flags & XLH_INVALID_XVAC) !== 0) setHeapCid(page.view, tuple, INVALID_TRANSACTION_ID);
      setHeapInfomask2(page.view, tuple, view.getUint16(plan + 4, true));
      setHeapInfomask(page.view, tuple, view.getUint16(plan + 6, true));
    }
  }
  return at;
}
