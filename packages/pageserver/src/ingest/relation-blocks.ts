import { lsn as toLsn } from '@zenith/base';
import {
  FSM_FORKNUM,
  INIT_FORKNUM,
  MAIN_FORKNUM,
  RM_XLOG_ID,
  VISIBILITYMAP_FORKNUM,
  XLR_RMGR_INFO_MASK,
  trimRecord,
  visibilityMapBlock,
  type BlockReference,
  type WalRecord,
} from '@zenith/pg-format';
import { encodeVisibilityMapClears, impliedVisibilityMapClears } from '@zenith/redo';
import type { ObjectId } from '../key-space/object-table.ts';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import type { IngestContext } from './context.ts';

/** Forks that are kept: every one but the free-space map, which is not WAL-logged and which PostgreSQL rebuilds. */
export const KEPT_FORKS: readonly number[] = [MAIN_FORKNUM, VISIBILITYMAP_FORKNUM, INIT_FORKNUM];

const XLOG_FPI_FOR_HINT = 0xa0;
const BLOCK_ID_SIZE = 1;

/** True when the block reference leaves a value: not one of a free-space map, nor a hint without its image, which changes nothing. */
function leavesValue(record: WalRecord, block: BlockReference): boolean {
  if (!block.inUse || block.fork === FSM_FORKNUM) return false;
  return (
    block.applyImage ||
    block.willInit ||
    record.rmid !== RM_XLOG_ID ||
    (record.info & XLR_RMGR_INFO_MASK) !== XLOG_FPI_FOR_HINT
  );
}

/**
 * Puts a value for every block that the record refers to: the record itself, trimmed to what that block needs. Blocks behind the end of their fork make it grow, as recovery does
 * (xlogutils.c, XLogReadBufferExtended()): the zero pages this takes are put at an LSN inside of the record, before the record's own values.
 */
export function ingestBlocks(context: IngestContext, record: WalRecord): void {
  const { target, sizes, scratch, blockObjects } = context;
  for (let id = 0; id < record.blockCount; id++) {
    const block = record.blocks[id] as BlockReference;
    if (!leavesValue(record, block)) continue;
    const object = sizes.open(ObjectKind.relation, block.spc, block.db, block.rel, block.fork);
    blockObjects[id] = object;
    if (block.block >= sizes.size(object))
      sizes.extend(object, block.block, block.applyImage || block.willInit, toLsn(record.lsn + 1));
  }
  scratch.reserve(BLOCK_ID_SIZE + record.totalLength);
  for (let id = 0; id < record.blockCount; id++) {
    const block = record.blocks[id] as BlockReference;
    if (!leavesValue(record, block)) continue;
    scratch.bytes[0] = id;
    const length = BLOCK_ID_SIZE + trimRecord(record, id, scratch.bytes, scratch.view, BLOCK_ID_SIZE);
    target.put(
      blockObjects[id] as ObjectId,
      block.block,
      record.endLsn,
      block.applyImage || block.willInit ? ValueKind.initRecord : ValueKind.record,
      scratch.bytes,
      0,
      length,
      scratch.view,
    );
  }
}

/**
 * Puts what a heap record implies for the visibility map, whose block it does not refer to. A map block that does not exist has no bits to clear.
 * PG: visibilitymap_clear() in the redo routines of heapam_xlog.c
 */
export function ingestVisibilityMapClears(context: IngestContext, record: WalRecord): void {
  const { clears } = context;
  impliedVisibilityMapClears(record, clears);
  if (clears.count === 0) return;
  const heap = record.blocks[clears.blockIndex] as BlockReference;
  const map = context.sizes.open(ObjectKind.relation, heap.spc, heap.db, heap.rel, VISIBILITYMAP_FORKNUM);
  const size = context.sizes.size(map);
  let previous = -1;
  for (let i = 0; i < clears.count; i++) {
    const mapBlock = visibilityMapBlock(clears.heapBlocks[i] as number);
    if (mapBlock >= size || mapBlock === previous) continue;
    previous = mapBlock;
    const length = encodeVisibilityMapClears(context.scratch.view, 0, clears, mapBlock);
    context.target.put(map, mapBlock, record.endLsn, ValueKind.operation, context.scratch.bytes, 0, length);
  }
}
