import { CorruptionError } from '@zenith/base';
import { SIZE_OF_INDEX_TUPLE, SIZE_OF_PAGE_HEADER, pageLower, type Page } from '@zenith/pg-format';
import {
  INVALID_BUCKET,
  LH_BITMAP_PAGE,
  LH_BUCKET_NEEDS_SPLIT_CLEANUP,
  LH_BUCKET_PAGE,
  LH_META_PAGE,
  LH_OVERFLOW_PAGE,
  LH_PAGE_HAS_DEAD_TUPLES,
  hashOpaque,
  hashPageType,
} from '../hash/page.ts';
import type { DecodedPage, PagePart } from './decoded-page.ts';
import { blockOf, flagsOf, hexOf, part, readFields, type FieldLayout } from './fields.ts';
import { addHeapPointer, requireIndexTuple } from './index-tuple.ts';
import { itemParts } from './page-header.ts';
import { runsOf } from './runs.ts';

const LH_BUCKET_BEING_POPULATED = 1 << 4;
const LH_BUCKET_BEING_SPLIT = 1 << 5;
const FLAGS = {
  [LH_OVERFLOW_PAGE]: 'OVERFLOW',
  [LH_BUCKET_PAGE]: 'BUCKET',
  [LH_BITMAP_PAGE]: 'BITMAP',
  [LH_META_PAGE]: 'META',
  [LH_BUCKET_BEING_POPULATED]: 'BEING_POPULATED',
  [LH_BUCKET_BEING_SPLIT]: 'BEING_SPLIT',
  [LH_BUCKET_NEEDS_SPLIT_CLEANUP]: 'NEEDS_SPLIT_CLEANUP',
  [LH_PAGE_HAS_DEAD_TUPLES]: 'HAS_DEAD_TUPLES',
};
const KINDS: Readonly<Record<number, string>> = {
  [LH_OVERFLOW_PAGE]: 'hash overflow page',
  [LH_BUCKET_PAGE]: 'hash bucket page',
  [LH_BITMAP_PAGE]: 'hash bitmap page',
  [LH_META_PAGE]: 'hash meta page',
};
const NEXT = 4,
  BUCKET = 8,
  FLAG = 12;

// HashMetaPageData, as drawn in ../hash/meta-page.ts.  PG 15-18: hash.h
const META: readonly FieldLayout[] = [
  ['magic', 0, 'hex32'],
  ['version', 4, 'u32'],
  ['tuples', 8, 'f64'],
  ['fill factor', 16, 'u16'],
  ['page bytes', 18, 'u16'],
  ['bitmap bytes', 20, 'u16'],
  ['bitmap shift', 22, 'u16'],
  ['highest bucket', 24, 'u32'],
  ['high mask', 28, 'hex32'],
  ['low mask', 32, 'hex32'],
  ['splitpoint', 36, 'u32'],
  ['first free bit', 40, 'u32'],
  ['bitmap pages', 44, 'u32'],
  ['procid', 48, 'u32'],
];
const SPARES = SIZE_OF_PAGE_HEADER + 52,
  SPARE_COUNT = 98;
const MAPP = SIZE_OF_PAGE_HEADER + 444,
  NMAPS = SIZE_OF_PAGE_HEADER + 44,
  BITMAPS_MAX = 1024;

/** A page of a hash index. @throws CorruptionError when it cannot be one */
export function decodeHash(page: Page): DecodedPage {
  const opaque = hashOpaque(page);
  const { view } = page;
  const type = hashPageType(page, opaque);
  const special = part('special', (fields) => {
    const bucket = view.getUint32(opaque + BUCKET, true);
    // A bucket's first page has the highest bucket there.
    fields[type === LH_BUCKET_PAGE ? 'highest bucket at last split' : 'prev'] = blockOf(view.getUint32(opaque, true));
    fields['next'] = blockOf(view.getUint32(opaque + NEXT, true));
    fields['bucket'] = bucket === INVALID_BUCKET ? 'none' : bucket;
    fields['flags'] = flagsOf(view.getUint16(opaque + FLAG, true), 4, FLAGS);
  });
  const content =
    type === LH_META_PAGE
      ? [metaPart(page)]
      : type === LH_BITMAP_PAGE
        ? [bitmapPart(page)]
        : itemParts(page, (fields, at, length) => {
            requireIndexTuple(length);
            addHeapPointer(page, fields, at);
            if (length < SIZE_OF_INDEX_TUPLE + 4) throw new CorruptionError('it has no hash value');
            fields['hash'] = hexOf(view.getUint32(at + SIZE_OF_INDEX_TUPLE, true), 8);
          });
  return { kind: KINDS[type] ?? 'hash page that is not used', parts: [...content, special] };
}

function metaPart(page: Page): PagePart {
  const { view } = page;
  const list = (at: number, count: number): string =>
    Array.from({ length: count }, (_, i) => view.getUint32(at + i * 4, true)).join(' ');
  return part('meta', (fields) => {
    Object.assign(fields, readFields(view, SIZE_OF_PAGE_HEADER, META));
    fields['overflow pages by splitpoint'] = list(SPARES, SPARE_COUNT).replace(/(?: 0)+$/, '');
    fields['blocks of bitmap pages'] = list(MAPP, Math.min(view.getUint32(NMAPS, true), BITMAPS_MAX));
  });
}

/** The bits that are set: overflow pages in use. */
function bitmapPart(page: Page): PagePart {
  return part('bitmap', (fields) => {
    const used: number[] = [];
    for (let at = SIZE_OF_PAGE_HEADER; at < Math.min(pageLower(page), page.bytes.length); at++)
      for (let bit = 0; bit < 8; bit++)
        if (((page.bytes[at] as number) & (1 << bit)) !== 0) used.push((at - SIZE_OF_PAGE_HEADER) * 8 + bit);
    fields['overflow pages in use'] = runsOf(used);
  });
}
