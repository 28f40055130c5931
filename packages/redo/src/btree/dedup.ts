import { CorruptionError } from '@zenith/base';
import {
  BTP_HAS_GARBAGE,
  INDEX_SIZE_MASK,
  P_HIKEY,
  P_NONE,
  addItemSpace,
  btreeCycleId,
  btreeFirstDataKey,
  btreeFlags,
  btreeLevel,
  btreeNext,
  btreePrev,
  copyBytes,
  indexTupleInfo,
  indexTupleLength,
  lpLength,
  lpOffset,
  maxAlign,
  pageMaxOffset,
  pageUpper,
  postingListLength,
  setBtreeCycleId,
  setIndexTupleInfo,
  setPosting,
  type Page,
} from '@zenith/pg-format';
import { exactBlockData, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { existingOpaque, initBtreePage } from './page.ts';
import { originalPage } from './scratch.ts';
import {
  BT_MAX_ITEM_SIZE,
  heapTidCount,
  heapTidsStart,
  indexLinePointer,
  indexTupleAt,
  keyLength,
  putIndexTuple,
} from './tuples.ts';

// xl_btree_dedup: nintervals u16 @0.  Data of block 0: per interval baseoff u16 @0, nitems u16 @2: the tuples baseoff to baseoff + nitems - 1 of the
// old page become one with a posting list.  PG 15-18: nbtxlog.h; redo: btree_xlog_dedup() in nbtxlog.c, nbtdedup.c
const SIZE_OF_BTREE_DEDUP = 2;
const INTERVAL = 4;

/** PG: btree_xlog_dedup(). The page is rebuilt in item order, so that tuples lie where the server has them. */
export const redoBtreeDedup: RedoRoutine = (record, blockIndex, page) => {
  const { view } = record;
  const count = view.getUint16(mainData(record, SIZE_OF_BTREE_DEDUP), true);
  const intervals = exactBlockData(record, blockIndex, count * INTERVAL);
  const opaque = existingOpaque(page);
  const first = btreeFirstDataKey(page, opaque);
  const last = pageMaxOffset(page);
  const next = btreeNext(page, opaque);
  originalPage.bytes.set(page.bytes);
  initBtreePage(
    page,
    btreePrev(page, opaque),
    next,
    btreeLevel(page, opaque),
    btreeFlags(page, opaque) & ~BTP_HAS_GARBAGE,
  );
  setBtreeCycleId(page, opaque, btreeCycleId(originalPage, opaque)); // deduplication ends no vacuum cycle

  if (next !== P_NONE) {
    const pointer = indexLinePointer(originalPage, P_HIKEY);
    putIndexTuple(page, originalPage.bytes, lpOffset(pointer), lpLength(pointer), P_HIKEY);
  }
  let to = first;
  let interval = 0;
  for (let from = first; from <= last; to++) {
    const at = intervals + interval * INTERVAL;
    if (interval < count && view.getUint16(at, true) === from) {
      const itemCount = view.getUint16(at + 2, true);
      if (itemCount < 2 || from + itemCount - 1 > last)
        throw new CorruptionError(`interval of ${itemCount} tuples from ${from} on, of ${last}`);
      putMergedTuple(page, to, from, itemCount);
      from += itemCount;
      interval++;
    } else {
      const tuple = indexTupleAt(originalPage, from);
      putIndexTuple(page, originalPage.bytes, tuple, indexTupleLength(originalPage.view, tuple), to);
      from++;
    }
  }
  if (interval !== count)
    throw new CorruptionError(`interval ${interval + 1} of ${count} begins at no tuple of the page`);
  return true;
};

/** Puts one tuple with the key of tuple `base` of the old page and the heap TIDs of `itemCount` tuples from it on. PG: _bt_form_posting(). */
function putMergedTuple(page: Page, offsetNumber: number, base: number, itemCount: number): void {
  const old = originalPage;
  let tidCount = 0;
  for (let i = 0; i < itemCount; i++) tidCount += heapTidCount(old.view, indexTupleAt(old, base + i));
  const baseTuple = indexTupleAt(old, base);
  const key = keyLength(old.view, baseTuple);
  const length = maxAlign(key + postingListLength(tidCount));
  if (length > BT_MAX_ITEM_SIZE || addItemSpace(page, length, offsetNumber) !== offsetNumber) {
    throw new CorruptionError(
      `${itemCount} tuples from ${base} on do not fit one of ${length} bytes at offset number ${offsetNumber}`,
    );
  }
  const tuple = pageUpper(page);
  copyBytes(old.bytes, baseTuple, page.bytes, tuple, key);
  setIndexTupleInfo(page.view, tuple, (indexTupleInfo(page.view, tuple) & ~INDEX_SIZE_MASK) | length);
  setPosting(page.view, tuple, tidCount, key);
  let at = tuple + key;
  for (let i = 0; i < itemCount; i++) {
    const item = indexTupleAt(old, base + i);
    const bytes = postingListLength(heapTidCount(old.view, item));
    copyBytes(old.bytes, heapTidsStart(old.view, item), page.bytes, at, bytes);
    at += bytes;
  }
}
