import { CorruptionError } from '@zenith/base';
import {
  DEAD_LINE_POINTER,
  UNUSED_LINE_POINTER,
  pageRepairFragmentation,
  pageTruncateLinePointerArray,
} from '@zenith/pg-format';
import { blockData, blockDataLength, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { changeItems, redirectItems } from './item-changes.ts';

// xl_heap_prune: latestRemovedXid (16: snapshotConflictHorizon) u32 @0, nredirected u16 @4, ndead u16 @6; 16 has isCatalogRel u8 @8 behind it.
// Data of block 0: nredirected times from u16, to u16; ndead times u16; the rest, u16 each, are the items that become unused.
// xl_heap_vacuum: nunused u16 @0.  Data of block 0: nunused times u16.
// PG 15, 16: heapam_xlog.h; redo: heapam.c, heap_page_prune_execute() in pruneheap.c
const SIZE_OF_HEAP_PRUNE = 8;
const SIZE_OF_HEAP_VACUUM = 2;

/** PG 15, 16: heap_xlog_prune(), under the cleanup lock: tuples move. */
export const redoHeapPrune: RedoRoutine = (record, blockIndex, page) => {
  const { view } = record;
  const main = mainData(record, SIZE_OF_HEAP_PRUNE);
  const redirectCount = view.getUint16(main + 4, true);
  const deadCount = view.getUint16(main + 6, true);
  const start = blockData(record, blockIndex, 0);
  const length = blockDataLength(record, blockIndex);
  const unusedCount = length / 2 - redirectCount * 2 - deadCount;
  if (length === 0 || unusedCount < 0 || !Number.isInteger(unusedCount))
    throw new CorruptionError(`${redirectCount} redirected and ${deadCount} dead items in ${length} bytes of data`);
  let at = redirectItems(view, start, redirectCount, page);
  at = changeItems(view, at, deadCount, page, DEAD_LINE_POINTER);
  changeItems(view, at, unusedCount, page, UNUSED_LINE_POINTER);
  pageRepairFragmentation(page);
  return true;
};

/** PG 15, 16: heap_xlog_vacuum(), without the cleanup lock: only line pointers that were dead already become unused. */
export const redoHeapVacuum: RedoRoutine = (record, blockIndex, page) => {
  const { view } = record;
  const count = view.getUint16(mainData(record, SIZE_OF_HEAP_VACUUM), true);
  const start = blockData(record, blockIndex, 0);
  const length = blockDataLength(record, blockIndex);
  if (count === 0 || length !== count * 2)
    throw new CorruptionError(`${count} unused items in ${length} bytes of data`);
  changeItems(view, start, count, page, UNUSED_LINE_POINTER);
  pageTruncateLinePointerArray(page);
  return true;
};
