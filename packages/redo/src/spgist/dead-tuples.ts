import { CorruptionError } from '@zenith/base';
import {
  BLCKSZ,
  INVALID_BLOCK_NUMBER,
  INVALID_OFFSET_NUMBER,
  SIZE_OF_ITEM_ID,
  SIZE_OF_PAGE_HEADER,
  pageIndexMultiDelete,
  pageMaxOffset,
  setItemPointer,
  type Page,
} from '@zenith/pg-format';
import { putItem } from '../index-page/items.ts';
import { countPlaceholders, countRedirections } from './page.ts';
import { SIZE_OF_DEAD_TUPLE, SPGIST_PLACEHOLDER, SPGIST_REDIRECT, replaceTuple } from './tuples.ts';

const LEAF_SIZE_SHIFT = 2;
const POINTER = 6;
const XID = 12;

// Scratch of one synchronous call each; nothing in it outlives the call that filled it. A page has room for this many line pointers.
const MAX_LINE_POINTERS = (BLCKSZ - SIZE_OF_PAGE_HEADER) / SIZE_OF_ITEM_ID;
const isListed = new Uint8Array(MAX_LINE_POINTERS + 1);
const sorted = new DataView(new ArrayBuffer(MAX_LINE_POINTERS * 2));
const deadBytes = new Uint8Array(SIZE_OF_DEAD_TUPLE);
const deadView = new DataView(deadBytes.buffer);

/** Writes a dead tuple to the scratch; only a redirection has a target and an xid. PG: spgFormDeadTuple(). */
function formDeadTuple(state: number, xid: number, block: number, offsetNumber: number): void {
  const redirects = state === SPGIST_REDIRECT;
  deadView.setUint32(0, state | (SIZE_OF_DEAD_TUPLE << LEAF_SIZE_SHIFT), true);
  deadView.setUint16(4, 0, true);
  setItemPointer(
    deadView,
    POINTER,
    redirects ? block : INVALID_BLOCK_NUMBER,
    redirects ? offsetNumber : INVALID_OFFSET_NUMBER,
  );
  deadView.setUint32(XID, redirects ? xid : 0, true);
}

/** Makes the tuple at `tuple` point nowhere. */
export function clearRedirection(view: DataView, tuple: number): void {
  setItemPointer(view, tuple + POINTER, INVALID_BLOCK_NUMBER, INVALID_OFFSET_NUMBER);
}

/** Puts a dead tuple in the place of tuple `offsetNumber` and counts it. @throws CorruptionError when there is no such tuple */
export function replaceByDeadTuple(
  page: Page,
  opaque: number,
  offsetNumber: number,
  state: number,
  xid: number,
  block: number,
  target: number,
): void {
  formDeadTuple(state, xid, block, target);
  replaceTuple(page, deadBytes, 0, SIZE_OF_DEAD_TUPLE, offsetNumber);
  countDeadTuple(page, opaque, state);
}

function countDeadTuple(page: Page, opaque: number, state: number): void {
  if (state === SPGIST_REDIRECT) countRedirections(page, opaque, 1);
  else if (state === SPGIST_PLACEHOLDER) countPlaceholders(page, opaque, 1);
}

/**
 * Puts dead tuples in the place of `count` tuples whose offset numbers are u16 in `view` at `at`, in any order: one of `firstState` for the first that is
 * listed, of `restState` for the others. `xid`, `block` and `target` are a redirection's. The places on the page are those that the server's order of
 * deleting and adding gives. PG: spgPageIndexMultiDelete(), spgdoinsert.c.
 * @throws CorruptionError when an offset number is not on the page or listed twice
 */
export function replaceManyByDeadTuples(
  page: Page,
  opaque: number,
  view: DataView,
  at: number,
  count: number,
  firstState: number,
  restState: number,
  xid: number,
  block: number,
  target: number,
): void {
  if (count === 0) return;
  sortOffsetNumbers(view, at, count, pageMaxOffset(page));
  pageIndexMultiDelete(page, sorted, 0, count);
  const first = view.getUint16(at, true);
  let formed = -1;
  for (let i = 0; i < count; i++) {
    const offsetNumber = sorted.getUint16(i * 2, true);
    const state = offsetNumber === first ? firstState : restState;
    if (state !== formed) formDeadTuple(state, xid, block, target);
    formed = state;
    putItem(page, deadBytes, 0, SIZE_OF_DEAD_TUPLE, offsetNumber);
    countDeadTuple(page, opaque, state);
  }
}

/** Fills the scratch with the listed offset numbers in ascending order. */
function sortOffsetNumbers(view: DataView, at: number, count: number, lineCount: number): void {
  if (count > lineCount || lineCount > MAX_LINE_POINTERS)
    throw new CorruptionError(`${count} tuples listed of a page of ${lineCount}`);
  isListed.fill(0, 0, lineCount + 1);
  for (let i = 0; i < count; i++) {
    const offsetNumber = view.getUint16(at + i * 2, true);
    if (offsetNumber === 0 || offsetNumber > lineCount || isListed[offsetNumber] === 1)
      throw new CorruptionError(`offset number ${offsetNumber} of ${lineCount} is none or listed twice`);
    isListed[offsetNumber] = 1;
  }
  let found = 0;
  for (let offsetNumber = 1; offsetNumber <= lineCount; offsetNumber++)
    if (isListed[offsetNumber] === 1) sorted.setUint16(found++ * 2, offsetNumber, true);
}

/** Removes the placeholders from `firstOffsetNumber` to the end of the page. @throws CorruptionError when there are none or fewer placeholders */
export function removeTrailingPlaceholders(page: Page, opaque: number, firstOffsetNumber: number): void {
  const lineCount = pageMaxOffset(page);
  const count = lineCount - firstOffsetNumber + 1;
  if (firstOffsetNumber === 0 || count <= 0 || lineCount > MAX_LINE_POINTERS)
    throw new CorruptionError(`placeholders from ${firstOffsetNumber} on of a page of ${lineCount} tuples`);
  for (let i = 0; i < count; i++) sorted.setUint16(i * 2, firstOffsetNumber + i, true);
  countPlaceholders(page, opaque, -count);
  pageIndexMultiDelete(page, sorted, 0, count);
}
