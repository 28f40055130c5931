import { CorruptionError } from '@zenith/base';
import type { Page, WalRecord } from '@zenith/pg-format';
import { deleteItems } from '../index-page/items.ts';
import { blockData, blockDataLength, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { checkHashMetaPage, hashTupleCount, setHashTupleCount } from './meta-page.ts';
import { LH_PAGE_HAS_DEAD_TUPLES, clearHashFlag, hashOpaque } from './page.ts';

// xl_hash_delete: clear_dead_marking u8 @0, is_primary_bucket_page u8 @1.  Block 0: the bucket's first page, only locked, when block 1 is another. Block 1:
// the page; data: the tuples' offset numbers u16[].
// xl_hash_vacuum_one_page: snapshotConflictHorizon u32 @0, ntuples u16 @4 (15: i32), from 16 on isCatalogRel u8 @6; offset numbers u16[ntuples] @8.
// Block 0: the page. Block 1: the meta page.
// PG 15-18: hash_xlog.h; redo: hash_xlog_delete(), hash_xlog_vacuum_one_page() in hash_xlog.c
const SIZE_OF_HASH_DELETE = 2;
const SIZE_OF_VACUUM_ONE_PAGE = 8;
const BUCKET = 0;
const PAGE = 1;
const VACUUMED_PAGE = 0;
const META = 1;

/** PG: hash_xlog_delete(). */
export const redoHashDelete: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_HASH_DELETE);
  switch (blockIndex) {
    case BUCKET:
      return false;
    case PAGE: {
      const opaque = hashOpaque(page);
      deleteListed(record, PAGE, page);
      if (record.view.getUint8(main) !== 0) clearHashFlag(page, opaque, LH_PAGE_HAS_DEAD_TUPLES);
      return true;
    }
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};

/** Removes the tuples whose offset numbers are the block's data. @throws CorruptionError */
export function deleteListed(record: WalRecord, blockIndex: number, page: Page): void {
  const data = blockData(record, blockIndex, 0);
  const length = blockDataLength(record, blockIndex);
  if ((length & 1) !== 0) throw new CorruptionError(`offset numbers in ${length} bytes`);
  deleteItems(page, record.view, data, data + length, length >>> 1);
}

/** PG: hash_xlog_vacuum_one_page(). */
export const redoHashVacuumOnePage: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_VACUUM_ONE_PAGE);
  const count = record.view.getUint16(main + 4, true);
  switch (blockIndex) {
    case VACUUMED_PAGE: {
      const opaque = hashOpaque(page);
      deleteItems(page, record.view, main + SIZE_OF_VACUUM_ONE_PAGE, main + record.mainDataLength, count);
      clearHashFlag(page, opaque, LH_PAGE_HAS_DEAD_TUPLES);
      return true;
    }
    case META:
      checkHashMetaPage(page);
      setHashTupleCount(page, hashTupleCount(page) - count);
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};
