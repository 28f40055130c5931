import { readFileSync, existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  BLCKSZ,
  CLOG,
  COMMIT_TS,
  MULTIXACT_MEMBERS,
  MULTIXACT_OFFSETS,
  RM_CLOG_ID,
  RM_COMMIT_TS_ID,
  RM_MULTIXACT_ID,
  RM_XACT_ID,
  TRANSACTION_STATUS_ABORTED,
  TRANSACTION_STATUS_COMMITTED,
  XLOG_XACT_ABORT,
  XLOG_XACT_ABORT_PREPARED,
  XLOG_XACT_COMMIT,
  XLOG_XACT_COMMIT_PREPARED,
  XLOG_XACT_OPMASK,
  XactRecord,
  allocatePage,
  nextMultiXactId,
  parseAbort,
  parseCommit,
  slruFileName,
  slruPage,
  slruPageInSegment,
  slruSegment,
  type Page,
  type PgMajor,
  type SlruGeometry,
  type WalRecord,
} from '@zenith/pg-format';
import {
  appendCommitTimestamp,
  appendMultixactMember,
  appendMultixactOffset,
  appendTransaction,
  applyOperation,
  nextMemberOffset,
  startCommitTimestamps,
  startMultixactMembers,
  startMultixactOffsets,
  startTransactionStatus,
} from './index.ts';

/** The pages of a cluster's SLRUs, changed by page operations as the records say, as an ingest would do it. */
export class SlruReplay {
  readonly #major: PgMajor;
  readonly #base: string;
  readonly #pages = new Map<string, Page>();
  readonly #xact = new XactRecord();
  readonly #out = new DataView(new ArrayBuffer(128 * 1024));
  /** Operations applied, by SLRU. */
  readonly applied = new Map<string, number>();

  constructor(major: PgMajor, base: string) {
    this.#major = major;
    this.#base = base;
  }

  apply(record: WalRecord): void {
    const { view, mainDataOffset: at } = record;
    const kind = record.info & 0xf0;
    if (record.rmid === RM_XACT_ID) this.#applyXact(record);
    // Page numbers are 8 bytes from 17 on, the only versions this is used with.
    else if (record.rmid === RM_CLOG_ID && kind === 0x00) this.#page(CLOG, view.getUint32(at, true)).bytes.fill(0);
    else if (record.rmid === RM_COMMIT_TS_ID && kind === 0x00)
      this.#page(COMMIT_TS, view.getUint32(at, true)).bytes.fill(0);
    else if (record.rmid === RM_MULTIXACT_ID && kind === 0x00)
      this.#page(MULTIXACT_OFFSETS, view.getUint32(at, true)).bytes.fill(0);
    else if (record.rmid === RM_MULTIXACT_ID && kind === 0x10)
      this.#page(MULTIXACT_MEMBERS, view.getUint32(at, true)).bytes.fill(0);
    else if (record.rmid === RM_MULTIXACT_ID && kind === 0x20) this.#applyMultixact(record);
  }

