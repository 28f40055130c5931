import { CorruptionError } from '@zenith/base';
import {
  INVALID_BLOCK_NUMBER,
  INVALID_OFFSET_NUMBER,
  linePointer,
  pageMaxOffset,
  setLinePointer,
  type Page,
  type WalRecord,
} from '@zenith/pg-format';
import { deleteItems, itemAt } from '../index-page/items.ts';
import { mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { clearRedirection, removeTrailingPlaceholders, replaceManyByDeadTuples } from './dead-tuples.ts';
import { countPlaceholders, countRedirections, spgistOpaque } from './page.ts';
import {
  SIZE_OF_DEAD_TUPLE,
  SPGIST_DEAD,
  SPGIST_PLACEHOLDER,
  SPGIST_REDIRECT,
  setNextOffset,
  setTupleState,
  tupleState,
} from './tuples.ts';

// All have one block, the page, and lists of offset numbers u16 behind the fixed part of the main data.
// spgxlogVacuumLeaf, 16 bytes: nDead u16 @0, nPlaceholder u16 @2, nMove u16 @4, nChain u16 @6, xid u32 @8, isBuild u8 @12; the lists: tuples that become DEAD,
// tuples that become PLACEHOLDER, tuples that move, where to (each replaces what is there), tuples of which the next in the chain changes, to what.
// spgxlogVacuumRoot, 12 bytes: nDelete u16 @0, xid u32 @4, isBuild u8 @8; the tuples to delete, ascending.
// spgxlogVacuumRedirect: nToPlaceholder u16 @0, firstPlaceholder u16 @2, snapshotConflictHorizon u32 @4, from 16 on isCatalogRel u8 @8; the redirections (@8 in
// 15, @10) that become placeholders.
// PG 15-18: spgxlog.h; redo: spgRedoVacuumLeaf(), spgRedoVacuumRoot(), spgRedoVacuumRedirect() in spgxlog.c
const SIZE_OF_VACUUM_LEAF = 16;
const SIZE_OF_VACUUM_ROOT = 12;
const SIZE_OF_VACUUM_REDIRECT_15 = 8;
const SIZE_OF_VACUUM_REDIRECT_16 = 10;

/** PG: spgRedoVacuumLeaf(). */
export const redoSpgistVacuumLeaf: RedoRoutine = (record, blockIndex, page) => {
  const { view } = record;
  onlyBlock(blockIndex);
  const main = mainData(record, SIZE_OF_VACUUM_LEAF);
  const deadCount = view.getUint16(main, true);
  const placeholderCount = view.getUint16(main + 2, true);
  const moveCount = view.getUint16(main + 4, true);
  const chainCount = view.getUint16(main + 6, true);
  const dead = main + SIZE_OF_VACUUM_LEAF;
  const placeholders = dead + deadCount * 2;
  const moveFrom = placeholders + placeholderCount * 2;
  const moveTo = moveFrom + moveCount * 2;
  const chained = moveTo + moveCount * 2;
  const next = chained + chainCount * 2;
  if (next + chainCount * 2 > main + record.mainDataLength)
    throw new CorruptionError(`more tuples announced than main data of ${record.mainDataLength} bytes can list`);

  const opaque = spgistOpaque(page);
  becomeDead(page, opaque, view, dead, deadCount, SPGIST_DEAD);
  becomeDead(page, opaque, view, placeholders, placeholderCount, SPGIST_PLACEHOLDER);
  // A moved tuple and the one that it replaces change places, so that what is left behind is what becomes a placeholder.
  for (let i = 0; i < moveCount * 2; i += 2)
    swapLinePointers(page, view.getUint16(moveFrom + i, true), view.getUint16(moveTo + i, true));
  becomeDead(page, opaque, view, moveFrom, moveCount, SPGIST_PLACEHOLDER);
  for (let i = 0; i < chainCount * 2; i += 2)
    setNextOffset(page, view.getUint16(chained + i, true), view.getUint16(next + i, true));
  return true;
};

function becomeDead(page: Page, opaque: number, view: DataView, at: number, count: number, state: number): void {
  replaceManyByDeadTuples(page, opaque, view, at, count, state, state, 0, INVALID_BLOCK_NUMBER, INVALID_OFFSET_NUMBER);
}

function swapLinePointers(page: Page, one: number, other: number): void {
  const lineCount = pageMaxOffset(page);
  if (one === 0 || other === 0 || one > lineCount || other > lineCount)
    throw new CorruptionError(`tuples ${one} and ${other} of ${lineCount} cannot change places`);
  const pointer = linePointer(page, one);
  setLinePointer(page, one, linePointer(page, other));
  setLinePointer(page, other, pointer);
}

/** PG: spgRedoVacuumRoot(). */
export const redoSpgistVacuumRoot: RedoRoutine = (record, blockIndex, page) => {
  onlyBlock(blockIndex);
  const main = mainData(record, SIZE_OF_VACUUM_ROOT);
  spgistOpaque(page);
  const count = record.view.getUint16(main, true);
  deleteItems(page, record.view, main + SIZE_OF_VACUUM_ROOT, main + record.mainDataLength, count);
  return true;
};

/** PG: spgRedoVacuumRedirect() of 15. */
export const redoSpgistVacuumRedirect15: RedoRoutine = (record, blockIndex, page) =>
  redoVacuumRedirect(record, blockIndex, page, SIZE_OF_VACUUM_REDIRECT_15);

/** PG: spgRedoVacuumRedirect() from 16 on. */
export const redoSpgistVacuumRedirect16: RedoRoutine = (record, blockIndex, page) =>
  redoVacuumRedirect(record, blockIndex, page, SIZE_OF_VACUUM_REDIRECT_16);

function redoVacuumRedirect(record: WalRecord, blockIndex: number, page: Page, size: number): boolean {
  const { view } = record;
  onlyBlock(blockIndex);
  const main = mainData(record, size);
  const count = view.getUint16(main, true);
  const firstPlaceholder = view.getUint16(main + 2, true);
  if (size + count * 2 > record.mainDataLength)
    throw new CorruptionError(`${count} redirections announced, main data of ${record.mainDataLength} bytes`);
  const opaque = spgistOpaque(page);
  for (let i = 0; i < count; i++) {
    const offsetNumber = view.getUint16(main + size + i * 2, true);
    const tuple = itemAt(page, offsetNumber, SIZE_OF_DEAD_TUPLE);
    if (tupleState(page.view, tuple) !== SPGIST_REDIRECT)
      throw new CorruptionError(`tuple ${offsetNumber} is not a redirection`);
    setTupleState(page.view, tuple, SPGIST_PLACEHOLDER);
    clearRedirection(page.view, tuple);
  }
  countRedirections(page, opaque, -count);
  countPlaceholders(page, opaque, count);
  if (firstPlaceholder !== 0) removeTrailingPlaceholders(page, opaque, firstPlaceholder);
  return true;
}

function onlyBlock(blockIndex: number): void {
  if (blockIndex !== 0) throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
}
