import { CorruptionError } from '@zenith/base';
import type { Page, WalRecord } from '@zenith/pg-format';
import { blockNumber, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { replaceManyByDeadTuples } from './dead-tuples.ts';
import { initSpgistPage, leafPageFlags, spgistOpaque } from './page.ts';
import {
  SPGIST_PLACEHOLDER,
  SPGIST_REDIRECT,
  addOrReplaceTuple,
  leafTupleIn,
  replaceTuple,
  setNextOffset,
  updateNodeLink,
} from './tuples.ts';

// spgxlogAddLeaf, 10 bytes: newPage u8 @0, storesNulls u8 @1, offnumLeaf u16 @2, offnumHeadLeaf u16 @4, offnumParent u16 @6, nodeI u16 @8; then the leaf
// tuple.  Block 0: its page. Block 1: the page of the inner tuple that leads to it, when that changes (offnumParent is not 0).
// spgxlogMoveLeafs, 20 bytes: nMoves u16 @0, newPage u8 @2, replaceDead u8 @3, storesNulls u8 @4, offnumParent u16 @6, nodeI u16 @8, xid u32 @12,
// isBuild u8 @16; then u16[nMoves] tuples that leave, u16[n] their new places and n leaf tuples: n is nMoves + 1, or 1 with replaceDead. The last
// place is the chain's head.  Block 0: the page they leave. Block 1: the page they go to. Block 2: the page of the inner tuple that leads to them.
// PG 15-18: spgxlog.h; redo: spgRedoAddLeaf(), spgRedoMoveLeafs() in spgxlog.c
const SIZE_OF_ADD_LEAF = 10;
const LEAF = 0;
const LEAF_PARENT = 1;
const SIZE_OF_MOVE_LEAFS = 20;
const MOVES_XID = 12;
const MOVES_IS_BUILD = 16;
const SOURCE = 0;
const DESTINATION = 1;
const PARENT = 2;

/** PG: spgRedoAddLeaf(). */
export const redoSpgistAddLeaf: RedoRoutine = (record, blockIndex, page) => {
  const { view } = record;
  const main = mainData(record, SIZE_OF_ADD_LEAF);
  const leaf = view.getUint16(main + 2, true);
  const parent = view.getUint16(main + 6, true);
  switch (blockIndex) {
    case LEAF:
      addLeaf(record, page, main, leaf);
      return true;
    case LEAF_PARENT:
      spgistOpaque(page);
      updateNodeLink(page, parent, view.getUint16(main + 8, true), blockNumber(record, LEAF), leaf);
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};

function addLeaf(record: WalRecord, page: Page, main: number, leaf: number): void {
  const { view, bytes } = record;
  const tuple = main + SIZE_OF_ADD_LEAF;
  const length = leafTupleIn(view, tuple, main + record.mainDataLength);
  const head = view.getUint16(main + 4, true);
  if (view.getUint8(main) !== 0) initSpgistPage(page, leafPageFlags(view.getUint8(main + 1) !== 0));
  const opaque = spgistOpaque(page);
  if (leaf === head) {
    // It takes the place of a dead one, the head of a chain without tuples.
    replaceTuple(page, bytes, tuple, length, leaf);
    return;
  }
  addOrReplaceTuple(page, opaque, bytes, tuple, length, leaf);
  if (head !== 0) setNextOffset(page, head, leaf);
}

/** PG: spgRedoMoveLeafs(). */
export const redoSpgistMoveLeafs: RedoRoutine = (record, blockIndex, page) => {
  const { view } = record;
  const main = mainData(record, SIZE_OF_MOVE_LEAFS);
  const leaving = main + SIZE_OF_MOVE_LEAFS;
  const leavingCount = view.getUint16(main, true);
  const places = leaving + leavingCount * 2;
  const placeCount = view.getUint8(main + 3) !== 0 ? 1 : leavingCount + 1;
  const tuples = places + placeCount * 2;
  if (tuples > main + record.mainDataLength)
    throw new CorruptionError(`${leavingCount} moves announced, main data of ${record.mainDataLength} bytes`);
  const head = view.getUint16(tuples - 2, true);
  const destination = blockNumber(record, DESTINATION);
  switch (blockIndex) {
    case DESTINATION:
      if (view.getUint8(main + 2) !== 0) initSpgistPage(page, leafPageFlags(view.getUint8(main + 4) !== 0));
      addLeaves(record, page, places, placeCount, main + record.mainDataLength);
      return true;
    case SOURCE:
      replaceManyByDeadTuples(
        page,
        spgistOpaque(page),
        view,
        leaving,
        leavingCount,
        view.getUint8(main + MOVES_IS_BUILD) !== 0 ? SPGIST_PLACEHOLDER : SPGIST_REDIRECT,
        SPGIST_PLACEHOLDER,
        view.getUint32(main + MOVES_XID, true),
        destination,
        head,
      );
      return true;
    case PARENT:
      spgistOpaque(page);
      updateNodeLink(page, view.getUint16(main + 6, true), view.getUint16(main + 8, true), destination, head);
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};

/** Puts `count` leaf tuples, which lie behind their places in the record, on the page. */
function addLeaves(record: WalRecord, page: Page, places: number, count: number, end: number): void {
  const { view, bytes } = record;
  const opaque = spgistOpaque(page);
  let at = places + count * 2;
  for (let i = 0; i < count; i++) {
    const length = leafTupleIn(view, at, end);
    addOrReplaceTuple(page, opaque, bytes, at, length, view.getUint16(places + i * 2, true));
    at += length;
  }
}
