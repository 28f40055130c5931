import { CorruptionError } from '@zenith/base';
import {
  BTP_DELETED,
  BTP_HALF_DEAD,
  BTP_HAS_FULLXID,
  BTP_HAS_GARBAGE,
  BTP_INCOMPLETE_SPLIT,
  BTP_LEAF,
  BTP_META,
  BTP_ROOT,
  BTP_SPLIT_END,
  BT_META,
  BT_OFFSET_MASK,
  BT_PIVOT_HEAP_TID_ATTR,
  P_HIKEY,
  P_NONE,
  SIZE_OF_ITEM_POINTER,
  SIZE_OF_PAGE_HEADER,
  btreeCycleId,
  btreeFlags,
  btreeLevel,
  btreeNext,
  btreeOpaque,
  btreePrev,
  indexTupleIsPivot,
  indexTupleIsPosting,
  itemPointerOffset,
  postingCount,
  postingListLength,
  postingListOffset,
  type Page,
} from '@zenith/pg-format';
import type { DecodedPage, FieldMap, PagePart } from './decoded-page.ts';
import { flagsOf, part, readFields, tidOf, type FieldLayout } from './fields.ts';
import { addDownLink, addHeapPointer, addKey, requireIndexTuple } from './index-tuple.ts';
import { itemParts } from './page-header.ts';

const FLAGS = {
  [BTP_LEAF]: 'LEAF',
  [BTP_ROOT]: 'ROOT',
  [BTP_DELETED]: 'DELETED',
  [BTP_META]: 'META',
  [BTP_HALF_DEAD]: 'HALF_DEAD',
  [BTP_SPLIT_END]: 'SPLIT_END',
  [BTP_HAS_GARBAGE]: 'HAS_GARBAGE',
  [BTP_INCOMPLETE_SPLIT]: 'INCOMPLETE_SPLIT',
  [BTP_HAS_FULLXID]: 'HAS_FULLXID',
};

// BTMetaPageData, as drawn in pg-format.  PG 15-18: nbtree.h
const META: readonly FieldLayout[] = [
  ['magic', 0, 'hex32'],
  ['version', 4, 'u32'],
  ['root', 8, 'u32'],
  ['level', 12, 'u32'],
  ['fast root', 16, 'u32'],
  ['fast level', 20, 'u32'],
  ['deleted pages at last cleanup', 24, 'u32'],
  ['heap tuples at last cleanup', 32, 'f64'],
  ['all equal image', 40, 'u8'],
];

/** A page of a btree index. @throws CorruptionError when it cannot be one */
export function decodeBtree(page: Page): DecodedPage {
  const opaque = btreeOpaque(page);
  const flags = btreeFlags(page, opaque);
  const special = part('special', (fields) => {
    fields['prev'] = siblingOf(btreePrev(page, opaque));
    fields['next'] = siblingOf(btreeNext(page, opaque));
    fields['level'] = btreeLevel(page, opaque);
    fields['flags'] = flagsOf(flags, 4, FLAGS);
    fields['cycle id'] = btreeCycleId(page, opaque);
  });
  if ((flags & BTP_META) !== 0)
    return {
      kind: 'btree meta page',
      parts: [part('meta', (fields) => Object.assign(fields, readFields(page.view, BT_META, META))), special],
    };
  if ((flags & BTP_DELETED) !== 0)
    return { kind: 'btree deleted page', parts: [...deletedParts(page, flags), special] };
  const isLeaf = (flags & BTP_LEAF) !== 0;
  const hasHighKey = btreeNext(page, opaque) !== P_NONE;
  return { kind: isLeaf ? 'btree leaf' : 'btree inner page', parts: [...tuples(page, isLeaf, hasHighKey), special] };
}

function siblingOf(block: number): number | string {
  return block === P_NONE ? 'none' : block;
}

/** BTDeletedPageData: the transaction after which the page may be used again. PG: BTPageSetDeleted(). */
function deletedParts(page: Page, flags: number): PagePart[] {
  if ((flags & BTP_HAS_FULLXID) === 0) return [];
  return [
    part('deleted', (fields) =>
      Object.assign(fields, readFields(page.view, SIZE_OF_PAGE_HEADER, [['safe xid', 0, 'u64']])),
    ),
  ];
}

function tuples(page: Page, isLeaf: boolean, hasHighKey: boolean): PagePart[] {
  return itemParts(page, (fields, at, length, offsetNumber) => {
    requireIndexTuple(length);
    const isHighKey = hasHighKey && offsetNumber === P_HIKEY;
    if (isHighKey) fields['is'] = 'high key';
    if (indexTupleIsPosting(page.view, at)) addPosting(page, fields, at, length);
    else if (indexTupleIsPivot(page.view, at)) addPivot(page, fields, at, length, !isLeaf && !isHighKey);
    else {
      if (isLeaf) addHeapPointer(page, fields, at);
      else addDownLink(page, fields, at);
      addKey(page, fields, at, at + length);
    }
  });
}

/** PG: BTreeTupleGetNAtts(), BTreeTupleGetHeapTID(). */
function addPivot(page: Page, fields: FieldMap, at: number, length: number, hasDownLink: boolean): void {
  const word = itemPointerOffset(page.view, at);
  if (hasDownLink) addDownLink(page, fields, at);
  fields['key columns'] = word & BT_OFFSET_MASK;
  let end = at + length;
  if ((word & BT_PIVOT_HEAP_TID_ATTR) !== 0) {
    end -= SIZE_OF_ITEM_POINTER;
    fields['heap tid'] = tidOf(page.view, end);
  }
  addKey(page, fields, at, end);
}

function addPosting(page: Page, fields: FieldMap, at: number, length: number): void {
  const count = postingCount(page.view, at);
  const list = postingListOffset(page.view, at);
  if (list + postingListLength(count) > length) throw new CorruptionError('its posting list leaves it');
  fields['tids'] = Array.from({ length: count }, (_, i) => tidOf(page.view, at + list + i * SIZE_OF_ITEM_POINTER)).join(
    ' ',
  );
  addKey(page, fields, at, at + list);
}
