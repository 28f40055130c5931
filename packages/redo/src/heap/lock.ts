import { heapInfomask, heapXmaxIsLockedOnly, setHeapCommandId, setHeapCtid } from '@zenith/pg-format';
import { blockNumber, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { FIRST_COMMAND_ID, setHotUpdated, setXmaxState, tupleAt } from './tuple.ts';

// xl_heap_lock and xl_heap_lock_updated: xmax u32 @0 (may be a multixact), offnum u16 @4, infobits_set u8 @6, flags u8 @7.
// PG 15-18: heapam_xlog.h; redo: heapam_xlog.c (heapam.c before 18)
const SIZE_OF_HEAP_LOCK = 8;

/** PG: heap_xlog_lock(). */
export const redoHeapLock: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_HEAP_LOCK);
  const { view } = record;
  const offsetNumber = view.getUint16(main + 4, true);
  const tuple = tupleAt(page, offsetNumber);
  setXmaxState(page, tuple, view.getUint32(main, true), view.getUint8(main + 6));
  if (heapXmaxIsLockedOnly(heapInfomask(page.view, tuple))) {
    // Whatever update the old xmax made is void: the tuple is its own newest version again.
    setHotUpdated(page, tuple, false);
    setHeapCtid(page.view, tuple, blockNumber(record, blockIndex), offsetNumber);
  }
  setHeapCommandId(page.view, tuple, FIRST_COMMAND_ID);
  return true;
};

/** PG: heap_xlog_lock_updated(): the tuple was updated before, its ctid and command id stay. */
export const redoHeapLockUpdated: RedoRoutine = (record, _blockIndex, page) => {
  const main = mainData(record, SIZE_OF_HEAP_LOCK);
  const { view } = record;
  setXmaxState(
    page,
    tupleAt(page, view.getUint16(main + 4, true)),
    view.getUint32(main, true),
    view.getUint8(main + 6),
  );
  return true;
};
