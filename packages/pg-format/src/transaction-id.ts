/** The transaction id that is none. PG: transam.h. */
export const INVALID_TRANSACTION_ID = 0;
/** First transaction id that names a transaction; below it are the special ones. PG: transam.h. */
export const FIRST_NORMAL_TRANSACTION_ID = 3;
/** The xid in tuples made when the cluster was. PG: transam.h. */
export const BOOTSTRAP_TRANSACTION_ID = 1;
/** The xid older than every other. PG: transam.h. */
export const FROZEN_TRANSACTION_ID = 2;
/** The multixact id that is none. PG: multixact.h. */
export const INVALID_MULTI_XACT_ID = 0;
/** First multixact id. PG: multixact.h. */
export const FIRST_MULTI_XACT_ID = 1;

const XIDS_PER_EPOCH = 0x1_0000_0000n;

/** True for the id of a transaction, false for the special ones. PG: TransactionIdIsNormal(). */
export function isNormalXid(xid: number): boolean {
  return xid >= FIRST_NORMAL_TRANSACTION_ID;
}

/** True when `a` is logically before `b`: special ids compare as numbers, others on a circle of 2^32. PG: TransactionIdPrecedes(), transam.c. */
export function xidPrecedes(a: number, b: number): boolean {
  return isNormalXid(a) && isNormalXid(b) ? ((a - b) | 0) < 0 : a < b;
}

/** True when `a` is before `b` or the same. PG: TransactionIdPrecedesOrEquals(). */
export function xidPrecedesOrEquals(a: number, b: number): boolean {
  return a === b || xidPrecedes(a, b);
}

/** The transaction id after `xid`, never a special one. PG: TransactionIdAdvance(). */
export function nextXid(xid: number): number {
  const next = (xid + 1) >>> 0;
  return next < FIRST_NORMAL_TRANSACTION_ID ? FIRST_NORMAL_TRANSACTION_ID : next;
}

/** True when multixact (or multixact offset) `a` is before `b` on a circle of 2^32. PG: MultiXactIdPrecedes(), MultiXactOffsetPrecedes(). */
export function multiPrecedes(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}

/** The multixact id after `multi`; 0 is none and is left out. PG: NextMultiXactId logic of multixact.c. */
export function nextMultiXactId(multi: number): number {
  const next = (multi + 1) >>> 0;
  return next < FIRST_MULTI_XACT_ID ? FIRST_MULTI_XACT_ID : next;
}

/** The transaction id in the low word of a full one. PG: XidFromFullTransactionId(). */
export function xidOfFull(full: bigint): number {
  return Number(full & (XIDS_PER_EPOCH - 1n));
}

/** The epoch, the high word of a full transaction id. PG: EpochFromFullTransactionId(). */
export function epochOfFull(full: bigint): number {
  return Number(full >> 32n);
}

/** A full transaction id from its parts. PG: FullTransactionIdFromEpochAndXid(). */
export function fullXid(epoch: number, xid: number): bigint {
  return (BigInt(epoch) << 32n) | BigInt(xid);
}

/**
 * The next transaction id to be assigned once `xid` was seen in use: `nextFull` itself when `xid` is before it, else one past `xid`, in the next
 * epoch when the 32-bit counter wrapped. A special `xid` changes nothing. PG: AdvanceNextFullTransactionIdPastXid(), varsup.c.
 */
export function advanceNextFullXidPast(nextFull: bigint, xid: number): bigint {
  const next = xidOfFull(nextFull);
  if (!isNormalXid(xid) || xidPrecedes(xid, next)) return nextFull;
  const after = nextXid(xid);
  return fullXid(epochOfFull(nextFull) + (after < next ? 1 : 0), after);
}

/**
 * The full transaction id of `xid`, seen while `nextFull` is the next one to be assigned: of this epoch, or of the one before when `xid` is
 * numerically at or past the next. PG: FullTransactionIdFromAllowableAt(), XLogRecGetFullXid().
 */
export function fullXidBefore(nextFull: bigint, xid: number): bigint {
  const epoch = epochOfFull(nextFull);
  if (!isNormalXid(xid)) return BigInt(xid);
  return fullXid(xid > xidOfFull(nextFull) && epoch > 0 ? epoch - 1 : epoch, xid);
}
