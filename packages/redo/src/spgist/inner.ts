import { CorruptionError } from '@zenith/base';
import type { Page, WalRecord } from '@zenith/pg-format';
import { blockNumber, hasBlock, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { replaceByDeadTuple } from './dead-tuples.ts';
import { initSpgistPage, spgistOpaque } from './page.ts';
import {
  SPGIST_PLACEHOLDER,
  SPGIST_REDIRECT,
  addOrReplaceTuple,
  innerTupleIn,
  replaceTuple,
  updateNodeLink,
} from './tuples.ts';

// spgxlogAddNode, 20 bytes: offnum u16 @0, offnumNew u16 @2, newPage u8 @4, parentBlk i8 @5, offnumParent u16 @6, nodeI u16 @8, xid u32 @12, isBuild u8 @16; then
// the inner tuple.  Block 0: the page with its old form. Block 1: the page it goes to, unless it stays. Block 2: the page of its parent, when that is
// another: parentBlk is the block that the parent is on, -1 for a tuple that stays.
// spgxlogSplitTuple, 6 bytes: offnumPrefix u16 @0, offnumPostfix u16 @2, newPage u8 @4, postfixBlkSame u8 @5; then the prefix tuple, then the postfix tuple.
// Block 0: the page of the old tuple and of the prefix. Block 1: the page of the postfix, unless postfixBlkSame.
// PG 15-18: spgxlog.h; redo: spgRedoAddNode(), spgRedoSplitTuple() in spgxlog.c
const SIZE_OF_ADD_NODE = 20;
const PARENT_BLOCK = 5;
const OLD_PAGE = 0;
const NEW_PAGE = 1;
const PARENT = 2;
const SIZE_OF_SPLIT_TUPLE = 6;
const PREFIX_PAGE = 0;
const POSTFIX_PAGE = 1;

/** PG: spgRedoAddNode(). */
export const redoSpgistAddNode: RedoRoutine = (record, blockIndex, page) => {
  const { view, bytes } = record;
  const main = mainData(record, SIZE_OF_ADD_NODE);
  const tuple = main + SIZE_OF_ADD_NODE;
  const length = innerTupleIn(view, tuple, main + record.mainDataLength);
  const old = view.getUint16(main, true);
  if (!hasBlock(record, NEW_PAGE)) {
    if (blockIndex !== OLD_PAGE) throw new CorruptionError(`a tuple that stays on its page has no block ${blockIndex}`);
    spgistOpaque(page);
    replaceTuple(page, bytes, tuple, length, old);
    return true;
  }
  const target = view.getUint16(main + 2, true);
  const targetBlock = blockNumber(record, NEW_PAGE);
  switch (blockIndex) {
    case NEW_PAGE:
      if (view.getUint8(main + 4) !== 0) initSpgistPage(page, 0);
      addOrReplaceTuple(page, spgistOpaque(page), bytes, tuple, length, target);
      break;
    case OLD_PAGE:
      replaceByDeadTuple(
        page,
        spgistOpaque(page),
        old,
        view.getUint8(main + 16) !== 0 ? SPGIST_PLACEHOLDER : SPGIST_REDIRECT,
        view.getUint32(main + 12, true),
        targetBlock,
        target,
      );
      break;
    case PARENT:
      spgistOpaque(page);
      break;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
  if (view.getInt8(main + PARENT_BLOCK) === blockIndex)
    updateNodeLink(page, view.getUint16(main + 6, true), view.getUint16(main + 8, true), targetBlock, target);
  else if (blockIndex === PARENT) throw new CorruptionError('the parent is on another block');
  return true;
};

/** PG: spgRedoSplitTuple(). */
export const redoSpgistSplitTuple: RedoRoutine = (record, blockIndex, page) => {
  const { view } = record;
  const main = mainData(record, SIZE_OF_SPLIT_TUPLE);
  const end = main + record.mainDataLength;
  const prefix = main + SIZE_OF_SPLIT_TUPLE;
  const prefixLength = innerTupleIn(view, prefix, end);
  const isSamePage = view.getUint8(main + 5) !== 0;
  switch (blockIndex) {
    case PREFIX_PAGE:
      spgistOpaque(page);
      replaceTuple(page, record.bytes, prefix, prefixLength, view.getUint16(main, true));
      if (isSamePage) addPostfix(record, page, main, prefix + prefixLength, end);
      return true;
    case POSTFIX_PAGE:
      if (isSamePage) throw new CorruptionError('a second page where both tuples are on the first');
      if (view.getUint8(main + 4) !== 0) initSpgistPage(page, 0);
      addPostfix(record, page, main, prefix + prefixLength, end);
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};

function addPostfix(record: WalRecord, page: Page, main: number, postfix: number, end: number): void {
  const length = innerTupleIn(record.view, postfix, end);
  addOrReplaceTuple(page, spgistOpaque(page), record.bytes, postfix, length, record.view.getUint16(main + 2, true));
}
