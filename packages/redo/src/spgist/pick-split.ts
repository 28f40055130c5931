import { CorruptionError } from '@zenith/base';
import type { Page, WalRecord } from '@zenith/pg-format';
import { blockNumber, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { replaceManyByDeadTuples } from './dead-tuples.ts';
import { SPGIST_NULLS, initSpgistPage, leafPageFlags, spgistOpaque } from './page.ts';
import {
  SPGIST_PLACEHOLDER,
  SPGIST_REDIRECT,
  addOrReplaceTuple,
  innerTupleIn,
  leafTupleIn,
  updateNodeLink,
} from './tuples.ts';

// spgxlogPickSplit, 28 bytes: isRootSplit u8 @0, nDelete u16 @2, nInsert u16 @4, initSrc u8 @6, initDest u8 @7, offnumInner u16 @8, initInner u8 @10,
// storesNulls u8 @11, innerIsParent u8 @12, offnumParent u16 @14, nodeI u16 @16, xid u32 @20, isBuild u8 @24; then u16[nDelete] tuples that leave the source,
// u16[nInsert] places of new leaf tuples, u8[nInsert] their pages (0 the source, else the destination), the inner tuple, nInsert leaf tuples.
// Block 0: the source, unless it is the root. Block 1: the destination, if any. Block 2: the page of the new inner tuple. Block 3: the page of its parent,
// if any, unless innerIsParent.  PG 15-18: spgxlog.h; redo: spgRedoPickSplit() in spgxlog.c
const SIZE_OF_PICK_SPLIT = 28;
const IS_ROOT_SPLIT = 0;
const N_DELETE = 2;
const N_INSERT = 4;
const INIT_SOURCE = 6;
const INIT_DESTINATION = 7;
const OFFNUM_INNER = 8;
const INIT_INNER = 10;
const STORES_NULLS = 11;
const INNER_IS_PARENT = 12;
const OFFNUM_PARENT = 14;
const NODE = 16;
const XID = 20;
const IS_BUILD = 24;
const SOURCE = 0;
const DESTINATION = 1;
const INNER = 2;
const PARENT = 3;

/** PG: spgRedoPickSplit(). */
export const redoSpgistPickSplit: RedoRoutine = (record, blockIndex, page) => {
  const { view } = record;
  const main = mainData(record, SIZE_OF_PICK_SPLIT);
  const storesNulls = view.getUint8(main + STORES_NULLS) !== 0;
  switch (blockIndex) {
    case SOURCE:
      if (view.getUint8(main + IS_ROOT_SPLIT) !== 0)
        throw new CorruptionError('a split of the root has no source page');
      if (view.getUint8(main + INIT_SOURCE) !== 0) initSpgistPage(page, leafPageFlags(storesNulls));
      else removeLeavingTuples(record, page, main);
      addLeaves(record, page, main, false);
      return true;
    case DESTINATION:
      if (view.getUint8(main + INIT_DESTINATION) !== 0) initSpgistPage(page, leafPageFlags(storesNulls));
      addLeaves(record, page, main, true);
      return true;
    case INNER:
      if (view.getUint8(main + INIT_INNER) !== 0) initSpgistPage(page, storesNulls ? SPGIST_NULLS : 0);
      addInnerTuple(record, page, main);
      if (view.getUint8(main + INNER_IS_PARENT) !== 0) linkInnerTuple(record, page, main);
      return true;
    case PARENT:
      spgistOpaque(page);
      linkInnerTuple(record, page, main);
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};

/** Where the inner tuple begins. @throws CorruptionError when the lists before it leave the main data */
function innerTuple(record: WalRecord, main: number): number {
  const deleted = record.view.getUint16(main + N_DELETE, true);
  const inserted = record.view.getUint16(main + N_INSERT, true);
  const inner = main + SIZE_OF_PICK_SPLIT + deleted * 2 + inserted * 3;
  if (inner > main + record.mainDataLength)
    throw new CorruptionError(
      `${deleted} and ${inserted} tuples announced, main data of ${record.mainDataLength} bytes`,
    );
  return inner;
}

function removeLeavingTuples(record: WalRecord, page: Page, main: number): void {
  const { view } = record;
  innerTuple(record, main);
  replaceManyByDeadTuples(
    page,
    spgistOpaque(page),
    view,
    main + SIZE_OF_PICK_SPLIT,
    view.getUint16(main + N_DELETE, true),
    view.getUint8(main + IS_BUILD) !== 0 ? SPGIST_PLACEHOLDER : SPGIST_REDIRECT,
    SPGIST_PLACEHOLDER,
    view.getUint32(main + XID, true),
    blockNumber(record, INNER),
    view.getUint16(main + OFFNUM_INNER, true),
  );
}

/** Puts those of the new leaf tuples on the page that go to it. */
function addLeaves(record: WalRecord, page: Page, main: number, isDestination: boolean): void {
  const { view, bytes } = record;
  const end = main + record.mainDataLength;
  const inner = innerTuple(record, main);
  const count = view.getUint16(main + N_INSERT, true);
  const pages = inner - count;
  const places = pages - count * 2;
  const opaque = spgistOpaque(page);
  let at = inner + innerTupleIn(view, inner, end);
  for (let i = 0; i < count; i++) {
    const length = leafTupleIn(view, at, end);
    if ((view.getUint8(pages + i) !== 0) === isDestination)
      addOrReplaceTuple(page, opaque, bytes, at, length, view.getUint16(places + i * 2, true));
    at += length;
  }
}

function addInnerTuple(record: WalRecord, page: Page, main: number): void {
  const inner = innerTuple(record, main);
  const length = innerTupleIn(record.view, inner, main + record.mainDataLength);
  const offsetNumber = record.view.getUint16(main + OFFNUM_INNER, true);
  addOrReplaceTuple(page, spgistOpaque(page), record.bytes, inner, length, offsetNumber);
}

/** The parent's node leads to the new inner tuple. */
function linkInnerTuple(record: WalRecord, page: Page, main: number): void {
  const { view } = record;
  const parent = view.getUint16(main + OFFNUM_PARENT, true);
  const target = view.getUint16(main + OFFNUM_INNER, true);
  updateNodeLink(page, parent, view.getUint16(main + NODE, true), blockNumber(record, INNER), target);
}
