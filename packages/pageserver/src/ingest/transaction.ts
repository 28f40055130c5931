import type { Lsn } from '@zenith/base';
import {
  CLOG_XACTS_PER_PAGE,
  COMMIT_TS_XACTS_PER_PAGE,
  SIZE_OF_REL_FILE_LOCATOR,
  TRANSACTION_STATUS_ABORTED,
  TRANSACTION_STATUS_COMMITTED,
  XLOG_XACT_ABORT,
  XLOG_XACT_ABORT_PREPARED,
  XLOG_XACT_ASSIGNMENT,
  XLOG_XACT_COMMIT,
  XLOG_XACT_COMMIT_PREPARED,
  XLOG_XACT_INVALIDATIONS,
  XLOG_XACT_OPMASK,
  XLOG_XACT_PREPARE,
  encodeTwoPhaseFile,
  parseAbort,
  parseCommit,
  parsePrepare,
  xidPrecedes,
  type WalRecord,
  type XactRecord,
} from '@zenith/pg-format';
import {
  appendCommitTimestamp,
  appendTransaction,
  startCommitTimestamps,
  startTransactionStatus,
  type FinalTransactionStatus,
} from '@zenith/redo';
import { readCommitTime } from '../commit-times/commit-time.ts';
import { ObjectKind, SlruKind } from '../key-space/object.ts';
import { putGone, putSmall, unknownRecord, type IngestContext } from './context.ts';
import { advanceOrigin } from './replication-origin.ts';
import { dropRelation } from './smgr.ts';

const OPERATION_ROOM = 32;
const XID_SIZE = 2;

/** Ends of transactions, and prepared ones. PG: xact_redo(), xact.c. */
export function ingestTransaction(context: IngestContext, record: WalRecord): void {
  const { xact } = context;
  const major = context.format.major;
  switch (record.info & XLOG_XACT_OPMASK) {
    case XLOG_XACT_COMMIT:
      parseCommit(major, record, xact);
      commit(context, record, record.xid);
      return;
    case XLOG_XACT_COMMIT_PREPARED:
      parseCommit(major, record, xact);
      commit(context, record, xact.twoPhaseXid);
      forgetPrepared(context, xact.twoPhaseXid, record.endLsn);
      return;
    case XLOG_XACT_ABORT:
      parseAbort(major, record, xact);
      abort(context, record, record.xid);
      return;
    case XLOG_XACT_ABORT_PREPARED:
      parseAbort(major, record, xact);
      abort(context, record, xact.twoPhaseXid);
      forgetPrepared(context, xact.twoPhaseXid, record.endLsn);
      return;
    case XLOG_XACT_PREPARE:
      prepare(context, record);
      return;
    case XLOG_XACT_ASSIGNMENT:
    case XLOG_XACT_INVALIDATIONS:
      return; // for hot standbys and logical decoding
    default:
      throw unknownRecord(record);
  }
}

/** PG: xact_redo_commit(). */
function commit(context: IngestContext, record: WalRecord, xid: number): void {
  const { xact, counters, parameters } = context;
  const last = lastXid(xact, xid);
  counters.advancePastXid(last);
  if (parameters.trackCommitTimestamp) {
    putCommitTimestamps(
      context,
      xid,
      xact.hasOrigin ? xact.originTimeOffset : xact.timeOffset,
      record.origin,
      record.endLsn,
    );
    counters.advanceNewestCommitTs(xact.subxactCount > 0 ? subxact(xact, xact.subxactCount - 1) : xid);
  }
  putStatus(context, xid, TRANSACTION_STATUS_COMMITTED, record.endLsn);
  if (xact.hasOrigin) advanceOrigin(context, record.origin, xact.originLsn, record.endLsn, false);
  dropRelations(context, xact);
  // The last that can be said of it: a record that proves bad before has committed nothing.
  context.target.noteCommit(record.endLsn, readCommitTime(xact.view, xact.timeOffset));
}

/** PG: xact_redo_abort(). */
function abort(context: IngestContext, record: WalRecord, xid: number): void {
  const { xact, counters } = context;
  counters.advancePastXid(lastXid(xact, xid));
  putStatus(context, xid, TRANSACTION_STATUS_ABORTED, record.endLsn);
  if (xact.hasOrigin) advanceOrigin(context, record.origin, xact.originLsn, record.endLsn, false);
  dropRelations(context, xact);
}

