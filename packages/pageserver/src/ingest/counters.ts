import { assert } from '@zenith/base';
import { SIZE_OF_CHECK_POINT, isNormalXid, multiPrecedes, nextXid, xidPrecedes } from '@zenith/pg-format';

/*
 * CheckPoint, 88 bytes, little-endian: redo u64 @0, ThisTimeLineID u32 @8, PrevTimeLineID u32 @12, fullPageWrites u8 @16, wal_level i32 @20 (17 and later), nextXid u64 @24,
 * nextOid u32 @32, nextMulti u32 @36, nextMultiOffset u32 @40, oldestXid u32 @44, oldestXidDB u32 @48, oldestMulti u32 @52, oldestMultiDB u32 @56, time i64 @64,
 * oldestCommitTsXid u32 @72, newestCommitTsXid u32 @76, oldestActiveXid u32 @80.  PG 18: pg_control.h
 */
const NEXT_XID = 24,
  NEXT_EPOCH = 28,
  NEXT_OID = 32,
  NEXT_MULTI = 36,
  NEXT_MULTI_OFFSET = 40,
  OLDEST_XID = 44,
  OLDEST_XID_DB = 48,
  OLDEST_MULTI = 52,
  OLDEST_MULTI_DB = 56;
const OLDEST_COMMIT_TS_XID = 72,
  NEWEST_COMMIT_TS_XID = 76;

/**
 * The cluster's counters at the head of a timeline, kept as the CheckPoint a server would write there. Invariant 10 of the design: they are never below what any record so
 * far implies; every rule here is that of PostgreSQL's recovery.
 */
export class ClusterCounters {
  readonly #bytes = new Uint8Array(SIZE_OF_CHECK_POINT);
  readonly #view = new DataView(this.#bytes.buffer);
  #nextXid: number;
  /** True when something changed since the caller last set it to false. */
  changed = false;

  /** @param checkpoint the CheckPoint to begin with, 88 bytes; copied */
  constructor(checkpoint: Uint8Array) {
    assert(checkpoint.length === SIZE_OF_CHECK_POINT, 'a CheckPoint has 88 bytes');
    this.#bytes.set(checkpoint);
    this.#nextXid = this.#view.getUint32(NEXT_XID, true);
  }

  /** The CheckPoint, 88 bytes; borrowed, it changes with the next call. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Low 32 bits of the next full transaction id. */
  get nextXid(): number {
    return this.#nextXid;
  }

  /** Next multixact id, as it is counted: 0 when it is about to wrap around. */
  get nextMulti(): number {
    return this.#view.getUint32(NEXT_MULTI, true);
  }

  /** Oldest xid with a commit timestamp, 0 for none. */
  get oldestCommitTsXid(): number {
    return this.#view.getUint32(OLDEST_COMMIT_TS_XID, true);
  }

