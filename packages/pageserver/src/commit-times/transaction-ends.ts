import type { Lsn } from '@zenith/base';
import {
  CLOG,
  CLOG_XACTS_PER_PAGE,
  INVALID_TRANSACTION_ID,
  TRANSACTION_STATUS_COMMITTED,
  slruPage,
  slruPageInSegment,
  slruSegment,
} from '@zenith/pg-format';
import { visitTransactionStatus } from '@zenith/redo';
import { ObjectKind, SlruKind } from '../key-space/object.ts';
import { NO_OBJECT } from '../key-space/object-table.ts';
import { ValueKind } from '../key-space/value.ts';
import { findObject } from '../timeline/find-object.ts';
import { pageHistory } from '../timeline/page-history.ts';
import type { TimelineState } from '../timeline/timeline-state.ts';
import type { CommitTime } from './commit-time.ts';
import { lastCommit } from './find-commit.ts';

/** Most changes of a page of the commit log that are looked through: it holds 32768 transactions, and what happened to each is one. */
const VALUES_MAX = 65_536;
/** The same in bytes. Unit: bytes. */
const BYTES_MAX = 8 * 1024 * 1024;

/** A transaction, and a place in the WAL where it was in progress: ids are used again. */
export interface TransactionInWal {
  readonly xid: number;
  readonly lsn: Lsn;
}

/** How a transaction ended. */
export interface TransactionEnd {
  readonly committed: boolean;
  /** When; of one that was aborted, and of commits of before these times were kept, it is not known. */
  readonly time: CommitTime | undefined;
}

/**
 * How and when transactions ended, as the history of the commit log up to `until` says; undefined for one that had not ended then, or of which that history is not kept. For people and tools.
 * @throws CorruptionError
 */
export function transactionEnds(
  state: TimelineState,
  transactions: readonly TransactionInWal[],
  until: Lsn,
): (TransactionEnd | undefined)[] {
  const known = transactions.filter(({ xid }) => xid !== INVALID_TRANSACTION_ID);
  const byPage = grouped(known, ({ xid }) => slruPage(CLOG, xid));
  const found = new Map<TransactionInWal, TransactionEnd>();
  for (const [page, ofPage] of byPage) findOnPage(state, page, ofPage, until, found);
  return transactions.map((transaction) => found.get(transaction));
}

function findOnPage(
  state: TimelineState,
  page: number,
  transactions: readonly TransactionInWal[],
  until: Lsn,
  found: Map<TransactionInWal, TransactionEnd>,
): void {
  const object = findObject(state, ObjectKind.slru, SlruKind.clog, 0, slruSegment(page), 0);
  if (object === NO_OBJECT) return;
  const byIndex = grouped(transactions, ({ xid }) => xid % CLOG_XACTS_PER_PAGE);
  const limits = { valuesMax: VALUES_MAX, bytesMax: BYTES_MAX };
  const { values } = pageHistory(state, object, slruPageInSegment(page), until, limits);
  // The oldest first: the first end behind the record is the transaction's, a later one that of another with the same id.
  for (const { lsn, kind, bytes } of values.toReversed()) {
    if (kind !== ValueKind.operation) continue;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    visitTransactionStatus(view, 0, bytes.length, (index, status) => {
      for (const transaction of byIndex.get(index) ?? []) {
        if (lsn < transaction.lsn || found.has(transaction)) continue;
        found.set(transaction, endAt(state, lsn, status === TRANSACTION_STATUS_COMMITTED));
      }
    });
  }
}

function endAt(state: TimelineState, lsn: Lsn, committed: boolean): TransactionEnd {
  const commit = committed ? lastCommit(state, lsn) : undefined;
  return { committed, time: commit?.lsn === lsn ? commit.time : undefined };
}

function grouped<T>(items: readonly T[], keyOf: (item: T) => number): Map<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group === undefined) groups.set(keyOf(item), [item]);
    else group.push(item);
  }
  return groups;
}
