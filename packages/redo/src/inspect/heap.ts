import { CorruptionError } from '@zenith/base';
import {
  HEAP_HASNULL,
  HEAP_NATTS_MASK,
  SIZE_OF_HEAP_TUPLE_HEADER,
  heapCid,
  heapCtidBlock,
  heapCtidOffset,
  heapHoff,
  heapInfomask,
  heapInfomask2,
  heapXmax,
  heapXmin,
  type Page,
} from '@zenith/pg-format';
import type { FieldMap, PagePart } from './decoded-page.ts';
import { bytesOf, flagsOf } from './fields.ts';
import { itemParts } from './page-header.ts';

// PG 15-18: htup_details.h
const INFOMASK = {
  0x0001: 'HASNULL',
  0x0002: 'HASVARWIDTH',
  0x0004: 'HASEXTERNAL',
  0x0010: 'XMAX_KEYSHR_LOCK',
  0x0020: 'COMBOCID',
  0x0040: 'XMAX_EXCL_LOCK',
  0x0080: 'XMAX_LOCK_ONLY',
  0x0100: 'XMIN_COMMITTED',
  0x0200: 'XMIN_INVALID',
  0x0400: 'XMAX_COMMITTED',
  0x0800: 'XMAX_INVALID',
  0x1000: 'XMAX_IS_MULTI',
  0x2000: 'UPDATED',
  0x4000: 'MOVED_OFF',
  0x8000: 'MOVED_IN',
};
const INFOMASK2 = { 0x2000: 'KEYS_UPDATED', 0x4000: 'HOT_UPDATED', 0x8000: 'HEAP_ONLY' };

/** Adds a heap tuple's header; gives where its data begin. */
function readTupleHeader(page: Page, fields: FieldMap, at: number, length: number): number {
  const { view } = page;
  if (length < SIZE_OF_HEAP_TUPLE_HEADER) throw new CorruptionError('it is shorter than a tuple header');
  const infomask = heapInfomask(view, at);
  const infomask2 = heapInfomask2(view, at);
  const hoff = heapHoff(view, at);
  fields['xmin'] = heapXmin(view, at);
  fields['xmax'] = heapXmax(view, at);
  fields['cid'] = heapCid(view, at);
  fields['ctid'] = `(${heapCtidBlock(view, at)},${heapCtidOffset(view, at)})`;
  fields['columns'] = infomask2 & HEAP_NATTS_MASK;
  fields['infomask2'] = flagsOf(infomask2, 4, INFOMASK2);
  fields['infomask'] = flagsOf(infomask, 4, INFOMASK);
  fields['hoff'] = hoff;
  if (hoff < SIZE_OF_HEAP_TUPLE_HEADER || hoff > length) throw new CorruptionError('hoff leaves the tuple');
  if ((infomask & HEAP_HASNULL) !== 0)
    fields['nulls'] = nullColumns(page, at + SIZE_OF_HEAP_TUPLE_HEADER, infomask2 & HEAP_NATTS_MASK, at + hoff);
  return at + hoff;
}

/** The columns, from 1, that are null: those whose bit is not set. */
function nullColumns(page: Page, bitmap: number, columns: number, limit: number): string {
  const nulls: number[] = [];
  for (let column = 0; column < columns && bitmap + (column >>> 3) < limit; column++)
    if (((page.bytes[bitmap + (column >>> 3)] as number) & (1 << (column & 7))) === 0) nulls.push(column + 1);
  return nulls.join(' ');
}

/** The tuples of a heap page. PG: HeapTupleHeaderData, htup_details.h. */
export function heapParts(page: Page): PagePart[] {
  return itemParts(page, (fields, at, length) => {
    fields['data'] = bytesOf(page.bytes, readTupleHeader(page, fields, at, length), at + length);
  });
}

// FormData_pg_sequence_data: last_value i64 @0, log_cnt i64 @8, is_called bool @16.  PG 15-18: sequence.h
const LOG_CNT = 8,
  IS_CALLED = 16;

/** The one tuple of a sequence. */
export function sequenceParts(page: Page): PagePart[] {
  return itemParts(page, (fields, at, length) => {
    const data = readTupleHeader(page, fields, at, length);
    if (data + IS_CALLED >= at + length) throw new CorruptionError('it is shorter than the data of a sequence');
    fields['last value'] = String(page.view.getBigInt64(data, true));
    fields['log count'] = String(page.view.getBigInt64(data + LOG_CNT, true));
    fields['is called'] = page.view.getUint8(data + IS_CALLED) === 0 ? 'no' : 'yes';
  });
}
