import { CorruptionError } from '@zenith/base';
import {
  SIZE_OF_INDEX_TUPLE,
  SIZE_OF_ITEM_POINTER,
  SIZE_OF_PAGE_HEADER,
  itemPointerBlock,
  itemPointerOffset,
  pageLower,
  pageSpecial,
  type Page,
} from '@zenith/pg-format';
import {
  GIN_COMPRESSED,
  GIN_DATA,
  GIN_DELETED,
  GIN_INCOMPLETE_SPLIT,
  GIN_LEAF,
  GIN_LIST,
  GIN_LIST_FULLROW,
  GIN_META,
  ginFlags,
  ginMaxOff,
} from '../gin/page.ts';
import { SegmentReader, segmentLength } from '../gin/posting-list.ts';
import { POSTING_TREE_DATA } from '../gin/posting-tree.ts';
import type { DecodedPage, FieldMap, PagePart } from './decoded-page.ts';
import { blockOf, flagsOf, part, readFields, tidOf, type FieldLayout } from './fields.ts';
import { addDownLink, addHeapPointer, addKey, requireIndexTuple } from './index-tuple.ts';
import { itemParts } from './page-header.ts';

const FLAGS = {
  [GIN_DATA]: 'DATA',
  [GIN_LEAF]: 'LEAF',
  [GIN_DELETED]: 'DELETED',
  [GIN_META]: 'META',
  [GIN_LIST]: 'LIST',
  [GIN_LIST_FULLROW]: 'LIST_FULLROW',
  [GIN_INCOMPLETE_SPLIT]: 'INCOMPLETE_SPLIT',
  [GIN_COMPRESSED]: 'COMPRESSED',
};

// GinMetaPageData, as drawn in ../gin/meta-page.ts.  PG 15-18: ginblock.h
const META: readonly FieldLayout[] = [
  ['pending list head', 0, 'block'],
  ['pending list tail', 4, 'block'],
  ['free bytes of the tail', 8, 'u32'],
  ['pending pages', 12, 'u32'],
  ['pending heap tuples', 16, 'i64'],
  ['pages', 24, 'u32'],
  ['entry pages', 28, 'u32'],
  ['data pages', 32, 'u32'],
  ['entries', 40, 'i64'],
  ['version', 48, 'i32'],
];

// A leaf's entry says in t_tid where its heap pointers are: the offset number is their count, or 0xffff for a posting tree whose root is the block number; of a list the block number's low
// 31 bits say where it begins, the high bit that it is compressed.  PG 15-18: ginblock.h
const GIN_TREE_POSTING = 0xffff;
const GIN_ITUP_COMPRESSED = 0x8000_0000;
const SIZE_OF_POSTING_ITEM = 10;
const KEY_OF_POSTING_ITEM = 4;
const OFFSET_NUMBERS = 2 ** 11;

/** A page of a GIN index. */
export function decodeGin(page: Page): DecodedPage {
  const opaque = pageSpecial(page);
  const flags = ginFlags(page, opaque);
  const special = part('special', (fields) => {
    fields['rightlink'] = blockOf(page.view.getUint32(opaque, true));
    fields['maxoff'] = ginMaxOff(page, opaque);
    fields['flags'] = flagsOf(flags, 4, FLAGS);
  });
  const { kind, parts } = content(page, flags, ginMaxOff(page, opaque));
  return { kind: `gin ${kind}`, parts: [...parts, special] };
}

function content(page: Page, flags: number, maxOff: number): DecodedPage {
  const isLeaf = (flags & GIN_LEAF) !== 0;
  if ((flags & GIN_META) !== 0)
    return {
      kind: 'meta page',
      parts: [part('meta', (fields) => Object.assign(fields, readFields(page.view, SIZE_OF_PAGE_HEADER, META)))],
    };
  if ((flags & GIN_DELETED) !== 0) return { kind: 'deleted page', parts: [] };
  if ((flags & GIN_LIST) !== 0) return { kind: 'pending list page', parts: pendingTuples(page) };
  if ((flags & GIN_DATA) === 0)
    return { kind: isLeaf ? 'entry tree leaf' : 'entry tree inner page', parts: entries(page, isLeaf) };
  const bound = part('right bound', (fields) => (fields['tid'] = tidOf(page.view, SIZE_OF_PAGE_HEADER)));
  return isLeaf
    ? { kind: 'posting tree leaf', parts: [bound, ...segments(page)] }
    : { kind: 'posting tree inner page', parts: [bound, ...postingItems(page, maxOff)] };
}

function pendingTuples(page: Page): PagePart[] {
  return itemParts(page, (fields, at, length) => {
    requireIndexTuple(length);
    addHeapPointer(page, fields, at);
    addKey(page, fields, at, at + length);
  });
}

function entries(page: Page, isLeaf: boolean): PagePart[] {
  return itemParts(page, (fields, at, length) => {
    requireIndexTuple(length);
    if (!isLeaf) addDownLink(page, fields, at);
    addKey(page, fields, at, isLeaf ? addPostings(page, fields, at, length) : at + length);
  });
}

/** Adds the heap pointers of a leaf's entry; gives where its key ends. */
function addPostings(page: Page, fields: FieldMap, at: number, length: number): number {
  const block = itemPointerBlock(page.view, at);
  const count = itemPointerOffset(page.view, at);
  if (count === GIN_TREE_POSTING) {
    fields['posting tree'] = block;
    return at + length;
  }
  const list = at + (block & ~GIN_ITUP_COMPRESSED);
  if (list < at + SIZE_OF_INDEX_TUPLE || list > at + length) throw new CorruptionError('its posting list leaves it');
  fields['tids'] =
    count === 0
      ? ''
      : (block & GIN_ITUP_COMPRESSED) === 0
        ? Array.from({ length: Math.min(count, Math.floor((at + length - list) / SIZE_OF_ITEM_POINTER)) }, (_, i) =>
            tidOf(page.view, list + i * SIZE_OF_ITEM_POINTER),
          ).join(' ')
        : tidsOfSegment(page, list, at + length).join(' ');
  return list;
}

function tidsOfSegment(page: Page, at: number, limit: number): string[] {
  segmentLength(page.view, at, limit);
  const reader = new SegmentReader();
  const tids: string[] = [];
  for (reader.open(page, at); reader.item !== -1; reader.advance())
    tids.push(`(${Math.floor(reader.item / OFFSET_NUMBERS)},${reader.item % OFFSET_NUMBERS})`);
  return tids;
}

function segments(page: Page): PagePart[] {
  const parts: PagePart[] = [];
  const end = Math.min(pageLower(page), pageSpecial(page));
  let next = POSTING_TREE_DATA;
  for (let at = next; at < end; at = next) {
    next = end; // behind a damaged one nothing can be found
    parts.push(
      part(`segment ${parts.length + 1}`, (fields) => {
        const length = segmentLength(page.view, at, end);
        fields['at'] = at;
        fields['length'] = length;
        fields['tids'] = tidsOfSegment(page, at, end).join(' ');
        next = at + length;
      }),
    );
  }
  return parts;
}

function postingItems(page: Page, count: number): PagePart[] {
  const room = Math.floor((pageSpecial(page) - POSTING_TREE_DATA) / SIZE_OF_POSTING_ITEM);
  return Array.from({ length: Math.min(count, room) }, (_, i) =>
    part(`posting item ${i + 1}`, (fields) => {
      const at = POSTING_TREE_DATA + i * SIZE_OF_POSTING_ITEM;
      addDownLink(page, fields, at);
      fields['key'] = tidOf(page.view, at + KEY_OF_POSTING_ITEM);
    }),
  );
}
