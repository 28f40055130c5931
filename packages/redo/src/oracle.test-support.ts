import { closeSync, cpSync, existsSync, openSync, readFileSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { lsn } from '@zenith/base';
import {
  BLCKSZ,
  FSM_FORKNUM,
  RELSEG_SIZE,
  RM_BTREE_ID,
  RM_GIST_ID,
  RM_HASH_ID,
  RM_HEAP2_ID,
  RM_HEAP_ID,
  RM_SEQ_ID,
  RM_SMGR_ID,
  RM_SPGIST_ID,
  RM_XLOG_ID,
  WalRecord,
  WalStreamDecoder,
  allocatePage,
  decodeControlFile,
  decodeRecord,
  relationPath,
  restoreBlockImage,
  trimRecord,
  visibilityMapBlock,
  type BlockReference,
  type Page,
  type PgMajor,
} from '@zenith/pg-format';
import {
  VisibilityMapClears,
  applyOperation,
  checkConsistency,
  describeBlock,
  describeRecord,
  encodeVisibilityMapClears,
  hasCheckImage,
  impliedVisibilityMapClears,
  maskPage,
  recordName,
  redoBlock,
} from './index.ts';
import { hiddenGistDifference } from './gist/strict.test-support.ts';
import { hiddenHeapDifference } from './heap-strict.test-support.ts';

const MAIN = 0;
const VM = 2;

/** A page in memory and the resource manager that wrote it last. */
interface ReplayedPage {
  readonly page: Page;
  readonly spc: number;
  readonly db: number;
  readonly rel: number;
  readonly fork: number;
  readonly block: number;
  rmid: number;
}

/** How often something was seen, by record name. */
export type Counts = Map<string, number>;

/** Adds one to the count of `name`. */
export function count(counts: Counts, name: string): void {
  counts.set(name, (counts.get(name) ?? 0) + 1);
}

/**
 * Replays all WAL of a stopped server over pages of its data directory as it was before, through redoBlock(), and compares each result with
 * the image that PostgreSQL put into the record. Both the whole record and its trimmed form are redone.
 */
export class WalReplay {
  readonly major: PgMajor;
  /** Blocks that were redone, by record. */
  readonly redone: Counts = new Map();
  /** Blocks that were compared with the server's image, by record. */
  readonly compared: Counts = new Map();
  /** Records seen, with and without blocks. */
  readonly seen: Counts = new Map();
  /** Blocks that were restored from an image in their record. */
  imagesApplied = 0;
  /** Hint records without the image. */
  hintsWithoutImage = 0;
  /** What went wrong, one line each. */
  readonly failures: string[] = [];
  readonly #base: string;
  readonly #pages = new Map<string, ReplayedPage>();
  /** Blocks from here on were truncated away, so that the base does not count: by relation fork. */
  readonly #truncated = new Map<string, number>();
  readonly #clears = new VisibilityMapClears();
  readonly #operation = new DataView(new ArrayBuffer(64));
  readonly #trimmed = new WalRecord();
  readonly #trimBytes = new Uint8Array(64 * 1024);
  readonly #trimView = new DataView(this.#trimBytes.buffer);
  readonly #otherPage = allocatePage();

  /** @param base a copy of the data directory made right after initdb */
  constructor(major: PgMajor, base: string) {
    this.major = major;
    this.#base = base;
  }

  /** Replays everything from the base's shutdown checkpoint on; calls `onRecord` for every record. */
  replay(dataDirectory: string, onRecord?: (record: WalRecord) => void): void {
    const control = decodeControlFile(readFileSync(join(this.#base, 'global/pg_control')));
    const start = control.checkPoint;
    const decoder = new WalStreamDecoder(this.major, start);
    const record = new WalRecord();
    const segmentSize = 16 * 1024 * 1024;
    const walDirectory = join(dataDirectory, 'pg_wal');
    let position: number = start;
    for (;;) {
      const name = segmentName(Math.floor(position / segmentSize), segmentSize);
      if (!existsSync(join(walDirectory, name))) break;
      const bytes = readFileSync(join(walDirectory, name));
      decoder.push(bytes.subarray(position % segmentSize));
      while (decoder.next(record)) {
        this.apply(record);
        onRecord?.(record);
      }
      if (decoder.end !== undefined) break;
      position = (Math.floor(position / segmentSize) + 1) * segmentSize;
    }
  }

  /** Applies one record to every block it refers to, or implies. */
  apply(record: WalRecord): void {
    const name = recordName(this.major, record);
    count(this.seen, name);
    if (record.rmid === RM_SMGR_ID && (record.info & 0xf0) === 0x20) this.#truncate(record);
    for (let index = 0; index < record.blockCount; index++) {
      const block = record.blocks.at(index) as BlockReference;
      if (!block.inUse) continue;
      const target = this.pageOf(block.spc, block.db, block.rel, block.fork, block.block);
      target.rmid = record.rmid;
      if (block.hasImage && block.applyImage) this.imagesApplied++;
      else if (name === 'XLOG/FPI_FOR_HINT') this.hintsWithoutImage++;
      try {
        this.#redo(record, index, target.page, name);
      } catch (error) {
        this.failures.push(`${record.lsn.toString(16)}: ${String(error)}`);
      }
    }
    this.#clearVisibilityMap(record);
  }

  #redo(record: WalRecord, index: number, page: Page, name: string): void {
    trimRecord(record, index, this.#trimBytes, this.#trimView, 0);
    decodeRecord(this.major, this.#trimBytes, this.#trimView, 0, lsn(0), record.endLsn, this.#trimmed);
    this.#otherPage.bytes.set(page.bytes);
    redoBlock(this.major, this.#trimmed, index, this.#otherPage);
    redoBlock(this.major, record, index, page);
    count(this.redone, name);
    if (Buffer.compare(page.bytes, this.#otherPage.bytes) !== 0)
      this.failures.push(
        `${describeRecord(this.major, record)}, ${describeBlock(record, index)}: the trimmed record gives another page`,
      );
    if (!hasCheckImage(this.major, record, index)) return;
    count(this.compared, name);
    const block = record.blocks.at(index) as BlockReference;
    if (block.fork === MAIN && (record.rmid === RM_HEAP_ID || record.rmid === RM_HEAP2_ID)) {
      restoreBlockImage(record, index, this.#otherPage);
      const hidden = hiddenHeapDifference(this.#otherPage, page);
      if (hidden !== undefined) {
        this.failures.push(`${describeRecord(this.major, record)}, ${describeBlock(record, index)}: ${hidden}`);
      }
    }
    const difference = checkConsistency(this.major, record, index, page);
    if (difference !== undefined) {
      this.failures.push(
        `${describeRecord(this.major, record)}, ${describeBlock(record, index)}: byte ${difference.offset} is ${difference.actual}, expected ${difference.expected}`,
      );
    }
  }

  #clearVisibilityMap(record: WalRecord): void {
    const clears = this.#clears;
    impliedVisibilityMapClears(record, clears);
    const done = new Set<number>();
    for (let i = 0; i < clears.count; i++) {
      const mapBlock = visibilityMapBlock(clears.heapBlocks.at(i) as number);
      if (done.has(mapBlock)) continue;
      done.add(mapBlock);
      const block = record.blocks.at(clears.blockIndex) as BlockReference;
      const target = this.pageOf(block.spc, block.db, block.rel, VM, mapBlock);
      const end = encodeVisibilityMapClears(this.#operation, 0, clears, mapBlock);
      applyOperation(this.#operation, 0, end, target.page, record.endLsn);
      count(this.redone, 'operation: visibility map clear');
    }
  }

  /** xl_smgr_truncate: blkno u32 @0, spc, db, rel u32 @4, flags u32 @16. */
  #truncate(record: WalRecord): void {
    const at = record.mainDataOffset;
    const blocks = record.view.getUint32(at, true);
    const [spc, db, rel] = [4, 8, 12].map((offset) => record.view.getUint32(at + offset, true)) as [
      number,
      number,
      number,
    ];
    const mapBlocks = Math.ceil(blocks / 32672);
    for (const [fork, limit] of [
      [MAIN, blocks],
      [VM, mapBlocks],
    ] as const) {
      const key = forkKey(spc, db, rel, fork);
      this.#truncated.set(key, Math.min(limit, this.#truncated.get(key) ?? limit));
      for (const [pageKey, target] of this.#pages) {
        if (
          target.spc === spc &&
          target.db === db &&
          target.rel === rel &&
          target.fork === fork &&
          target.block >= limit
        )
          this.#pages.delete(pageKey);
      }
    }
    if (blocks % 32672 !== 0 && this.#exists(spc, db, rel, VM)) {
      const target = this.pageOf(spc, db, rel, VM, mapBlocks - 1);
      this.#operation.setUint8(0, 2);
      this.#operation.setUint32(1, blocks, true);
      applyOperation(this.#operation, 0, 5, target.page, record.endLsn);
      count(this.redone, 'operation: visibility map truncate');
    }
  }

  #exists(spc: number, db: number, rel: number, fork: number): boolean {
    const key = `${forkKey(spc, db, rel, fork)}/0`;
    return (
      this.#pages.has(key) || existsSync(join(this.#base, relationPath(this.major, { spc, db, rel, fork, segment: 0 })))
    );
  }

  /** The page as it is now; from the base, or zeroes, when no record touched it yet. */
  pageOf(spc: number, db: number, rel: number, fork: number, block: number): ReplayedPage {
    const key = `${forkKey(spc, db, rel, fork)}/${block}`;
    let target = this.#pages.get(key);
    if (target === undefined) {
      target = { page: allocatePage(), spc, db, rel, fork, block, rmid: RM_XLOG_ID };
      if (block < (this.#truncated.get(forkKey(spc, db, rel, fork)) ?? Number.POSITIVE_INFINITY)) {
        readBlock(
          join(this.#base, relationPath(this.major, { spc, db, rel, fork, segment: Math.floor(block / RELSEG_SIZE) })),
          block % RELSEG_SIZE,
          target.page,
        );
      }
      this.#pages.set(key, target);
    }
    return target;
  }

  /**
   * Compares every page that a record touched with the stopped server's own file, masked as by the resource manager that wrote it last; the
   * visibility map, which the check images leave out, byte for byte. Gives how many pages were compared by fork.
   */
  compareWithFiles(dataDirectory: string): { readonly main: number; readonly visibilityMap: number } {
    const expected = allocatePage();
    const compared = { main: 0, visibilityMap: 0 };
    for (const target of this.#pages.values()) {
      if (target.fork === FSM_FORKNUM) continue;
      // A sequence logs values ahead, so that not every nextval() needs a record: its page on the server is behind its WAL.
      if (target.rmid === RM_SEQ_ID) continue;
      // An image of a map page in a copied database leaves out what lies between pd_lower and pd_upper, and that is the map:
      // PostgreSQL's own redo makes it empty, too, which is safe.
      if (target.fork === VM && target.rmid === RM_XLOG_ID) continue;
      const path = join(
        dataDirectory,
        relationPath(this.major, {
          spc: target.spc,
          db: target.db,
          rel: target.rel,
          fork: target.fork,
          segment: Math.floor(target.block / RELSEG_SIZE),
        }),
      );
      expected.bytes.fill(0);
      if (!readBlock(path, target.block % RELSEG_SIZE, expected)) continue; // dropped, or truncated away since
      this.#otherPage.bytes.set(target.page.bytes);
      if (target.fork === VM) {
        for (const page of [expected, this.#otherPage]) page.bytes.fill(0, 0, 24);
        compared.visibilityMap++;
      } else {
        // A page that only images made: which access method's it is, its special space tells well enough for a test.
        const rmid = target.rmid === RM_XLOG_ID ? rmidOfPage(expected) : target.rmid;
        // What an SP-GiST meta page remembers of pages with room is a cache, it is not logged.
        if (rmid === RM_SPGIST_ID && target.block === 0) continue;
        let hidden: string | undefined;
        if (rmid === RM_HEAP_ID || rmid === RM_HEAP2_ID) hidden = hiddenHeapDifference(expected, this.#otherPage);
        else if (rmid === RM_GIST_ID) hidden = hiddenGistDifference(expected, this.#otherPage);
        if (hidden !== undefined)
          this.failures.push(`at the end: relation ${target.rel} block ${target.block}: ${hidden}`);
        maskPage(this.major, rmid, expected, target.block);
        maskPage(this.major, rmid, this.#otherPage, target.block);
        compared.main++;
      }
      const at = expected.bytes.findIndex((byte, offset) => byte !== this.#otherPage.bytes[offset]);
      if (at !== -1) {
        this.failures.push(
          `at the end: relation ${target.spc}/${target.db}/${target.rel} fork ${target.fork} block ${target.block} (rmid ${target.rmid}): byte ${at} is ${this.#otherPage.bytes[at]}, the server has ${expected.bytes[at]}`,
        );
      }
    }
    return compared;
  }
}

function rmidOfPage(page: Page): number {
  const special = page.view.getUint16(16, true);
  if (special === BLCKSZ) return RM_HEAP_ID;
  const pageId = page.view.getUint16(BLCKSZ - 2, true);
  if (pageId === 0xff80) return RM_HASH_ID;
  if (pageId === 0xff81) return RM_GIST_ID;
  if (pageId === 0xff82) return RM_SPGIST_ID;
  return special === BLCKSZ - 16 ? RM_BTREE_ID : RM_SEQ_ID;
}

function forkKey(spc: number, db: number, rel: number, fork: number): string {
  return `${spc}/${db}/${rel}/${fork}`;
}

function segmentName(segment: number, segmentSize: number): string {
  const perId = 0x1_0000_0000 / segmentSize;
  return ['1', Math.floor(segment / perId).toString(16), (segment % perId).toString(16)]
    .map((part) => part.toUpperCase().padStart(8, '0'))
    .join('');
}

/** Reads a block of a file; false when it is not there. */
function readBlock(path: string, block: number, page: Page): boolean {
  if (!existsSync(path)) return false;
  const file = openSync(path, 'r');
  try {
    return readSync(file, page.bytes, 0, BLCKSZ, block * BLCKSZ) === BLCKSZ;
  } finally {
    closeSync(file);
  }
}

/** Copies a data directory, but not its WAL. */
export function copyDataDirectory(from: string, to: string): void {
  cpSync(from, to, { recursive: true, filter: (source) => !/pg_wal\/./.test(source) });
}
