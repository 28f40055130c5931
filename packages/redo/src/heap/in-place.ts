import { CorruptionError } from '@zenith/base';
import {
  SIZE_OF_HEAP_TUPLE_HEADER,
  copyBytes,
  lpLength,
  lpOffset,
  normalLinePointer,
  setHeapCtid,
  heapHoff,
} from '@zenith/pg-format';
import { blockData, blockDataLength, blockNumber, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { tupleAt } from './tuple.ts';

// xl_heap_inplace: offnum u16 @0, from 18 on invalidation messages behind it. Data of block 0: the tuple behind its header.
// xl_heap_confirm: offnum u16 @0.  PG 15-18: heapam_xlog.h; redo: heapam_xlog.c (heapam.c before 18)
const OFFSET_NUMBER = 2;

/** PG: heap_xlog_inplace(). The new data have exactly the old data's length. */
export const redoHeapInplace: RedoRoutine = (record, blockIndex, page) => {
  const pointer = normalLinePointer(
    page,
    record.view.getUint16(mainData(record, OFFSET_NUMBER), true),
    SIZE_OF_HEAP_TUPLE_HEADER,
  );
  const tuple = lpOffset(pointer);
  const hoff = heapHoff(page.view, tuple);
  const length = blockDataLength(record, blockIndex);
  if (hoff + length !== lpLength(pointer))
    throw new CorruptionError(`${length} bytes in place of a tuple's data of ${lpLength(pointer) - hoff} bytes`);
  copyBytes(record.bytes, blockData(record, blockIndex, 0), page.bytes, tuple + hoff, length);
  return true;
};

/** PG: heap_xlog_confirm(): a speculative insertion, whose ctid held a token, is a real one. */
export const redoHeapConfirm: RedoRoutine = (record, blockIndex, page) => {
  const offsetNumber = record.view.getUint16(mainData(record, OFFSET_NUMBER), true);
  setHeapCtid(page.view, tupleAt(page, offsetNumber), blockNumber(record, blockIndex), offsetNumber);
  return true;
};