  #applyXact(record: WalRecord): void {
    const kind = record.info & XLOG_XACT_OPMASK;
    const commit = kind === XLOG_XACT_COMMIT || kind === XLOG_XACT_COMMIT_PREPARED;
    if (!commit && kind !== XLOG_XACT_ABORT && kind !== XLOG_XACT_ABORT_PREPARED) return;
    const xact = this.#xact;
    if (commit) parseCommit(this.#major, record, xact);
    else parseAbort(this.#major, record, xact);
    const xids = [xact.twoPhaseXid === 0 ? record.xid : xact.twoPhaseXid];
    if (xids[0] === 0) return;
    for (let i = 0; i < xact.subxactCount; i++) xids.push(xact.view.getUint32(xact.subxactsOffset + i * 4, true));
    for (const [page, members] of groupBy(xids, (xid) => slruPage(CLOG, xid))) {
      let end = startTransactionStatus(
        this.#out,
        0,
        commit ? TRANSACTION_STATUS_COMMITTED : TRANSACTION_STATUS_ABORTED,
      );
      for (const xid of members) end = appendTransaction(this.#out, end, xid);
      this.#operate(CLOG, page, end, record);
    }
    if (!commit) return;
    for (const [page, members] of groupBy(xids, (xid) => slruPage(COMMIT_TS, xid))) {
      let end = startCommitTimestamps(
        this.#out,
        0,
        xact.view.getUint32(xact.timeOffset, true),
        xact.view.getUint32(xact.timeOffset + 4, true),
        record.origin,
      );
      for (const xid of members) end = appendCommitTimestamp(this.#out, end, xid);
      this.#operate(COMMIT_TS, page, end, record);
    }
  }

  /** xl_multixact_create: mid u32 @0, moff u32 @4, nmembers i32 @8, members (xid u32, status i32)[] @12. */
  #applyMultixact(record: WalRecord): void {
    const { view, mainDataOffset: at } = record;
    const multi = view.getUint32(at, true);
    const first = view.getUint32(at + 4, true);
    const memberCount = view.getInt32(at + 8, true);
    const entries: [number, number][] = [
      [multi, first],
      [nextMultiXactId(multi), nextMemberOffset(first, memberCount)],
    ];
    for (const [page, members] of groupBy(entries, ([id]) => slruPage(MULTIXACT_OFFSETS, id))) {
      let end = startMultixactOffsets(this.#out, 0);
      for (const [id, offset] of members) end = appendMultixactOffset(this.#out, end, id, offset);
      this.#operate(MULTIXACT_OFFSETS, page, end, record);
    }
    const offsets = Array.from({ length: memberCount }, (_, i) => (first + i) >>> 0);
    for (const [page, members] of groupBy(offsets, (offset) => slruPage(MULTIXACT_MEMBERS, offset))) {
      let end = startMultixactMembers(this.#out, 0, members.at(0) as number);
      for (const offset of members) {
        const member = at + 12 + ((offset - first) >>> 0) * 8;
        end = appendMultixactMember(this.#out, end, view.getUint32(member, true), view.getUint32(member + 4, true));
      }
      this.#operate(MULTIXACT_MEMBERS, page, end, record);
    }
  }

  #operate(slru: SlruGeometry, page: number, end: number, record: WalRecord): void {
    applyOperation(this.#out, 0, end, this.#page(slru, page), record.endLsn);
    this.applied.set(slru.directory, (this.applied.get(slru.directory) ?? 0) + 1);
  }

  #page(slru: SlruGeometry, number: number): Page {
    const key = `${slru.directory}/${number}`;
    let page = this.#pages.get(key);
    if (page === undefined) {
      page = allocatePage();
      const path = join(this.#base, slru.directory, slruFileName(slruSegment(number)));
      const bytes = existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
      page.bytes.set(bytes.subarray(slruPageInSegment(number) * BLCKSZ, (slruPageInSegment(number) + 1) * BLCKSZ));
      this.#pages.set(key, page);
    }
    return page;
  }

  /** Differences between every page of a stopped server's SLRU files and the pages here, one line each. */
  compareWithFiles(dataDirectory: string): string[] {
    const differences: string[] = [];
    for (const slru of [CLOG, MULTIXACT_OFFSETS, MULTIXACT_MEMBERS, COMMIT_TS]) {
      for (const name of readdirSync(join(dataDirectory, slru.directory))) {
        const bytes = readFileSync(join(dataDirectory, slru.directory, name));
        for (let inSegment = 0; inSegment * BLCKSZ < bytes.length; inSegment++) {
          const number = Number.parseInt(name, 16) * 32 + inSegment;
          const actual = this.#page(slru, number).bytes;
          const at = actual.findIndex((byte, offset) => byte !== bytes[inSegment * BLCKSZ + offset]);
          if (at !== -1)
            differences.push(
              `${slru.directory} page ${number}: byte ${at} is ${actual[at]}, the server has ${bytes[inSegment * BLCKSZ + at]}`,
            );
        }
      }
    }
    return differences;
  }
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => number): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const item of items) {
    const key = keyOf(item);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [item]);
    else group.push(item);
  }
  return groups;
}
