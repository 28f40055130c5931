import { CorruptionError } from '@zenith/base';
import { SIZE_OF_INDEX_TUPLE, SIZE_OF_PAGE_HEADER, indexTupleLength, type Page } from '@zenith/pg-format';
import { spgistOpaque } from '../spgist/page.ts';
import {
  SIZE_OF_DEAD_TUPLE,
  SPGIST_DEAD,
  SPGIST_LIVE,
  SPGIST_PLACEHOLDER,
  SPGIST_REDIRECT,
  tupleState,
} from '../spgist/tuples.ts';
import type { DecodedPage, FieldMap } from './decoded-page.ts';
import { bytesOf, flagsOf, part, readFields, tidOf } from './fields.ts';
import { itemParts } from './page-header.ts';

// Page and tuples as drawn in ../spgist/page.ts and ../spgist/tuples.ts.  PG 15-18: spgist_private.h
const SPGIST_META = 1 << 0,
  SPGIST_DELETED = 1 << 1,
  SPGIST_LEAF = 1 << 2,
  SPGIST_NULLS = 1 << 3;
const FLAGS = { [SPGIST_META]: 'META', [SPGIST_DELETED]: 'DELETED', [SPGIST_LEAF]: 'LEAF', [SPGIST_NULLS]: 'NULLS' };
const STATES: Readonly<Record<number, string>> = {
  [SPGIST_LIVE]: 'live',
  [SPGIST_REDIRECT]: 'redirect',
  [SPGIST_DEAD]: 'dead',
  [SPGIST_PLACEHOLDER]: 'placeholder',
};
const REDIRECTIONS = 2,
  PLACEHOLDERS = 4;
const SIZE_OF_INNER_TUPLE = 8,
  SIZE_OF_LEAF_TUPLE = 12;
const T_INFO = 4,
  POINTER = 6,
  XID = 12;
const NEXT_OFFSET_MASK = 0x3fff;

/** A page of an SP-GiST index. @throws CorruptionError when it cannot be one */
export function decodeSpgist(page: Page): DecodedPage {
  const opaque = spgistOpaque(page);
  const { view } = page;
  const flags = view.getUint16(opaque, true);
  const special = part('special', (fields) => {
    fields['flags'] = flagsOf(flags, 4, FLAGS);
    fields['redirections'] = view.getUint16(opaque + REDIRECTIONS, true);
    fields['placeholders'] = view.getUint16(opaque + PLACEHOLDERS, true);
  });
  if ((flags & SPGIST_META) !== 0)
    return {
      kind: 'spgist meta page',
      parts: [
        part('meta', (fields) => Object.assign(fields, readFields(view, SIZE_OF_PAGE_HEADER, [['magic', 0, 'hex32']]))),
        special,
      ],
    };
  const isLeaf = (flags & SPGIST_LEAF) !== 0;
  const items = itemParts(page, (fields, at, length) => {
    if (length < SIZE_OF_DEAD_TUPLE) throw new CorruptionError('it is shorter than a tuple');
    const state = tupleState(view, at);
    fields['state'] = STATES[state] as string;
    if (state !== SPGIST_LIVE) addDead(page, fields, at);
    else if (isLeaf) addLeaf(page, fields, at, length);
    else addInner(page, fields, at, length);
  });
  return { kind: isLeaf ? 'spgist leaf' : 'spgist inner page', parts: [...items, special] };
}

function addDead(page: Page, fields: FieldMap, at: number): void {
  fields['to'] = tidOf(page.view, at + POINTER);
  fields['xid'] = page.view.getUint32(at + XID, true);
}

function addLeaf(page: Page, fields: FieldMap, at: number, length: number): void {
  fields['next'] = page.view.getUint16(at + T_INFO, true) & NEXT_OFFSET_MASK;
  fields['tid'] = tidOf(page.view, at + POINTER);
  fields['key'] = bytesOf(page.bytes, at + SIZE_OF_LEAF_TUPLE, at + length);
}

function addInner(page: Page, fields: FieldMap, at: number, length: number): void {
  const { view } = page;
  const word = view.getUint32(at, true);
  const nodes = (word >>> 3) & 0x1fff;
  const prefixEnd = at + SIZE_OF_INNER_TUPLE + (word >>> 16);
  const end = at + length;
  fields['all the same'] = (word & 0x4) === 0 ? 'no' : 'yes';
  if (prefixEnd > end) throw new CorruptionError('its prefix leaves it');
  fields['prefix'] = bytesOf(page.bytes, at + SIZE_OF_INNER_TUPLE, prefixEnd);
  let node = prefixEnd;
  for (let i = 0; i < nodes; i++) {
    const nodeLength = node + SIZE_OF_INDEX_TUPLE > end ? 0 : indexTupleLength(view, node);
    if (nodeLength < SIZE_OF_INDEX_TUPLE || node + nodeLength > end)
      throw new CorruptionError(`node ${i} of ${nodes} leaves it`);
    const label = bytesOf(page.bytes, node + SIZE_OF_INDEX_TUPLE, node + nodeLength);
    fields[`node ${i}`] = label === '' ? tidOf(view, node) : `${tidOf(view, node)} ${label}`;
    node += nodeLength;
  }
}
