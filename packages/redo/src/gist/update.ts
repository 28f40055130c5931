import { CorruptionError } from '@zenith/base';
import { pageIndexTupleOverwrite, type Page, type WalRecord } from '@zenith/pg-format';
import { appendIndexTuples, deleteItems, indexTupleIn } from '../index-page/items.ts';
import { blockData, blockDataLength, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { clearFollowRight } from './follow-right.ts';
import { F_HAS_GARBAGE, F_LEAF, F_TUPLES_DELETED, changeGistFlags, gistFlags, gistOpaque } from './page.ts';

// gistxlogPageUpdate: ntodelete u16 @0, ntoinsert u16 @2.  Block 0: the page; its data: u16[ntodelete], then the new tuples. Block 1: the left half
// of a split, when a new tuple is the right half's downlink.
// gistxlogDelete: snapshotConflictHorizon u32 @0, ntodelete u16 @4, from 16 on isCatalogRel u8 @6; then u16[ntodelete] (@6 in 15, @8).  Block 0: the leaf.
// PG 15-18: gistxlog.h; redo: gistRedoPageUpdateRecord(), gistRedoDeleteRecord() in gistxlog.c
const SIZE_OF_PAGE_UPDATE = 4;
const SIZE_OF_DELETE_15 = 6;
const SIZE_OF_DELETE_16 = 8;
const PAGE = 0;
const LEFT_CHILD = 1;

/** PG: gistRedoPageUpdateRecord(). */
export const redoGistPageUpdate: RedoRoutine = (record, blockIndex, page) => {
  if (blockIndex === LEFT_CHILD) clearFollowRight(record, page);
  else if (blockIndex === PAGE) updatePage(record, page);
  else throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  return true;
};

/** What {@link redoGistPageUpdate} does to a block whose image was restored. */
export const redoGistPageUpdateOnImage: RedoRoutine = (record, blockIndex, page) => {
  if (blockIndex !== LEFT_CHILD) return false;
  clearFollowRight(record, page);
  return true;
};

function updatePage(record: WalRecord, page: Page): void {
  const { view, bytes } = record;
  const main = mainData(record, SIZE_OF_PAGE_UPDATE);
  const deletedCount = view.getUint16(main, true);
  const insertedCount = view.getUint16(main + 2, true);
  const data = blockData(record, PAGE, deletedCount * 2);
  const end = data + blockDataLength(record, PAGE);
  const tuples = data + deletedCount * 2;
  const opaque = gistOpaque(page);
  if (deletedCount === 1 && insertedCount === 1) {
    // One for one is done in place, as the server does it.
    const offsetNumber = view.getUint16(data, true);
    const length = indexTupleIn(view, tuples, end);
    if (tuples + length !== end) throw new CorruptionError(`${end - tuples - length} bytes left after the new tuple`);
    if (!pageIndexTupleOverwrite(page, offsetNumber, bytes, tuples, length))
      throw new CorruptionError(`no room for the new tuple ${offsetNumber} of ${length} bytes`);
    return;
  }
  if (deletedCount > 0) {
    deleteItems(page, view, data, end, deletedCount);
    if ((gistFlags(page, opaque) & F_LEAF) !== 0) changeGistFlags(page, opaque, F_TUPLES_DELETED, 0);
  }
  const found = appendIndexTuples(page, view, bytes, tuples, end);
  if (found !== insertedCount) throw new CorruptionError(`${found} new tuples, ${insertedCount} announced`);
}

/** PG: gistRedoDeleteRecord() of 15. */
export const redoGistDelete15: RedoRoutine = (record, blockIndex, page) =>
  redoDelete(record, blockIndex, page, SIZE_OF_DELETE_15);

/** PG: gistRedoDeleteRecord() from 16 on. */
export const redoGistDelete16: RedoRoutine = (record, blockIndex, page) =>
  redoDelete(record, blockIndex, page, SIZE_OF_DELETE_16);

function redoDelete(record: WalRecord, blockIndex: number, page: Page, size: number): boolean {
  if (blockIndex !== PAGE) throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  const main = mainData(record, size);
  const opaque = gistOpaque(page);
  deleteItems(page, record.view, main + size, main + record.mainDataLength, record.view.getUint16(main + 4, true));
  // Differs: PostgreSQL's redo also sets F_TUPLES_DELETED, which the server that wrote the record did not (gistprunepage(), gist.c). The page is to be
  // that server's; nothing reads the flag.
  changeGistFlags(page, opaque, 0, F_HAS_GARBAGE);
  return true;
}
