import { CorruptionError } from '@zenith/base';
import {
  INDEX_NULL_MASK,
  INDEX_VAR_MASK,
  SIZE_OF_INDEX_TUPLE,
  indexTupleInfo,
  itemPointerBlock,
  type Page,
} from '@zenith/pg-format';
import type { FieldMap } from './decoded-page.ts';
import { bytesOf, tidOf } from './fields.ts';

// IndexAttributeBitMapData, 4 bytes behind an index tuple's fixed part when it has nulls.  PG 15-18: itup.h
const SIZE_OF_NULL_BITMAP = 4;
const MAXALIGN = 8;

/** Where the key of an index tuple begins, counted from it: behind its null bitmap, aligned. PG: IndexInfoFindDataOffset(). */
function keyOffset(info: number): number {
  if ((info & INDEX_NULL_MASK) === 0) return SIZE_OF_INDEX_TUPLE;
  return (SIZE_OF_INDEX_TUPLE + SIZE_OF_NULL_BITMAP + MAXALIGN - 1) & -MAXALIGN;
}

/** Refuses what is too short for an index tuple. @throws CorruptionError */
export function requireIndexTuple(length: number): void {
  if (length < SIZE_OF_INDEX_TUPLE) throw new CorruptionError('it is shorter than an index tuple');
}

/** Adds where an index tuple points to: a heap tuple. */
export function addHeapPointer(page: Page, fields: FieldMap, at: number): void {
  fields['tid'] = tidOf(page.view, at);
}

/** Adds where a tuple of an inner page points to: a block of the index. */
export function addDownLink(page: Page, fields: FieldMap, at: number): void {
  fields['downlink'] = itemPointerBlock(page.view, at);
}

/** Adds flags and key of the index tuple in `[at, end)`. */
export function addKey(page: Page, fields: FieldMap, at: number, end: number): void {
  const info = indexTupleInfo(page.view, at);
  if ((info & INDEX_NULL_MASK) !== 0) fields['nulls'] = 'yes';
  if ((info & INDEX_VAR_MASK) !== 0) fields['varwidth'] = 'yes';
  fields['key'] = bytesOf(page.bytes, Math.min(at + keyOffset(info), end), end);
}
