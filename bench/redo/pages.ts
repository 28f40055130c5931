import { INVALID_LSN, crc32c, type Lsn } from '@zenith/base';
import {
  BLCKSZ,
  RM_HEAP_ID,
  WalRecord,
  WalStreamDecoder,
  allocatePage,
  decodeRecord,
  trimRecord,
  type BlockReference,
  type PgMajor,
} from '@zenith/pg-format';
import { redoBlock } from '@zenith/redo';
import { readWal } from './replay.ts';

/** How many heap inserts make the longer of the two cases. */
const INSERTS = 61;
const XLOG_HEAP_OPMASK = 0x70;
const XLOG_HEAP_INSERT = 0x00;
/** 256 MiB of pages: far more than any cache holds. */
const COLD_PAGES = 32_768;
/** Visits all pages, each far from the one before: coprime to their number. */
const STRIDE = 20_011;
const RECORD_ROOM = 512;
const ROUNDS = 7;

/** The inserts that filled one page from its first row on, as the pageserver stores them: each trimmed to that page. */
export interface PageHistory {
  readonly records: readonly Uint8Array[];
  readonly lsns: readonly Lsn[];
}

/** Finds a page in the WAL that began with {@link INSERTS} heap inserts and nothing else. */
export function insertHistory(major: PgMajor, walDirectory: string, start: Lsn): PageHistory {
  const decoder = new WalStreamDecoder(major, start);
  const record = new WalRecord();
  const histories = new Map<string, { records: Uint8Array[]; lsns: Lsn[] }>();
  const trimmed = new Uint8Array(64 * 1024);
  const view = new DataView(trimmed.buffer);
  let found: PageHistory | undefined;
  readWal(walDirectory, start, (chunk) => {
    decoder.push(chunk);
    while (decoder.next(record)) {
      for (let id = 0; id < record.blockCount; id++) {
        const block = record.blocks[id] as BlockReference;
        if (!block.inUse) continue;
        const key = `${block.rel}/${block.fork}/${block.block}`;
        const isInsert = record.rmid === RM_HEAP_ID && (record.info & XLOG_HEAP_OPMASK) === XLOG_HEAP_INSERT;
        if (isInsert && block.willInit) histories.set(key, { records: [], lsns: [] });
        const history = histories.get(key);
        if (history === undefined || history.records.length >= INSERTS) continue;
        if (!isInsert) {
          histories.delete(key);
          continue;
        }
        history.records.push(trimmed.slice(0, trimRecord(record, id, trimmed, view, 0)));
        history.lsns.push(record.endLsn);
        if (history.records.length === INSERTS) found ??= history;
      }
    }
    return found === undefined;
  });
  if (found === undefined) throw new Error(`no page began with ${INSERTS} heap inserts`);
  return found;
}

/** Times of one page. Unit: ns. */
export interface PageTimes {
  /** One insert into a page of which neither base nor record are in a cache: copy of the base, decoding of the stored record, redo. */
  readonly oneInsert: number;
  /** All inserts into a page that begins as nothing. */
  readonly allInserts: number;
  readonly inserts: number;
}

/** Rebuilds pages from stored bases and records, as a read does. */
export function rebuildPages(major: PgMajor, history: PageHistory): PageTimes {
  const record = new WalRecord();
  const page = allocatePage();
  const apply = (bytes: Uint8Array, view: DataView, offset: number, lsn: Lsn): void => {
    decodeRecord(major, bytes, view, offset, INVALID_LSN, lsn, record);
    redoBlock(major, record, 0, page);
  };
  const views = history.records.map((bytes) => new DataView(bytes.buffer));
  const applyFrom = (first: number, count: number): void => {
    for (let i = first; i < first + count; i++)
      apply(history.records[i] as Uint8Array, views[i] as DataView, 0, history.lsns[i] as Lsn);
  };

  applyFrom(0, INSERTS - 1);
  const bases = new Uint8Array(COLD_PAGES * BLCKSZ);
  for (let i = 0; i < COLD_PAGES; i++) bases.set(page.bytes, i * BLCKSZ);
  const last = history.records[INSERTS - 1] as Uint8Array;
  if (last.length > RECORD_ROOM) throw new Error(`an insert of ${last.length} bytes`);
  const records = new Uint8Array(COLD_PAGES * RECORD_ROOM);
  const recordsView = new DataView(records.buffer);
  for (let i = 0; i < COLD_PAGES; i++) records.set(last, i * RECORD_ROOM);
  const lastLsn = history.lsns[INSERTS - 1] as Lsn;
  const cold = (): void => {
    for (let i = 0, at = 0; i < COLD_PAGES; i++, at = (at + STRIDE) % COLD_PAGES) {
      page.bytes.set(bases.subarray(at * BLCKSZ, (at + 1) * BLCKSZ));
      apply(records, recordsView, at * RECORD_ROOM, lastLsn);
    }
  };
  const full = (): void => {
    for (let i = 0; i < COLD_PAGES / INSERTS; i++) {
      page.bytes.fill(0);
      applyFrom(0, INSERTS);
    }
  };
  const oneInsert = median(cold) / COLD_PAGES;
  const afterOne = crc32c(page.bytes);
  const allInserts = median(full) / Math.ceil(COLD_PAGES / INSERTS);
  if (crc32c(page.bytes) !== afterOne) throw new Error('the two cases end with different pages');
  return { oneInsert, allInserts, inserts: INSERTS };
}

function median(work: () => void): number {
  const times: number[] = [];
  work();
  for (let round = 0; round < ROUNDS; round++) {
    const from = performance.now();
    work();
    times.push((performance.now() - from) * 1e6);
  }
  return times.sort((a, b) => a - b)[ROUNDS >> 1] as number;
}
