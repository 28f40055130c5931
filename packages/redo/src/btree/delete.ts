import { CorruptionError } from '@zenith/base';
import {
  BTP_HAS_GARBAGE,
  INDEX_ALT_TID_MASK,
  INDEX_SIZE_MASK,
  SIZE_OF_ITEM_POINTER,
  copyBytes,
  indexTupleInfo,
  indexTupleIsPosting,
  maxAlign,
  pageIndexMultiDelete,
  pageIndexTupleOverwrite,
  postingListLength,
  setBtreeCycleId,
  setIndexTupleInfo,
  setPosting,
  type Page,
  type WalRecord,
} from '@zenith/pg-format';
import { blockData, blockDataLength, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { clearBtreeFlags, existingOpaque } from './page.ts';
import { tupleScratch } from './scratch.ts';
import { heapTidCount, heapTidsStart, indexTupleAt, keyLength } from './tuples.ts';

// xl_btree_vacuum: ndeleted u16 @0, nupdated u16 @2.  xl_btree_delete: snapshotConflictHorizon u32 @0, ndeleted u16 @4, nupdated u16 @6, from 16 on
// isCatalogRel u8 @8.  Data of block 0: deleted tuples' offset numbers u16[ndeleted], updated tuples' u16[nupdated], then per updated tuple
// ndeletedtids u16 and u16[ndeletedtids], ascending places in its posting list.
// PG 15-18: nbtxlog.h; redo: btree_xlog_vacuum(), btree_xlog_delete() in nbtxlog.c
const SIZE_OF_BTREE_VACUUM = 4;
const SIZE_OF_BTREE_DELETE = 8;

/** PG: btree_xlog_vacuum(). */
export const redoBtreeVacuum: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_BTREE_VACUUM);
  const opaque = existingOpaque(page);
  deleteAndUpdate(record, blockIndex, page, record.view.getUint16(main, true), record.view.getUint16(main + 2, true));
  setBtreeCycleId(page, opaque, 0);
  clearBtreeFlags(page, opaque, BTP_HAS_GARBAGE);
  return true;
};

/** PG: btree_xlog_delete(): the vacuum cycle id stays. */
export const redoBtreeDelete: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_BTREE_DELETE);
  const opaque = existingOpaque(page);
  deleteAndUpdate(
    record,
    blockIndex,
    page,
    record.view.getUint16(main + 4, true),
    record.view.getUint16(main + 6, true),
  );
  clearBtreeFlags(page, opaque, BTP_HAS_GARBAGE);
  return true;
};

function deleteAndUpdate(
  record: WalRecord,
  blockIndex: number,
  page: Page,
  deletedCount: number,
  updatedCount: number,
): void {
  const deleted = blockData(record, blockIndex, (deletedCount + updatedCount) * 2);
  const end = deleted + blockDataLength(record, blockIndex);
  const updated = deleted + deletedCount * 2;
  let at = updated + updatedCount * 2;
  for (let i = 0; i < updatedCount; i++) {
    const count = at + 2 > end ? -1 : record.view.getUint16(at, true);
    if (count < 0 || at + 2 + count * 2 > end)
      throw new CorruptionError(`the data end before update ${i + 1} of ${updatedCount}`);
    updatePosting(page, record.view.getUint16(updated + i * 2, true), record.view, at + 2, count);
    at += 2 + count * 2;
  }
  if (at !== end) throw new CorruptionError(`${end - at} bytes are left after ${updatedCount} updates`);
  if (deletedCount > 0) pageIndexMultiDelete(page, record.view, deleted, deletedCount);
}

/** Takes heap TIDs out of a tuple's posting list; the last one left makes it a plain tuple. PG: btree_xlog_updates(), _bt_update_posting(). */
function updatePosting(page: Page, offsetNumber: number, view: DataView, places: number, placeCount: number): void {
  const tuple = indexTupleAt(page, offsetNumber);
  const oldCount = heapTidCount(page.view, tuple);
  const count = oldCount - placeCount;
  if (!indexTupleIsPosting(page.view, tuple) || placeCount < 1 || count < 1)
    throw new CorruptionError(`${placeCount} of the ${oldCount} heap TIDs of tuple ${offsetNumber} deleted`);
  const key = keyLength(page.view, tuple);
  const length = count > 1 ? maxAlign(key + postingListLength(count)) : key;
  const scratch = tupleScratch;
  scratch.bytes.fill(0, 0, length);
  copyBytes(page.bytes, tuple, scratch.bytes, 0, key);
  const info = (indexTupleInfo(page.view, tuple) & ~INDEX_SIZE_MASK) | length;
  setIndexTupleInfo(scratch.view, 0, count > 1 ? info : info & ~INDEX_ALT_TID_MASK);
  if (count > 1) setPosting(scratch.view, 0, count, key);

  const tids = heapTidsStart(page.view, tuple);
  let to = count > 1 ? key : 0;
  let next = 0;
  for (let i = 0; i < oldCount; i++) {
    if (next < placeCount && view.getUint16(places + next * 2, true) === i) {
      next++;
      continue;
    }
    if (i - next >= count) break;
    copyBytes(page.bytes, tids + i * SIZE_OF_ITEM_POINTER, scratch.bytes, to, SIZE_OF_ITEM_POINTER);
    to += SIZE_OF_ITEM_POINTER;
  }
  if (next !== placeCount)
    throw new CorruptionError(
      `place ${view.getUint16(places + next * 2, true)} of a posting list of ${oldCount} heap TIDs`,
    );
  if (!pageIndexTupleOverwrite(page, offsetNumber, scratch.bytes, 0, length))
    throw new CorruptionError(`no room for the updated tuple ${offsetNumber}`);
}
