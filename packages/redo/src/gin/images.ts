import { CorruptionError } from '@zenith/base';
import { mainData } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import { clearGinIncompleteSplit } from './page.ts';

// Records that always carry images of the pages they change; those are restored before any redo routine is asked.
// ginxlogSplit: locator three u32 @0, rrlink u32 @12, leftChildBlkno u32 @16, rightChildBlkno u32 @20, flags u16 @24.  Block 0: the left page.
// Block 1: the right page. Block 2: the root, when it was split. Block 3: the child whose split this completes, unless a leaf is split.
// XLOG_GIN_VACUUM_PAGE has no data; block 0: a leaf of the entry tree.  PG 15-18: ginxlog.h; redo: ginRedoSplit(), ginRedoVacuumPage()
const SIZE_OF_SPLIT = 26;
const FLAGS = 24;
const GIN_INSERT_ISLEAF = 0x02;
const CHILD = 3;

/** PG: ginRedoSplit(): only the child is without an image. */
export const redoGinSplit: RedoRoutine = (record, blockIndex, page) => {
  const flags = record.view.getUint16(mainData(record, SIZE_OF_SPLIT) + FLAGS, true);
  if (blockIndex !== CHILD || (flags & GIN_INSERT_ISLEAF) !== 0)
    throw new CorruptionError(`block ${blockIndex} of a GIN split without its image`);
  clearGinIncompleteSplit(page);
  return true;
};

/** PG: ginRedoVacuumPage(). */
export const redoGinVacuumPage: RedoRoutine = () => {
  throw new CorruptionError('a vacuumed GIN page without its image');
};
