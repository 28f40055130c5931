import { CorruptionError } from '@zenith/base';
import { pageIndexTupleDelete, pageIsEmpty, setPageLower } from '@zenith/pg-format';
import { mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { DELETED_PAGE_LOWER, DELETE_XID, F_DELETED, changeGistFlags, gistOpaque } from './page.ts';

// gistxlogPageDelete: deleteXid u64 @0, downlinkOffset u16 @8.  Block 0: the empty leaf. Block 1: its parent, whose tuple downlinkOffset goes.
// PG 15-18: gistxlog.h; redo: gistRedoPageDelete() in gistxlog.c
const SIZE_OF_PAGE_DELETE = 10;
const DOWNLINK_OFFSET = 8;
const LEAF = 0;
const PARENT = 1;

/** PG: gistRedoPageDelete(). */
export const redoGistPageDelete: RedoRoutine = (record, blockIndex, page) => {
  const main = mainData(record, SIZE_OF_PAGE_DELETE);
  const opaque = gistOpaque(page);
  switch (blockIndex) {
    case LEAF:
      if (!pageIsEmpty(page)) throw new CorruptionError('a page that is to be deleted has tuples');
      changeGistFlags(page, opaque, F_DELETED, 0);
      setPageLower(page, DELETED_PAGE_LOWER);
      page.view.setUint32(DELETE_XID, record.view.getUint32(main, true), true);
      page.view.setUint32(DELETE_XID + 4, record.view.getUint32(main + 4, true), true);
      return true;
    case PARENT:
      pageIndexTupleDelete(page, record.view.getUint16(main + DOWNLINK_OFFSET, true));
      return true;
    default:
      throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  }
};
