import {
  INVALID_BLOCK_NUMBER,
  MOVED_PARTITIONS_OFFSET_NUMBER,
  PD_ALL_VISIBLE,
  clearPageFlags,
  setHeapCommandId,
  setHeapCtid,
  setHeapXmax,
  setHeapXmin,
} from '@zenith/pg-format';
import { blockNumber, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { FIRST_COMMAND_ID, setHotUpdated, setPrunable, setXmaxBits, tupleAt } from './tuple.ts';

// xl_heap_delete: xmax u32 @0, offnum u16 @4, infobits_set u8 @6, flags u8 @7.  PG 15-18: heapam_xlog.h; redo: heapam_xlog.c (heapam.c before 18)
const SIZE_OF_HEAP_DELETE = 8;
const XLH_DELETE_ALL_VISIBLE_CLEARED = 0x01;
const XLH_DELETE_IS_SUPER = 0x08;
const XLH_DELETE_IS_PARTITION_MOVE = 0x10;

/** PG: heap_xlog_delete(). */
export const redoHeapDelete: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_HEAP_DELETE);
  const { view } = record;
  const offsetNumber = view.getUint16(main + 4, true);
  const flags = view.getUint8(main + 7);
  const tuple = tupleAt(page, offsetNumber);
  setXmaxBits(page, tuple, view.getUint8(main + 6));
  setHotUpdated(page, tuple, false);
  // A speculative insertion that is taken back never was: no xmin rather than an xmax.
  if ((flags & XLH_DELETE_IS_SUPER) === 0) setHeapXmax(page.view, tuple, view.getUint32(main, true));
  else setHeapXmin(page.view, tuple, 0);
  setHeapCommandId(page.view, tuple, FIRST_COMMAND_ID);
  setPrunable(page, record.xid);
  if ((flags & XLH_DELETE_ALL_VISIBLE_CLEARED) !== 0) clearPageFlags(page, PD_ALL_VISIBLE);
  if ((flags & XLH_DELETE_IS_PARTITION_MOVE) !== 0)
    setHeapCtid(page.view, tuple, INVALID_BLOCK_NUMBER, MOVED_PARTITIONS_OFFSET_NUMBER);
  else setHeapCtid(page.view, tuple, blockNumber(record, blockIndex), offsetNumber);
  return true;
};
