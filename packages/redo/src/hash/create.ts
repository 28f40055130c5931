import { CorruptionError } from '@zenith/base';
import { mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { initHashBitmapPage } from './bitmap-page.ts';
import { addHashBitmap, checkHashMetaPage, hashMaxBucket, initHashMetaPage, setHashTupleCount } from './meta-page.ts';

// xl_hash_init_meta_page: num_tuples f64 @0, procid u32 @8, ffactor u16 @12.  Block 0: the meta page.
// xl_hash_init_bitmap_page: bmsize u16 @0.  Block 0: the first bitmap. Block 1: the meta page.
// xl_hash_update_meta_page: ntuples f64 @0.  Block 0: the meta page.
// PG 15-18: hash_xlog.h; redo: hash_xlog_init_meta_page(), hash_xlog_init_bitmap_page(), hash_xlog_update_meta_page() in hash_xlog.c
const SIZE_OF_INIT_META_PAGE = 14;
const SIZE_OF_INIT_BITMAP_PAGE = 2;
const SIZE_OF_UPDATE_META_PAGE = 8;
const BITMAP = 0;
const META = 1;

/** PG: hash_xlog_init_meta_page(). */
export const redoHashInitMetaPage: RedoRoutine = (record, blockIndex, page) => {
  if (blockIndex !== 0) throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  const { view } = record;
  const main = mainData(record, SIZE_OF_INIT_META_PAGE);
  initHashMetaPage(page, view.getFloat64(main, true), view.getUint32(main + 8, true), view.getUint16(main + 12, true));
  return true;
};

/** PG: hash_xlog_init_bitmap_page(). */
export const redoHashInitBitmapPage: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_INIT_BITMAP_PAGE);
  switch (blockIndex) {
    case BITMAP:
      initHashBitmapPage(page, record.view.getUint16(main, true));
      return true;
    case META:
      checkHashMetaPage(page);
      // The buckets are blocks 1 to maxbucket + 1; the bitmap is behind them.
      addHashBitmap(page, hashMaxBucket(page) + 2);
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};

/** PG: hash_xlog_update_meta_page(). */
export const redoHashUpdateMetaPage: RedoRoutine = (record, blockIndex, page) => {
  if (blockIndex !== 0) throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  const main = mainData(record, SIZE_OF_UPDATE_META_PAGE);
  checkHashMetaPage(page);
  setHashTupleCount(page, record.view.getFloat64(main, true));
  return true;
};
