import { closeSync, existsSync, fstatSync, openSync, readSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Lsn } from '@zenith/base';
import {
  BLCKSZ,
  CLOG_XACTS_PER_PAGE,
  DEFAULT_WAL_SEGMENT_SIZE,
  FSM_FORKNUM,
  MAIN_FORKNUM,
  RELSEG_SIZE,
  RM_HEAP2_ID,
  RM_HEAP_ID,
  RM_XACT_ID,
  TRANSACTION_STATUS_ABORTED,
  TRANSACTION_STATUS_COMMITTED,
  VISIBILITYMAP_FORKNUM,
  WalRecord,
  WalStreamDecoder,
  XLOG_XACT_ABORT,
  XLOG_XACT_COMMIT,
  XLOG_XACT_OPMASK,
  XactRecord,
  pageLsn,
  parseAbort,
  parseCommit,
  parseWalSegmentFileName,
  relationPath,
  visibilityMapBlock,
  walSegmentFileName,
  walSegmentNumber,
  type BlockReference,
  type Page,
  type PgMajor,
} from '@zenith/pg-format';
import {
  VisibilityMapClears,
  appendTransaction,
  applyOperation,
  encodeVisibilityMapClears,
  firstDifference,
  impliedVisibilityMapClears,
  maskPage,
  redoBlock,
  startTransactionStatus,
} from '@zenith/redo';
import { PAGES_PER_STRIPE, WHOLE, isInShard, type Shard } from './shard.ts';

const CHUNK = 128 * 1024;
const PAGES_PER_SLAB = 8192;
/** Pages that are read from a file at once, as the server combines its reads. */
const PAGES_PER_READ = PAGES_PER_STRIPE;
const FORKS = 4;
const OPERATION_BYTES_MAX = 64 * 1024;
const PG_TIMELINE = 1;
/** In the place of a relation's number; relations of users have larger ones. */
const COMMIT_LOG = 0;

/** Calls `take` with the WAL of a directory in chunks, from `start` on, until it gives false. The chunk is borrowed until `take` returns. */
export function readWal(walDirectory: string, start: Lsn, take: (chunk: Uint8Array) => boolean): void {
  const chunk = new Uint8Array(CHUNK);
  const known = new Set(
    readdirSync(walDirectory).filter((name) => parseWalSegmentFileName(name, DEFAULT_WAL_SEGMENT_SIZE) !== undefined),
  );
  let offset = start % DEFAULT_WAL_SEGMENT_SIZE;
  for (let segment = walSegmentNumber(start, DEFAULT_WAL_SEGMENT_SIZE); ; segment++) {
    const name = walSegmentFileName(PG_TIMELINE, segment, DEFAULT_WAL_SEGMENT_SIZE);
    if (!known.has(name)) return;
    const file = openSync(join(walDirectory, name), 'r');
    try {
      for (; offset < DEFAULT_WAL_SEGMENT_SIZE;) {
        const count = readSync(file, chunk, 0, Math.min(CHUNK, DEFAULT_WAL_SEGMENT_SIZE - offset), offset);
        if (count === 0) throw new Error(`${name} ends at byte ${offset}`);
        if (!take(count === CHUNK ? chunk : chunk.subarray(0, count))) return;
        offset += count;
      }
    } finally {
      closeSync(file);
    }
    offset = 0;
  }
}

/** The pages of one relation that were touched, by fork and block. */
interface RelationPages {
  readonly spc: number;
  readonly db: number;
  /** Of the first record that touched it. */
  readonly rmid: number;
  readonly forks: readonly (Page | undefined)[][];
  /** Those that were read from the files, touched or not. */
  readonly fromFiles: readonly (Page | undefined)[][];
}

/** A segment of a relation as it was before the WAL. */
interface BaseFile {
  readonly fd: number;
  readonly blocks: number;
}

/** `pages[block]`, which exists from then on: an array with holes is slow. */
function reserve(pages: (Page | undefined)[], block: number): void {
  while (pages.length <= block) pages.push(undefined);
}

function emptyForks(): (Page | undefined)[][] {
  return Array.from({ length: FORKS }, () => []);
}

/**
 * Decodes WAL and redoes it on every page it touches, in memory: what a server's recovery does with its buffers. Pages come from the files of `base` when they are first touched, their neighbours with them.
 * The visibility map bits that heap records clear, and the commit log, are redone, too. A replay of one shard decodes all WAL and redoes the pages of that shard.
 */
