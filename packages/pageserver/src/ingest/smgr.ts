import {
  FSM_FORKNUM,
  HEAPBLOCKS_PER_VISIBILITYMAP_PAGE,
  MAIN_FORKNUM,
  VISIBILITYMAP_FORKNUM,
  XLR_RMGR_INFO_MASK,
  visibilityMapBlock,
  type WalRecord,
} from '@zenith/pg-format';
import { encodeVisibilityMapTruncate } from '@zenith/redo';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import { mainData, unknownRecord, type IngestContext } from './context.ts';
import { ABSENT } from './object-sizes.ts';
import { KEPT_FORKS } from './relation-blocks.ts';

const XLOG_SMGR_CREATE = 0x10;
const XLOG_SMGR_TRUNCATE = 0x20;

// xl_smgr_create: spc u32 @0, db u32 @4, rel u32 @8, fork i32 @12.  PG 15-18: storage_xlog.h
const CREATE_SIZE = 16;

// xl_smgr_truncate: blkno u32 @0, spc u32 @4, db u32 @8, rel u32 @12, flags i32 @16.  PG 15-18: storage_xlog.h
const TRUNCATE_SIZE = 20;
const SMGR_TRUNCATE_HEAP = 0x01;
const SMGR_TRUNCATE_VM = 0x02;

/** Creation and truncation of relation forks. PG: smgr_redo(), storage.c. */
export function ingestSmgr(context: IngestContext, record: WalRecord): void {
  const info = record.info & XLR_RMGR_INFO_MASK;
  const { view } = record;
  if (info === XLOG_SMGR_CREATE) {
    const offset = mainData(record, CREATE_SIZE);
    const fork = view.getInt32(offset + 12, true);
    if (fork !== FSM_FORKNUM)
      createFork(
        context,
        view.getUint32(offset, true),
        view.getUint32(offset + 4, true),
        view.getUint32(offset + 8, true),
        fork,
      );
  } else if (info === XLOG_SMGR_TRUNCATE) {
    truncate(context, record);
  } else {
    throw unknownRecord(record);
  }
}

/** An empty fork, unless there is one: recovery keeps a file that a later record already made. */
function createFork(context: IngestContext, spc: number, db: number, rel: number, fork: number): void {
  const object = context.sizes.open(ObjectKind.relation, spc, db, rel, fork);
  if (context.sizes.size(object) === ABSENT) context.sizes.setSize(object, 0);
}

function truncate(context: IngestContext, record: WalRecord): void {
  const { sizes } = context;
  const { view } = record;
  const offset = mainData(record, TRUNCATE_SIZE);
  const blocks = view.getUint32(offset, true);
  const spc = view.getUint32(offset + 4, true);
  const db = view.getUint32(offset + 8, true);
  const rel = view.getUint32(offset + 12, true);
  const flags = view.getInt32(offset + 16, true);
  createFork(context, spc, db, rel, MAIN_FORKNUM);
  if ((flags & SMGR_TRUNCATE_HEAP) !== 0) {
    const main = sizes.open(ObjectKind.relation, spc, db, rel, MAIN_FORKNUM);
    if (blocks < sizes.size(main)) sizes.setSize(main, blocks);
  }
  if ((flags & SMGR_TRUNCATE_VM) !== 0) truncateVisibilityMap(context, record, spc, db, rel, blocks);
}

/** The map keeps the pages that still have heap blocks; the bits of blocks that are gone are cleared on the last of them. PG: visibilitymap_prepare_truncate(). */
function truncateVisibilityMap(
  context: IngestContext,
  record: WalRecord,
  spc: number,
  db: number,
  rel: number,
  heapBlocks: number,
): void {
  const { sizes, scratch, target } = context;
  const map = sizes.open(ObjectKind.relation, spc, db, rel, VISIBILITYMAP_FORKNUM);
  const lastBlock = visibilityMapBlock(heapBlocks);
  const isPartial = heapBlocks % HEAPBLOCKS_PER_VISIBILITYMAP_PAGE !== 0;
  if (isPartial && lastBlock < sizes.size(map)) {
    const length = encodeVisibilityMapTruncate(scratch.view, 0, heapBlocks);
    target.put(map, lastBlock, record.endLsn, ValueKind.operation, scratch.bytes, 0, length);
  }
  const blocks = isPartial ? lastBlock + 1 : lastBlock;
  if (blocks < sizes.size(map)) sizes.setSize(map, blocks);
}

/** A relation was dropped: none of its forks exists any more. */
export function dropRelation(context: IngestContext, spc: number, db: number, rel: number): void {
  for (const fork of KEPT_FORKS) context.sizes.remove(context.sizes.open(ObjectKind.relation, spc, db, rel, fork));
}
