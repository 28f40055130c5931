import { CorruptionError } from '@zenith/base';
import { SIZE_OF_INDEX_TUPLE, type Page, type WalRecord } from '@zenith/pg-format';
import { onlyIndexTupleIn, putItem } from '../index-page/items.ts';
import { blockData, blockDataLength, blockNumber, exactBlockData, hasBlock, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { initHashBitmapPage, setHashBitmapBit } from './bitmap-page.ts';
import {
  addHashBitmap,
  addHashSpare,
  checkHashMetaPage,
  hashTupleCount,
  setHashFirstFree,
  setHashTupleCount,
} from './meta-page.ts';
import { LH_OVERFLOW_PAGE, hashOpaque, initHashPage, setHashNext } from './page.ts';

// xl_hash_insert: offnum u16 @0.  Block 0: the page, with the tuple as data. Block 1: the meta page.
// xl_hash_add_ovfl_page: bmsize u16 @0, bmpage_found u8 @2.  Block 0: the new page; data: its bucket u32. Block 1: the page before it. Block 2: the
// bitmap that has its bit; data: the bit u32. Block 3: a new bitmap. Block 4: the meta page; data: the first page that may be free u32.
// PG 15-18: hash_xlog.h; redo: hash_xlog_insert(), hash_xlog_add_ovfl_page() in hash_xlog.c
const SIZE_OF_HASH_INSERT = 2;
const PAGE = 0;
const INSERT_META = 1;
const SIZE_OF_ADD_OVFL_PAGE = 3;
const NEW_PAGE = 0;
const LEFT_PAGE = 1;
const BITMAP = 2;
const NEW_BITMAP = 3;
const META = 4;

/** PG: hash_xlog_insert(). */
export const redoHashInsert: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_HASH_INSERT);
  switch (blockIndex) {
    case PAGE: {
      hashOpaque(page);
      const data = blockData(record, PAGE, SIZE_OF_INDEX_TUPLE);
      const length = onlyIndexTupleIn(record.view, data, data + blockDataLength(record, PAGE));
      putItem(page, record.bytes, data, length, record.view.getUint16(main, true));
      return true;
    }
    case INSERT_META:
      checkHashMetaPage(page);
      setHashTupleCount(page, hashTupleCount(page) + 1);
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};

/** PG: hash_xlog_add_ovfl_page(). */
export const redoHashAddOverflowPage: RedoRoutine = (record, blockIndex, page) => {
  const { view } = record;
  const main = mainData(record, SIZE_OF_ADD_OVFL_PAGE);
  switch (blockIndex) {
    case NEW_PAGE:
      initHashPage(
        page,
        blockNumber(record, LEFT_PAGE),
        view.getUint32(exactBlockData(record, NEW_PAGE, 4), true),
        LH_OVERFLOW_PAGE,
      );
      return true;
    case LEFT_PAGE:
      setHashNext(page, hashOpaque(page), blockNumber(record, NEW_PAGE));
      return true;
    case BITMAP:
      setHashBitmapBit(page, view.getUint32(exactBlockData(record, BITMAP, 4), true));
      return true;
    case NEW_BITMAP:
      initHashBitmapPage(page, view.getUint16(main, true));
      return true;
    case META:
      addPages(record, page, view.getUint8(main + 2) !== 0);
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};

/** A page that was free before costs none; else the index has one page more, or two with the bitmap that it needed. */
function addPages(record: WalRecord, page: Page, wasFree: boolean): void {
  checkHashMetaPage(page);
  setHashFirstFree(page, record.view.getUint32(exactBlockData(record, META, 4), true));
  if (wasFree) return;
  addHashSpare(page);
  if (!hasBlock(record, NEW_BITMAP)) return;
  addHashBitmap(page, blockNumber(record, NEW_BITMAP));
  addHashSpare(page);
}
