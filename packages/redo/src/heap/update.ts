import { CorruptionError } from '@zenith/base';
import {
  PD_ALL_VISIBLE,
  SIZE_OF_HEAP_TUPLE_HEADER,
  clearPageFlags,
  copyBytes,
  initPage,
  lpLength,
  lpOffset,
  normalLinePointer,
  setHeapCommandId,
  setHeapCtid,
  heapHoff,
  type Page,
  type WalRecord,
} from '@zenith/pg-format';
import { blockData, blockDataLength, blockNumber, hasBlock, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { XLOG_HEAP_INIT_PAGE } from './insert.ts';
import { putTuple } from './put-tuple.ts';
import { FIRST_COMMAND_ID, setHotUpdated, setPrunable, setXmaxState, tupleAt } from './tuple.ts';

// xl_heap_update: old_xmax u32 @0, old_offnum u16 @4, old_infobits_set u8 @6, flags u8 @7, new_xmax u32 @8, new_offnum u16 @12.
// Block 0 is the new page, block 1 the old one unless they are the same. Data of block 0: with XLH_UPDATE_PREFIX_FROM_OLD prefix length u16,
// with XLH_UPDATE_SUFFIX_FROM_OLD suffix length u16, then xl_heap_header (t_infomask2 u16 @0, t_infomask u16 @2, t_hoff u8 @4) and the new
// tuple without prefix and suffix, which are the old tuple's.  PG 15-18: heapam_xlog.h; redo: heapam_xlog.c (heapam.c before 18)
const SIZE_OF_HEAP_UPDATE = 14;
const SIZE_OF_HEAP_HEADER = 5;
const XLH_UPDATE_OLD_ALL_VISIBLE_CLEARED = 0x01;
const XLH_UPDATE_NEW_ALL_VISIBLE_CLEARED = 0x02;
const XLH_UPDATE_PREFIX_FROM_OLD = 0x20;
const XLH_UPDATE_SUFFIX_FROM_OLD = 0x40;

/** PG: heap_xlog_update(record, false). */
export const redoHeapUpdate: RedoRoutine = (record, blockIndex, page) => redoUpdate(record, blockIndex, page, false);

/** PG: heap_xlog_update(record, true). */
export const redoHeapHotUpdate: RedoRoutine = (record, blockIndex, page) => redoUpdate(record, blockIndex, page, true);

function redoUpdate(record: WalRecord, blockIndex: number, page: Page, hot: boolean): boolean {
  const main = mainData(record, SIZE_OF_HEAP_UPDATE);
  const samePage = !hasBlock(record, 1);
  if (hot && !samePage) throw new CorruptionError('a HOT update across two pages');
  if (blockIndex > 1) throw new CorruptionError(`an update has no block ${blockIndex}`);
  if (samePage || blockIndex === 1) updateOldTuple(record, main, page, hot);
  if (blockIndex === 0) insertNewTuple(record, main, page, samePage);
  return true;
}

function updateOldTuple(record: WalRecord, main: number, page: Page, hot: boolean): void {
  const { view } = record;
  const tuple = tupleAt(page, view.getUint16(main + 4, true));
  setXmaxState(page, tuple, view.getUint32(main, true), view.getUint8(main + 6));
  setHotUpdated(page, tuple, hot);
  setHeapCommandId(page.view, tuple, FIRST_COMMAND_ID);
  setHeapCtid(page.view, tuple, blockNumber(record, 0), view.getUint16(main + 12, true));
  setPrunable(page, record.xid);
  if ((view.getUint8(main + 7) & XLH_UPDATE_OLD_ALL_VISIBLE_CLEARED) !== 0) clearPageFlags(page, PD_ALL_VISIBLE);
}

function insertNewTuple(record: WalRecord, main: number, page: Page, samePage: boolean): void {
  const { view } = record;
  const flags = view.getUint8(main + 7);
  const end = blockData(record, 0, 0) + blockDataLength(record, 0);
  let at = blockData(record, 0, SIZE_OF_HEAP_HEADER);
  let prefix = 0;
  let suffix = 0;
  if ((flags & XLH_UPDATE_PREFIX_FROM_OLD) !== 0) {
    prefix = view.getUint16(at, true);
    at += 2;
  }
  if ((flags & XLH_UPDATE_SUFFIX_FROM_OLD) !== 0) {
    suffix = view.getUint16(at, true);
    at += 2;
  }
  const header = at;
  at += SIZE_OF_HEAP_HEADER;
  const given = end - at;
  if (given < 0) throw new CorruptionError('the data of block 0 end before the new tuple');
  const hoff = view.getUint8(header + 4);
  const bitmap = hoff - SIZE_OF_HEAP_TUPLE_HEADER;
  if (!samePage && (record.info & XLOG_HEAP_INIT_PAGE) !== 0) initPage(page);

  let oldStart = 0;
  let oldLength = 0;
  if (prefix + suffix > 0) {
    if (!samePage) throw new CorruptionError('a prefix or suffix of an old tuple that is on another page');
    const pointer = normalLinePointer(page, view.getUint16(main + 4, true), SIZE_OF_HEAP_TUPLE_HEADER);
    oldStart = lpOffset(pointer);
    oldLength = lpLength(pointer);
    const oldHoff = heapHoff(page.view, oldStart);
    if (oldHoff + prefix > oldLength || suffix > oldLength || (prefix > 0 && (bitmap < 0 || bitmap > given))) {
      throw new CorruptionError(
        `prefix of ${prefix} and suffix of ${suffix} bytes do not fit an old tuple of ${oldLength} bytes, ${given} bytes of the new one are given`,
      );
    }
  }

  const tuple = putTuple(
    page,
    blockNumber(record, 0),
    view.getUint16(main + 12, true),
    record.xid,
    view.getUint32(main + 8, true),
    view.getUint16(header, true),
    view.getUint16(header + 2, true),
    hoff,
    given + prefix + suffix,
  );
  let to = tuple + SIZE_OF_HEAP_TUPLE_HEADER;
  if (prefix > 0) {
    // The null bitmap comes from the record and goes before the prefix.
    copyBytes(record.bytes, at, page.bytes, to, bitmap);
    at += bitmap;
    to += bitmap;
    const prefixStart = oldStart + heapHoff(page.view, oldStart);
    page.bytes.copyWithin(to, prefixStart, prefixStart + prefix);
    to += prefix;
  }
  copyBytes(record.bytes, at, page.bytes, to, end - at);
  to += end - at;
  if (suffix > 0) page.bytes.copyWithin(to, oldStart + oldLength - suffix, oldStart + oldLength);
  if ((flags & XLH_UPDATE_NEW_ALL_VISIBLE_CLEARED) !== 0) clearPageFlags(page, PD_ALL_VISIBLE);
}