export class Replay {
  readonly #major: PgMajor;
  readonly #base: string;
  readonly #shard: Shard;
  readonly #relations = new Map<number, RelationPages>();
  readonly #files = new Map<string, BaseFile | undefined>();
  readonly #commitLog: Page[] = [];
  readonly #clears = new VisibilityMapClears();
  readonly #xact = new XactRecord();
  readonly #operation = new DataView(new ArrayBuffer(OPERATION_BYTES_MAX));
  #slab = new ArrayBuffer(0);
  #slabUsed = PAGES_PER_SLAB;
  #lastRel = 0;
  #last: RelationPages | undefined;
  /** Records decoded. */
  records = 0;
  /** How often a block was redone. */
  blocks = 0;

  constructor(major: PgMajor, base: string, shard: Shard = WHOLE) {
    this.#major = major;
    this.#base = base;
    this.#shard = shard;
  }

  /** Replays from `start` on, the record that begins at `last` included. @throws Error when the WAL ends before it */
  run(walDirectory: string, start: Lsn, last: Lsn): void {
    const decoder = new WalStreamDecoder(this.#major, start);
    const record = new WalRecord();
    readWal(walDirectory, start, (chunk) => {
      decoder.push(chunk);
      while (decoder.next(record)) {
        if (record.lsn > last) return false;
        this.records++;
        this.#apply(record);
      }
      return decoder.lastRecordLsn < last;
    });
    if (decoder.lastRecordLsn < last) throw new Error(`the WAL ends too early: ${decoder.end?.message ?? 'no more'}`);
  }

  #apply(record: WalRecord): void {
    for (let id = 0; id < record.blockCount; id++) {
      const block = record.blocks[id] as BlockReference;
      if (!block.inUse || block.fork === FSM_FORKNUM) continue;
      if (!isInShard(this.#shard, block.rel, block.fork, block.block)) continue;
      const page = this.#page(record.rmid, block.spc, block.db, block.rel, block.fork, block.block);
      redoBlock(this.#major, record, id, page);
      this.blocks++;
    }
    if (record.rmid === RM_XACT_ID) this.#endTransaction(record);
    else if (record.rmid === RM_HEAP_ID || record.rmid === RM_HEAP2_ID) this.#clearVisibilityMap(record);
  }

  #clearVisibilityMap(record: WalRecord): void {
    const clears = this.#clears;
    impliedVisibilityMapClears(record, clears);
    if (clears.count === 0) return;
    const heap = record.blocks[clears.blockIndex] as BlockReference;
    let previous = -1;
    for (let i = 0; i < clears.count; i++) {
      const mapBlock = visibilityMapBlock(clears.heapBlocks[i] as number);
      if (mapBlock === previous) continue;
      previous = mapBlock;
      if (!isInShard(this.#shard, heap.rel, VISIBILITYMAP_FORKNUM, mapBlock)) continue;
      const length = encodeVisibilityMapClears(this.#operation, 0, clears, mapBlock);
      const page = this.#page(record.rmid, heap.spc, heap.db, heap.rel, VISIBILITYMAP_FORKNUM, mapBlock);
      applyOperation(this.#operation, 0, length, page, record.endLsn);
    }
  }

  #endTransaction(record: WalRecord): void {
    const kind = record.info & XLOG_XACT_OPMASK;
    const xact = this.#xact;
    if (kind === XLOG_XACT_COMMIT) parseCommit(this.#major, record, xact);
    else if (kind === XLOG_XACT_ABORT) parseAbort(this.#major, record, xact);
    else return;
    const status = kind === XLOG_XACT_COMMIT ? TRANSACTION_STATUS_COMMITTED : TRANSACTION_STATUS_ABORTED;
    this.#setStatus(record.xid, status, record.endLsn);
    for (let i = 0; i < xact.subxactCount; i++)
      this.#setStatus(xact.view.getUint32(xact.subxactsOffset + i * 4, true), status, record.endLsn);
  }

  #setStatus(
    xid: number,
    status: typeof TRANSACTION_STATUS_COMMITTED | typeof TRANSACTION_STATUS_ABORTED,
    lsn: Lsn,
  ): void {
    const number = Math.floor(xid / CLOG_XACTS_PER_PAGE);
    if (!isInShard(this.#shard, COMMIT_LOG, 0, number)) return;
    const page = (this.#commitLog[number] ??= this.#newPage());
    const end = appendTransaction(this.#operation, startTransactionStatus(this.#operation, 0, status), xid);
    applyOperation(this.#operation, 0, end, page, lsn);
  }

  #page(rmid: number, spc: number, db: number, rel: number, fork: number, block: number): Page {
    let relation = this.#last;
    if (relation === undefined || this.#lastRel !== rel) {
      relation = this.#relations.get(rel);
      if (relation === undefined) {
        relation = { spc, db, rmid, forks: emptyForks(), fromFiles: emptyForks() };
        this.#relations.set(rel, relation);
      }
      this.#lastRel = rel;
      this.#last = relation;
    }
    if (relation.spc !== spc || relation.db !== db) throw new Error(`two relations have the number ${rel}`);
    const pages = relation.forks[fork] as (Page | undefined)[];
    if (pages.length <= block) reserve(pages, block);
    return (pages[block] ??= this.#fromFile(relation, rel, fork, block));
  }

  #newPage(): Page {
    return this.#pageAt(this.#newPages(1));
  }

  /** Room for pages side by side: where it begins in the slab. */
  #newPages(count: number): number {
    if (this.#slabUsed + count > PAGES_PER_SLAB) {
      this.#slab = new ArrayBuffer(PAGES_PER_SLAB * BLCKSZ);
      this.#slabUsed = 0;
    }
    const offset = this.#slabUsed * BLCKSZ;
    this.#slabUsed += count;
    return offset;
  }

  #pageAt(offset: number): Page {
    return { bytes: new Uint8Array(this.#slab, offset, BLCKSZ), view: new DataView(this.#slab, offset, BLCKSZ) };
  }

  /** The page as it was before the WAL; a new one when the relation did not have it. */
  #fromFile({ spc, db, fromFiles }: RelationPages, rel: number, fork: number, block: number): Page {
    const known = fromFiles[fork] as (Page | undefined)[];
    const read = known[block];
    if (read !== undefined) return read;
    const file = this.#file(spc, db, rel, fork, block);
    const inSegment = block % RELSEG_SIZE;
    if (file === undefined || inSegment >= file.blocks) return this.#newPage();
    const first = inSegment - (inSegment % PAGES_PER_READ);
    const count = Math.min(PAGES_PER_READ, file.blocks - first);
    const offset = this.#newPages(count);
    readSync(file.fd, new Uint8Array(this.#slab, offset, count * BLCKSZ), 0, count * BLCKSZ, first * BLCKSZ);
    const firstBlock = block - inSegment + first;
    reserve(known, firstBlock + count - 1);
    for (let i = 0; i < count; i++) known[firstBlock + i] = this.#pageAt(offset + i * BLCKSZ);
    return known[block] as Page;
  }

  #file(spc: number, db: number, rel: number, fork: number, block: number): BaseFile | undefined {
    const segment = Math.floor(block / RELSEG_SIZE);
    const path = relationPath(this.#major, { spc, db, rel, fork, segment });
    if (this.#files.has(path)) return this.#files.get(path);
    const name = join(this.#base, path);
    let file: BaseFile | undefined;
    if (existsSync(name)) {
      const fd = openSync(name, 'r');
      file = { fd, blocks: Math.floor(fstatSync(fd).size / BLCKSZ) };
    }
    this.#files.set(path, file);
    return file;
  }

  /** Closes the files. */
  close(): void {
    for (const file of this.#files.values()) if (file !== undefined) closeSync(file.fd);
    this.#files.clear();
  }

  /**
   * Compares the main fork's pages with those of a server that recovered the same WAL, as far as it has not changed them since.
   * @returns how many pages were compared
   * @throws Error for the first that differs
   */
  verify(recovered: string, last: Lsn): number {
    const theirs = new Replay(this.#major, recovered);
    let compared = 0;
    try {
      for (const [rel, { spc, db, rmid, forks }] of this.#relations) {
        for (const [block, page] of (forks[MAIN_FORKNUM] ?? []).entries()) {
          if (page === undefined) continue;
          const other = theirs.#page(rmid, spc, db, rel, MAIN_FORKNUM, block);
          if (pageLsn(other) > last) continue; // changed since
          if (!maskPage(this.#major, rmid, page, block)) continue;
          maskPage(this.#major, rmid, other, block);
          if (firstDifference(page, other) !== undefined) throw new Error(`block ${block} of ${rel} differs`);
          compared++;
        }
      }
    } finally {
      theirs.close();
    }
    return compared;
  }
}
