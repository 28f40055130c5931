import {
  BLCKSZ,
  RM_HEAP_ID,
  RM_SEQ_ID,
  SIZE_OF_PAGE_HEADER,
  linePointer,
  lpLength,
  lpOffset,
  pageLower,
  pageSpecial,
  pageUpper,
  type Page,
} from '@zenith/pg-format';

interface Field {
  readonly name: string;
  readonly end: number;
}

const PAGE_HEADER: readonly Field[] = [
  { name: 'pd_lsn', end: 8 },
  { name: 'pd_checksum', end: 10 },
  { name: 'pd_flags', end: 12 },
  { name: 'pd_lower', end: 14 },
  { name: 'pd_upper', end: 16 },
  { name: 'pd_special', end: 18 },
  { name: 'pd_pagesize_version', end: 20 },
  { name: 'pd_prune_xid', end: 24 },
];

// HeapTupleHeaderData.  PG: htup_details.h
const HEAP_TUPLE: readonly Field[] = [
  { name: 't_xmin', end: 4 },
  { name: 't_xmax', end: 8 },
  { name: 't_cid', end: 12 },
  { name: 't_ctid', end: 18 },
  { name: 't_infomask2', end: 20 },
  { name: 't_infomask', end: 22 },
  { name: 't_hoff', end: 23 },
];

// IndexTupleData.  PG: itup.h
const INDEX_TUPLE: readonly Field[] = [
  { name: 't_tid', end: 6 },
  { name: 't_info', end: 8 },
];

function fieldAt(fields: readonly Field[], offset: number): string | undefined {
  return fields.find(({ end }) => offset < end)?.name;
}

/** Says what the byte at `offset` of a page is: a field of the header, a line pointer, a field or the data of a tuple, free or special space. `rmid` is the resource manager that wrote the page. */
export function explainByte(page: Page, rmid: number, offset: number): string {
  if (offset < SIZE_OF_PAGE_HEADER) return `${fieldAt(PAGE_HEADER, offset)} of the page header`;
  const special = pageSpecial(page);
  if (special <= BLCKSZ && offset >= special) return `byte ${offset - special} of the special space`;
  const lower = Math.min(pageLower(page), BLCKSZ);
  if (offset < lower) return `line pointer ${Math.floor((offset - SIZE_OF_PAGE_HEADER) / 4) + 1}`;
  if (offset < pageUpper(page)) return 'free space';
  const isHeap = rmid === RM_HEAP_ID || rmid === RM_SEQ_ID;
  const count = Math.floor((lower - SIZE_OF_PAGE_HEADER) / 4);
  for (let item = 1; item <= count; item++) {
    const pointer = linePointer(page, item);
    const begin = lpOffset(pointer);
    const length = lpLength(pointer);
    if (length === 0 || offset < begin || offset >= begin + length) continue;
    const at = offset - begin;
    const field = fieldAt(isHeap ? HEAP_TUPLE : INDEX_TUPLE, at);
    return field === undefined ? `byte ${at} of item ${item}` : `${field} of item ${item}`;
  }
  return 'no item';
}
