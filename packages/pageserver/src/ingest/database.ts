import type { Lsn } from '@zenith/base';
import { BLCKSZ, XLR_RMGR_INFO_MASK, allocatePage, type WalRecord } from '@zenith/pg-format';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import { mainData, putGone, putSmall, unknownRecord, type IngestContext } from './context.ts';
import { decodeSize } from './object-sizes.ts';

const XLOG_DBASE_CREATE_FILE_COPY = 0x00;
const XLOG_DBASE_CREATE_WAL_LOG = 0x10;
const XLOG_DBASE_DROP = 0x20;

// xl_dbase_create_file_copy_rec: db u32 @0, spc u32 @4, source db u32 @8, source spc u32 @12.  xl_dbase_create_wal_log_rec: db u32 @0, spc u32 @4.
// xl_dbase_drop_rec: db u32 @0, ntablespaces i32 @4, spc u32[] @8.  PG 15-18: dbcommands_xlog.h
const FILE_COPY_SIZE = 16,
  WAL_LOG_SIZE = 8,
  DROP_SIZE = 8;

const NO_BYTES = new Uint8Array(0);

/** A database directory: where it is. */
interface Directory {
  readonly spc: number;
  readonly db: number;
}

/** Creation of database directories, by copy or empty, and their removal. PG: dbase_redo(), dbcommands.c. */
export function ingestDatabase(context: IngestContext, record: WalRecord): Promise<void> | void {
  const { view } = record;
  switch (record.info & XLR_RMGR_INFO_MASK) {
    case XLOG_DBASE_CREATE_FILE_COPY: {
      const offset = mainData(record, FILE_COPY_SIZE);
      const to = { db: view.getUint32(offset, true), spc: view.getUint32(offset + 4, true) };
      return copyDatabase(
        context,
        { db: view.getUint32(offset + 8, true), spc: view.getUint32(offset + 12, true) },
        to,
        record.endLsn,
      );
    }
    case XLOG_DBASE_CREATE_WAL_LOG: {
      const offset = mainData(record, WAL_LOG_SIZE);
      createDirectory(
        context,
        { db: view.getUint32(offset, true), spc: view.getUint32(offset + 4, true) },
        record.endLsn,
      );
      return;
    }
    case XLOG_DBASE_DROP: {
      const db = view.getUint32(mainData(record, DROP_SIZE), true);
      const count = view.getUint32(record.mainDataOffset + 4, true);
      const offset = mainData(record, DROP_SIZE + count * 4);
      const directories = new Set<number>();
      for (let i = 0; i < count; i++) directories.add(view.getUint32(offset + DROP_SIZE + i * 4, true));
      for (const spc of directories) dropDirectory(context, { spc, db }, record.endLsn);
      return;
    }
    default:
      throw unknownRecord(record);
  }
}

/** PG: CreateDirAndVersionFile(), dbcommands.c; the file holds the major version and a newline. */
function createDirectory(context: IngestContext, { spc, db }: Directory, lsn: Lsn): void {
  putSmall(context.target, ObjectKind.database, spc, db, 0, lsn, new TextEncoder().encode(`${context.format.major}\n`));
}

function forksOf({ target }: IngestContext, { spc, db }: Directory): { rel: number; fork: number; blocks: number }[] {
  const forks: { rel: number; fork: number; blocks: number }[] = [];
  target.scan(
    ObjectKind.relationSize,
    target.lastRecordLsn,
    (key, value) => forks.push({ rel: key.rel, fork: key.fork, blocks: decodeSize(value) }),
    { spc, db },
  );
  return forks;
}

function dropForks(context: IngestContext, directory: Directory): void {
  const { spc, db } = directory;
  for (const { rel, fork } of forksOf(context, directory))
    context.sizes.remove(context.sizes.open(ObjectKind.relation, spc, db, rel, fork));
}

function dropDirectory(context: IngestContext, directory: Directory, lsn: Lsn): void {
  const { spc, db } = directory;
  dropForks(context, directory);
  putGone(context.target, ObjectKind.relationMap, spc, db, 0, lsn);
  putGone(context.target, ObjectKind.database, spc, db, 0, lsn);
}

/**
 * Copies everything of database directory `from`, as it is before the record, to `to`. The free-space maps are not kept, so they are not copied. Takes its time in slices: a
 * database can be large, and reads of pages must go on.
 */
async function copyDatabase(context: IngestContext, from: Directory, to: Directory, lsn: Lsn): Promise<void> {
  const { target, sizes, pacer } = context;
  const before = target.lastRecordLsn;
  dropForks(context, to);
  const page = allocatePage();
  for (const { rel, fork, blocks } of forksOf(context, from)) {
    const source = target.intern(ObjectKind.relation, from.spc, from.db, rel, fork);
    const copy = sizes.open(ObjectKind.relation, to.spc, to.db, rel, fork);
    for (let block = 0; block < blocks; block++) {
      try {
        target.readPage(source, block, before, page);
      } catch {
        // A layer may not be on this disk; whatever else it was happens again.
        await target.fetching(() => target.readPage(source, block, before, page));
      }
      target.put(copy, block, lsn, ValueKind.image, page.bytes, 0, BLCKSZ);
      const pause = pacer.pause();
      if (pause !== undefined) await pause;
    }
    sizes.setSize(copy, blocks);
  }
  for (const kind of [ObjectKind.relationMap, ObjectKind.database]) {
    const content = target.readSmall(target.intern(kind, from.spc, from.db, 0, 0), before);
    putSmall(target, kind, to.spc, to.db, 0, lsn, content ?? NO_BYTES);
  }
}
