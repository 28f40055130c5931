import { CorruptionError } from '@zenith/base';
import { PD_ALL_VISIBLE, VISIBILITYMAP_VALID_BITS, addPageFlags, initPage, pageIsNew } from '@zenith/pg-format';
import { setVisibilityMapBits } from '../operations/visibility-map.ts';
import { blockNumber, mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';

// xl_heap_visible: snapshotConflictHorizon u32 @0, flags u8 @4.  Block 0 is the visibility map's, block 1 the heap's.
// PG 15-18: heapam_xlog.h; redo: heapam_xlog.c (heapam.c before 18)
const SIZE_OF_HEAP_VISIBLE = 5;
const MAP = 0;
const HEAP = 1;

/**
 * PG: heap_xlog_visible(). Differs: the heap page always gets the record's LSN, where PostgreSQL sets it only with data checksums or
 * wal_log_hints; a page whose LSN is its last record's harms nobody, and the record does not say which it was.
 */
export const redoHeapVisible: RedoRoutine = (record, blockIndex, page) => {
  const flags = record.view.getUint8(mainData(record, SIZE_OF_HEAP_VISIBLE) + 4) & VISIBILITYMAP_VALID_BITS;
  if (flags === 0) throw new CorruptionError('no visibility map bit to set');
  if (blockIndex === HEAP) {
    addPageFlags(page, PD_ALL_VISIBLE);
    return true;
  }
  if (blockIndex !== MAP) throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  if (pageIsNew(page)) initPage(page);
  return setVisibilityMapBits(page, blockNumber(record, HEAP), flags);
};
