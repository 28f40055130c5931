import { CorruptionError } from '@zenith/base';
import {
  INVALID_BLOCK_NUMBER,
  SIZE_OF_ITEM_POINTER,
  SIZE_OF_PAGE_HEADER,
  itemPointerBlock,
  pageSpecial,
  type Page,
} from '@zenith/pg-format';
import { BRIN_PAGETYPE_META, BRIN_PAGETYPE_REVMAP } from '../brin/page.ts';
import type { DecodedPage, PagePart } from './decoded-page.ts';
import { bytesOf, flagsOf, part, readFields, tidOf, type FieldLayout } from './fields.ts';
import { itemParts } from './page-header.ts';

const FLAGS_AT = 4,
  TYPE_AT = 6;
const FLAGS = { 1: 'EVACUATE_PAGE' };

// BrinMetaPageData, as drawn in ../brin/meta-page.ts.  PG 15-18: brin_page.h
const META: readonly FieldLayout[] = [
  ['magic', 0, 'hex32'],
  ['version', 4, 'u32'],
  ['pages per range', 8, 'u32'],
  ['last revmap page', 12, 'u32'],
];

// BrinTuple: bt_blkno u32 @0, bt_info u8 @4: bits 0-4 where the data begin, then flags.  PG 15-18: brin_tuple.h
const BT_INFO = 4;
const OFFSET_MASK = 0x1f;
const INFO = { 0x20: 'EMPTY_RANGE', 0x40: 'PLACEHOLDER', 0x80: 'NULLS' };

/** A page of a BRIN index. */
export function decodeBrin(page: Page): DecodedPage {
  const opaque = pageSpecial(page);
  const type = page.view.getUint16(opaque + TYPE_AT, true);
  const special = part('special', (fields) => {
    fields['flags'] = flagsOf(page.view.getUint16(opaque + FLAGS_AT, true), 4, FLAGS);
  });
  if (type === BRIN_PAGETYPE_META)
    return {
      kind: 'brin meta page',
      parts: [
        part('meta', (fields) => Object.assign(fields, readFields(page.view, SIZE_OF_PAGE_HEADER, META))),
        special,
      ],
    };
  if (type === BRIN_PAGETYPE_REVMAP) return { kind: 'brin range map page', parts: [rangePart(page, opaque), special] };
  const items = itemParts(page, (fields, at, length) => {
    if (length <= BT_INFO) throw new CorruptionError('it is shorter than a tuple');
    const info = page.view.getUint8(at + BT_INFO);
    fields['heap block'] = page.view.getUint32(at, true);
    fields['info'] = flagsOf(info, 2, INFO);
    fields['data'] = bytesOf(page.bytes, Math.min(at + (info & OFFSET_MASK), at + length), at + length);
  });
  return { kind: 'brin page', parts: [...items, special] };
}

/** Where the tuple of each range on this page of the map is; ranges without one are left out. PG: RevmapContents. */
function rangePart(page: Page, end: number): PagePart {
  return part('ranges', (fields) => {
    for (let i = 0, at = SIZE_OF_PAGE_HEADER; at + SIZE_OF_ITEM_POINTER <= end; i++, at += SIZE_OF_ITEM_POINTER) {
      const block = itemPointerBlock(page.view, at);
      if (block !== INVALID_BLOCK_NUMBER && block !== 0) fields[`range ${i}`] = tidOf(page.view, at);
    }
  });
}