  /** Makes sure that nextXid is beyond `xid`. PG: AdvanceNextFullTransactionIdPastXid(), varsup.c. */
  advancePastXid(xid: number): void {
    if (!isNormalXid(xid) || ((xid - this.#nextXid) | 0) < 0) return;
    const next = nextXid(xid);
    if (next < this.#nextXid) this.#set(NEXT_EPOCH, (this.#view.getUint32(NEXT_EPOCH, true) + 1) >>> 0);
    this.#set(NEXT_XID, next);
    this.#nextXid = next;
  }

  /** The epoch of `xid`, which was assigned already: high word of its full transaction id. PG: FullTransactionIdFromAllowableAt(), transam.h. */
  epochOf(xid: number): number {
    const epoch = this.#view.getUint32(NEXT_EPOCH, true);
    return xid >= this.#nextXid ? (epoch - 1) >>> 0 : epoch;
  }

  /** Believes `oid`, exactly as recovery does: the counter may have wrapped around. */
  setNextOid(oid: number): void {
    this.#set(NEXT_OID, oid);
  }

  /** PG: MultiXactAdvanceNextMXact(), multixact.c. */
  advanceMulti(nextMulti: number, nextOffset: number): void {
    if (multiPrecedes(this.#get(NEXT_MULTI), nextMulti)) this.#set(NEXT_MULTI, nextMulti);
    if (multiPrecedes(this.#get(NEXT_MULTI_OFFSET), nextOffset)) this.#set(NEXT_MULTI_OFFSET, nextOffset);
  }

  /** Raises the oldest multixact. PG: MultiXactAdvanceOldest(), multixact.c. */
  advanceOldestMulti(multi: number, database: number): void {
    if (multiPrecedes(this.#get(OLDEST_MULTI), multi)) this.setOldestMulti(multi, database);
  }

  /** Sets the oldest multixact, as a truncation of the multixacts does. PG: SetMultiXactIdLimit(), multixact.c. */
  setOldestMulti(multi: number, database: number): void {
    this.#set(OLDEST_MULTI, multi);
    this.#set(OLDEST_MULTI_DB, database);
  }

  /** Raises the oldest xid, as a truncation of the commit log does. PG: vac_truncate_clog() sets it right after that truncation. */
  advanceOldestXid(xid: number, database: number): void {
    if (!xidPrecedes(this.#get(OLDEST_XID), xid)) return;
    this.#set(OLDEST_XID, xid);
    this.#set(OLDEST_XID_DB, database);
  }

  /** Sets the range of xids with commit timestamps; 0, 0 when they are no longer tracked. */
  setCommitTsRange(oldest: number, newest: number): void {
    this.#set(OLDEST_COMMIT_TS_XID, oldest);
    this.#set(NEWEST_COMMIT_TS_XID, newest);
  }

  /** A transaction of which `xid` is the last id got a commit timestamp. PG: TransactionTreeSetCommitTsData(), commit_ts.c. */
  advanceNewestCommitTs(xid: number): void {
    if (xidPrecedes(this.#get(NEWEST_COMMIT_TS_XID), xid)) this.#set(NEWEST_COMMIT_TS_XID, xid);
  }

  /** PG: AdvanceOldestCommitTsXid(), commit_ts.c. */
  advanceOldestCommitTs(xid: number): void {
    const oldest = this.#get(OLDEST_COMMIT_TS_XID);
    if (oldest !== 0 && xidPrecedes(oldest, xid)) this.#set(OLDEST_COMMIT_TS_XID, xid);
  }

  /** Believes a shutdown checkpoint (88 bytes at `offset`) exactly. PG: xlog_redo(), XLOG_CHECKPOINT_SHUTDOWN. */
  setFromShutdownCheckpoint(view: DataView, offset: number): void {
    for (let i = 0; i < SIZE_OF_CHECK_POINT; i++) this.#bytes[i] = view.getUint8(offset + i);
    this.#nextXid = this.#get(NEXT_XID);
    this.changed = true;
  }

  /**
   * Takes over from an online checkpoint (88 bytes at `offset`), whose counters are minima taken while others went on; its nextOid is stale. What does not count (redo, time,
   * timelines, flags) is copied. PG: xlog_redo(), XLOG_CHECKPOINT_ONLINE.
   */
  advanceFromOnlineCheckpoint(view: DataView, offset: number): void {
    for (let i = 0; i < NEXT_XID; i++) this.#bytes[i] = view.getUint8(offset + i);
    for (let i = 64; i < OLDEST_COMMIT_TS_XID; i++) this.#bytes[i] = view.getUint8(offset + i);
    for (let i = NEWEST_COMMIT_TS_XID + 4; i < SIZE_OF_CHECK_POINT; i++) this.#bytes[i] = view.getUint8(offset + i);
    const xid = view.getUint32(offset + NEXT_XID, true);
    const epoch = view.getUint32(offset + NEXT_EPOCH, true);
    const ownEpoch = this.#get(NEXT_EPOCH);
    if (epoch > ownEpoch || (epoch === ownEpoch && xid > this.#nextXid)) {
      this.#set(NEXT_EPOCH, epoch);
      this.#set(NEXT_XID, xid);
      this.#nextXid = xid;
    }
    this.advanceMulti(view.getUint32(offset + NEXT_MULTI, true), view.getUint32(offset + NEXT_MULTI_OFFSET, true));
    this.advanceOldestMulti(
      view.getUint32(offset + OLDEST_MULTI, true),
      view.getUint32(offset + OLDEST_MULTI_DB, true),
    );
    this.advanceOldestXid(view.getUint32(offset + OLDEST_XID, true), view.getUint32(offset + OLDEST_XID_DB, true));
    this.advanceOldestCommitTs(view.getUint32(offset + OLDEST_COMMIT_TS_XID, true));
    this.changed = true;
  }

  #get(field: number): number {
    return this.#view.getUint32(field, true);
  }

  #set(field: number, value: number): void {
    if (this.#view.getUint32(field, true) === value) return;
    this.#view.setUint32(field, value, true);
    this.changed = true;
  }
}
