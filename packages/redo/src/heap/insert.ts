import { CorruptionError } from '@zenith/base';
import {
  PD_ALL_VISIBLE,
  SIZE_OF_HEAP_TUPLE_HEADER,
  addPageFlags,
  clearPageFlags,
  copyBytes,
  initPage,
} from '@zenith/pg-format';
import { blockData, blockDataLength, blockNumber, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { putTuple } from './put-tuple.ts';

// xl_heap_insert: offnum u16 @0, flags u8 @2.  Data of block 0: xl_heap_header (t_infomask2 u16 @0, t_infomask u16 @2, t_hoff u8 @4), then
// null bitmap, padding and attributes.
// xl_heap_multi_insert: flags u8 @0, ntuples u16 @2, unless the page is initialised offsets u16[ntuples] @4.  Data of block 0: per tuple,
// aligned to 2, datalen u16 @0, t_infomask2 u16 @2, t_infomask u16 @4, t_hoff u8 @6, then datalen bytes.
// PG 15-18: heapam_xlog.h; redo: heapam_xlog.c (heapam.c before 18)
const SIZE_OF_HEAP_INSERT = 3;
const SIZE_OF_HEAP_HEADER = 5;
const SIZE_OF_HEAP_MULTI_INSERT = 4;
const SIZE_OF_MULTI_INSERT_TUPLE = 7;

/** PG: XLOG_HEAP_INIT_PAGE, heapam_xlog.h. */
export const XLOG_HEAP_INIT_PAGE = 0x80;
const XLH_INSERT_ALL_VISIBLE_CLEARED = 0x01;
const XLH_INSERT_ALL_FROZEN_SET = 0x20;

/** PG: heap_xlog_insert(). */
export const redoHeapInsert: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_HEAP_INSERT);
  const { view } = record;
  const offsetNumber = view.getUint16(main, true);
  const flags = view.getUint8(main + 2);
  const data = blockData(record, blockIndex, SIZE_OF_HEAP_HEADER);
  const length = blockDataLength(record, blockIndex) - SIZE_OF_HEAP_HEADER;
  if ((record.info & XLOG_HEAP_INIT_PAGE) !== 0) initPage(page);
  const tuple = putTuple(
    page,
    blockNumber(record, blockIndex),
    offsetNumber,
    record.xid,
    0,
    view.getUint16(data, true),
    view.getUint16(data + 2, true),
    view.getUint8(data + 4),
    length,
  );
  copyBytes(record.bytes, data + SIZE_OF_HEAP_HEADER, page.bytes, tuple + SIZE_OF_HEAP_TUPLE_HEADER, length);
  if ((flags & XLH_INSERT_ALL_VISIBLE_CLEARED) !== 0) clearPageFlags(page, PD_ALL_VISIBLE);
  return true;
};

/** PG: heap_xlog_multi_insert(). */
export const redoHeapMultiInsert: RedoRoutine = (record, blockIndex, page) => {
  const init = (record.info & XLOG_HEAP_INIT_PAGE) !== 0;
  let main = mainData(record, SIZE_OF_HEAP_MULTI_INSERT);
  const { view } = record;
  const flags = view.getUint8(main);
  const count = view.getUint16(main + 2, true);
  if (!init) main = mainData(record, SIZE_OF_HEAP_MULTI_INSERT + count * 2);
  const block = blockNumber(record, blockIndex);
  const start = blockData(record, blockIndex, 0);
  const end = start + blockDataLength(record, blockIndex);
  if (init) initPage(page);
  let at = start;
  for (let i = 0; i < count; i++) {
    at += (at - start) & 1;
    if (at + SIZE_OF_MULTI_INSERT_TUPLE > end)
      throw new CorruptionError(`the data end before tuple ${i + 1} of ${count}`);
    const length = view.getUint16(at, true);
    const data = at + SIZE_OF_MULTI_INSERT_TUPLE;
    if (data + length > end) throw new CorruptionError(`tuple ${i + 1} of ${count}, ${length} bytes, leaves the data`);
    const offsetNumber = init ? i + 1 : view.getUint16(main + SIZE_OF_HEAP_MULTI_INSERT + i * 2, true);
    const tuple = putTuple(
      page,
      block,
      offsetNumber,
      record.xid,
      0,
      view.getUint16(at + 2, true),
      view.getUint16(at + 4, true),
      view.getUint8(at + 6),
      length,
    );
    copyBytes(record.bytes, data, page.bytes, tuple + SIZE_OF_HEAP_TUPLE_HEADER, length);
    at = data + length;
  }
  if (at !== end) throw new CorruptionError(`${end - at} bytes are left after ${count} tuples`);
  if ((flags & XLH_INSERT_ALL_VISIBLE_CLEARED) !== 0) clearPageFlags(page, PD_ALL_VISIBLE);
  if ((flags & XLH_INSERT_ALL_FROZEN_SET) !== 0) addPageFlags(page, PD_ALL_VISIBLE);
  return true;
};
