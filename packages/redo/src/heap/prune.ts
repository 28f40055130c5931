import { CorruptionError } from '@zenith/base';
import {
  DEAD_LINE_POINTER,
  UNUSED_LINE_POINTER,
  pageRepairFragmentation,
  pageTruncateLinePointerArray,
} from '@zenith/pg-format';
import { blockData, blockDataLength, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { FREEZE_PLAN, freezeByPlans } from './freeze.ts';
import { changeItems, redirectItems } from './item-changes.ts';

// xl_heap_prune: reason u8 @0, flags u8 @1, with XLHP_HAS_CONFLICT_HORIZON an xid (unaligned, for hot standby only).
// Data of block 0, each part only with its flag:
//   freeze plans: nplans u16, 2 bytes of padding, then the plans (freeze.ts)
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
const ITEMS_HEADER = 2;

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
  if ((flags & XLHP_HAS_REDIRECTIONS) !== 0)
    at = redirectItems(view, at + ITEMS_HEADER, itemCount(view, at, end, 4), page);
  if ((flags & XLHP_HAS_DEAD_ITEMS) !== 0)
    at = changeItems(view, at + ITEMS_HEADER, itemCount(view, at, end, 2), page, DEAD_LINE_POINTER);
  if ((flags & XLHP_HAS_NOW_UNUSED_ITEMS) !== 0)
    at = changeItems(view, at + ITEMS_HEADER, itemCount(view, at, end, 2), page, UNUSED_LINE_POINTER);
  if (at !== items) {
    // Without the cleanup lock nobody may move tuples: only line pointers that were dead already became unused.
    if ((flags & XLHP_CLEANUP_LOCK) === 0) pageTruncateLinePointerArray(page);
    else pageRepairFragmentation(page);
  }
  if (freezeByPlans(view, page, start + FREEZE_PLANS_HEADER, planCount, at, end) !== end)
    throw new CorruptionError('more data than the flags announce');
  return true;
};

function itemCount(view: DataView, start: number, end: number, size: number): number {
  const count = start + ITEMS_HEADER > end ? 0 : view.getUint16(start, true);
  if (count === 0 || start + ITEMS_HEADER + count * size > end)
    throw new CorruptionError(`${count} items announced, ${end - start} bytes left`);
  return count;
}