/** The state file as the server writes it at the next checkpoint. PG: XlogReadTwoPhaseData(), RecreateTwoPhaseFile(), twophase.c. */
function prepare(context: IngestContext, record: WalRecord): void {
  const { xact, counters, target } = context;
  parsePrepare(context.format.major, record, xact);
  counters.advancePastXid(lastXid(xact, xact.twoPhaseXid));
  const file = encodeTwoPhaseFile(record.bytes, record.mainDataOffset, record.mainDataLength);
  putSmall(
    target,
    ObjectKind.twoPhase,
    twoPhaseEpoch(context, xact.twoPhaseXid),
    xact.twoPhaseXid,
    0,
    record.endLsn,
    file,
  );
}

function forgetPrepared(context: IngestContext, xid: number, lsn: Lsn): void {
  putGone(context.target, ObjectKind.twoPhase, twoPhaseEpoch(context, xid), xid, 0, lsn);
}

/** High word of the key of a prepared transaction's state: names of state files carry the epoch from 17 on. */
function twoPhaseEpoch(context: IngestContext, xid: number): number {
  return context.format.twoPhaseNameLength === 16 ? context.counters.epochOf(xid) : 0;
}

/** PG: TransactionIdLatest(), transam.c. */
function lastXid(xact: XactRecord, xid: number): number {
  let last = xid;
  for (let i = 0; i < xact.subxactCount; i++) {
    const sub = subxact(xact, i);
    if (xidPrecedes(last, sub)) last = sub;
  }
  return last;
}

function subxact(xact: XactRecord, index: number): number {
  return xact.view.getUint32(xact.subxactsOffset + index * 4, true);
}

/**
 * One operation per page of the commit log that the transaction and its subtransactions, whose ids ascend, lie on.
 */
function putStatus(context: IngestContext, xid: number, status: FinalTransactionStatus, lsn: Lsn): void {
  const { slru, scratch, xact } = context;
  scratch.reserve(OPERATION_ROOM + (xact.subxactCount + 1) * XID_SIZE);
  let page = Math.floor(xid / CLOG_XACTS_PER_PAGE);
  let end = appendTransaction(scratch.view, startTransactionStatus(scratch.view, 0, status), xid);
  for (let i = 0; i < xact.subxactCount; i++) {
    const sub = subxact(xact, i);
    const subPage = Math.floor(sub / CLOG_XACTS_PER_PAGE);
    if (subPage !== page) {
      slru.putOperation(SlruKind.clog, page, lsn, scratch.bytes, scratch.view, end);
      page = subPage;
      end = startTransactionStatus(scratch.view, 0, status);
    }
    end = appendTransaction(scratch.view, end, sub);
  }
  slru.putOperation(SlruKind.clog, page, lsn, scratch.bytes, scratch.view, end);
}

/** As {@link putStatus}, for commit timestamps; the time lies at `timeOffset` of the record. PG: TransactionTreeSetCommitTsData(). */
function putCommitTimestamps(context: IngestContext, xid: number, timeOffset: number, origin: number, lsn: Lsn): void {
  const { slru, scratch, xact } = context;
  scratch.reserve(OPERATION_ROOM + (xact.subxactCount + 1) * XID_SIZE);
  const low = xact.view.getUint32(timeOffset, true);
  const high = xact.view.getUint32(timeOffset + 4, true);
  let page = Math.floor(xid / COMMIT_TS_XACTS_PER_PAGE);
  let end = appendCommitTimestamp(scratch.view, startCommitTimestamps(scratch.view, 0, low, high, origin), xid);
  for (let i = 0; i < xact.subxactCount; i++) {
    const sub = subxact(xact, i);
    const subPage = Math.floor(sub / COMMIT_TS_XACTS_PER_PAGE);
    if (subPage !== page) {
      slru.putOperation(SlruKind.commitTs, page, lsn, scratch.bytes, scratch.view, end);
      page = subPage;
      end = startCommitTimestamps(scratch.view, 0, low, high, origin);
    }
    end = appendCommitTimestamp(scratch.view, end, sub);
  }
  slru.putOperation(SlruKind.commitTs, page, lsn, scratch.bytes, scratch.view, end);
}

function dropRelations(context: IngestContext, xact: XactRecord): void {
  for (let i = 0; i < xact.relCount; i++) {
    const at = xact.relsOffset + i * SIZE_OF_REL_FILE_LOCATOR;
    dropRelation(
      context,
      xact.view.getUint32(at, true),
      xact.view.getUint32(at + 4, true),
      xact.view.getUint32(at + 8, true),
    );
  }
}
