import { CorruptionError } from '@zenith/base';
import { BLCKSZ, INVALID_BLOCK_NUMBER, maxAlign, type Page, type WalRecord } from '@zenith/pg-format';
import { indexTupleIn, putItem } from '../index-page/items.ts';
import { blockData, blockDataLength, exactBlockData, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { clearHashBitmapBit } from './bitmap-page.ts';
import { deleteListed } from './delete.ts';
import { checkHashMetaPage, setHashFirstFree } from './meta-page.ts';
import { INVALID_BUCKET, LH_UNUSED_PAGE, hashOpaque, initHashPage, setHashNext, setHashPrev } from './page.ts';

// xl_hash_move_page_contents: ntups u16 @0, is_prim_bucket_same_wrt u8 @2.  Block 0: the bucket's first page, only locked, when block 1 is another. Block 1:
// the page that gets tuples; data: their offset numbers u16[ntups], then the tuples, each of aligned length. Block 2: the page that loses them; data:
// offset numbers u16[].
// xl_hash_squeeze_page: prevblkno u32 @0, nextblkno u32 @4, ntups u16 @8, is_prim_bucket_same_wrt u8 @10, is_prev_bucket_same_wrt u8 @11.  Blocks 0 and 1 as
// above. Block 2: the page that becomes free. Block 3: the one before it, unless that is block 1. Block 4: the one behind it, if any. Block 5: the bitmap;
// data: the freed page's bit u32. Block 6: the meta page, when the first free page changes; data: that page's bit u32.
// PG 15-18: hash_xlog.h; redo: hash_xlog_move_page_contents(), hash_xlog_squeeze_page() in hash_xlog.c
const SIZE_OF_MOVE_PAGE_CONTENTS = 3;
const SIZE_OF_SQUEEZE_PAGE = 12;
const BUCKET = 0;
const WRITE = 1;
const READ = 2;
const FREED = 2;
const PREV = 3;
const NEXT = 4;
const BITMAP = 5;
const META = 6;

/** PG: hash_xlog_move_page_contents(). */
export const redoHashMovePageContents: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_MOVE_PAGE_CONTENTS);
  switch (blockIndex) {
    case BUCKET:
      return false;
    case WRITE:
      hashOpaque(page);
      addTuples(record, page, record.view.getUint16(main, true));
      return true;
    case READ:
      hashOpaque(page);
      deleteListed(record, READ, page);
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};

/** Puts the block's tuples at their offset numbers. Every line pointer's length is the aligned one. */
function addTuples(record: WalRecord, page: Page, count: number): void {
  const { view, bytes } = record;
  const offsets = blockData(record, WRITE, count * 2);
  const end = offsets + blockDataLength(record, WRITE);
  let at = offsets + count * 2;
  for (let i = 0; i < count; i++) {
    const length = maxAlign(indexTupleIn(view, at, end));
    if (at + length > end || length > BLCKSZ) throw new CorruptionError(`a tuple of ${length} bytes, ${end - at} left`);
    putItem(page, bytes, at, length, view.getUint16(offsets + i * 2, true));
    at += length;
  }
  if (at !== end) throw new CorruptionError(`${end - at} bytes left after ${count} tuples`);
}

/** PG: hash_xlog_squeeze_page() of 15 and 16, which give the page that gets tuples a new LSN even if it gets none. */
export const redoHashSqueezePage15: RedoRoutine = (record, blockIndex, page) => {
  const changed = redoHashSqueezePage17(record, blockIndex, page);
  return changed || blockIndex === WRITE;
};

/** PG: hash_xlog_squeeze_page() from 17 on. */
export const redoHashSqueezePage17: RedoRoutine = (record, blockIndex, page) => {
  const { view } = record;
  const main = mainData(record, SIZE_OF_SQUEEZE_PAGE);
  const prev = view.getUint32(main, true);
  const next = view.getUint32(main + 4, true);
  switch (blockIndex) {
    case BUCKET:
      return false;
    case WRITE: {
      const count = view.getUint16(main + 8, true);
      const isPrev = view.getUint8(main + 11) !== 0;
      const opaque = hashOpaque(page);
      addTuples(record, page, count);
      if (isPrev) setHashNext(page, opaque, next);
      return count > 0 || isPrev;
    }
    case FREED:
      initHashPage(page, INVALID_BLOCK_NUMBER, INVALID_BUCKET, LH_UNUSED_PAGE);
      return true;
    case PREV:
      setHashNext(page, hashOpaque(page), next);
      return true;
    case NEXT:
      setHashPrev(page, hashOpaque(page), prev);
      return true;
    case BITMAP:
      clearHashBitmapBit(page, view.getUint32(exactBlockData(record, BITMAP, 4), true));
      return true;
    case META:
      checkHashMetaPage(page);
      setHashFirstFree(page, view.getUint32(exactBlockData(record, META, 4), true));
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};
