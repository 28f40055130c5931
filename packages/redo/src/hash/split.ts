import { CorruptionError } from '@zenith/base';
import type { Page, WalRecord } from '@zenith/pg-format';
import { exactBlockData, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { checkHashMetaPage, setHashMasks, setHashMaxBucket, setHashSplitpoint } from './meta-page.ts';
import {
  LH_BUCKET_NEEDS_SPLIT_CLEANUP,
  clearHashFlag,
  hashOpaque,
  initHashPage,
  setHashFlag,
  setHashPrev,
} from './page.ts';

// xl_hash_split_allocate_page: new_bucket u32 @0, old_bucket_flag u16 @4, new_bucket_flag u16 @6, flags u8 @8.  Block 0: the old bucket's page. Block 1: the
// new bucket's. Block 2: the meta page; data: with UPDATE_MASKS lowmask u32, highmask u32; then with UPDATE_SPLITPOINT ovflpoint u32, its pages u32.
// xl_hash_split_complete: old_bucket_flag u16 @0, new_bucket_flag u16 @2.  Blocks 0 and 1: the same pages.
// A split-page record has one block and always its image, a split-cleanup record one block and no data.
// PG 15-18: hash_xlog.h; redo: hash_xlog_split_allocate_page(), hash_xlog_split_page(), hash_xlog_split_complete(), hash_xlog_split_cleanup() in hash_xlog.c
const SIZE_OF_SPLIT_ALLOCATE_PAGE = 9;
const SIZE_OF_SPLIT_COMPLETE = 4;
const UPDATE_MASKS = 1 << 0;
const UPDATE_SPLITPOINT = 1 << 1;
const OLD_BUCKET = 0;
const NEW_BUCKET = 1;
const META = 2;

/** PG: hash_xlog_split_allocate_page(). */
export const redoHashSplitAllocatePage: RedoRoutine = (record, blockIndex, page) => {
  const { view } = record;
  const main = mainData(record, SIZE_OF_SPLIT_ALLOCATE_PAGE);
  const newBucket = view.getUint32(main, true);
  switch (blockIndex) {
    case OLD_BUCKET: {
      const opaque = hashOpaque(page);
      setHashFlag(page, opaque, view.getUint16(main + 4, true));
      setHashPrev(page, opaque, newBucket);
      return true;
    }
    case NEW_BUCKET:
      initHashPage(page, newBucket, newBucket, view.getUint16(main + 6, true));
      return true;
    case META:
      updateMetaPage(record, page, newBucket, view.getUint8(main + 8));
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};

function updateMetaPage(record: WalRecord, page: Page, newBucket: number, flags: number): void {
  const { view } = record;
  checkHashMetaPage(page);
  setHashMaxBucket(page, newBucket);
  const masks = (flags & UPDATE_MASKS) === 0 ? 0 : 8;
  const splitpoint = (flags & UPDATE_SPLITPOINT) === 0 ? 0 : 8;
  const data = exactBlockData(record, META, masks + splitpoint);
  if (masks > 0) setHashMasks(page, view.getUint32(data, true), view.getUint32(data + 4, true));
  if (splitpoint > 0)
    setHashSplitpoint(page, view.getUint32(data + masks, true), view.getUint32(data + masks + 4, true));
}

/** What {@link redoHashSplitAllocatePage} does to a block whose image was restored: the server does not rely on the image's flags. */
export const redoHashSplitAllocatePageOnImage: RedoRoutine = (record, blockIndex, page) =>
  blockIndex === OLD_BUCKET && redoHashSplitAllocatePage(record, blockIndex, page);

/** PG: hash_xlog_split_page(). An image is restored before any redo routine is asked, so that a record that arrives here had none. */
export const redoHashSplitPage: RedoRoutine = () => {
  throw new CorruptionError('a split-page record without the image');
};

/** PG: hash_xlog_split_complete(), also for a block whose image was restored. */
export const redoHashSplitComplete: RedoRoutine = (record, blockIndex, page) => {
  if (blockIndex > NEW_BUCKET) throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  const main = mainData(record, SIZE_OF_SPLIT_COMPLETE);
  setHashFlag(page, hashOpaque(page), record.view.getUint16(main + blockIndex * 2, true));
  return true;
};

/** PG: hash_xlog_split_cleanup(). */
export const redoHashSplitCleanup: RedoRoutine = (_record, blockIndex, page) => {
  if (blockIndex !== OLD_BUCKET) throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  clearHashFlag(page, hashOpaque(page), LH_BUCKET_NEEDS_SPLIT_CLEANUP);
  return true;
};
