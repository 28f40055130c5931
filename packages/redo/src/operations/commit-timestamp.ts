import { CorruptionError } from '@zenith/base';
import { COMMIT_TS_XACTS_PER_PAGE, SIZE_OF_COMMIT_TS_ENTRY, commitTsByte } from '@zenith/pg-format';
import { OPERATION_HEADER, OperationKind, entryCount, type ApplyBody } from './operation.ts';

/**
 * Writes an operation without transactions that sets their commit timestamps; {@link appendCommitTimestamp} adds them. `time` is the bits of
 * a TimestampTz: low and high word, so that the caller need not make a bigint.
 * @returns the offset behind it
 */
export function startCommitTimestamps(
  out: DataView,
  offset: number,
  timeLow: number,
  timeHigh: number,
  origin: number,
): number {
  out.setUint8(offset, OperationKind.commitTimestamps);
  out.setUint32(offset + OPERATION_HEADER, timeLow, true);
  out.setUint32(offset + OPERATION_HEADER + 4, timeHigh, true);
  out.setUint16(offset + OPERATION_HEADER + 8, origin, true);
  return offset + OPERATION_HEADER + SIZE_OF_COMMIT_TS_ENTRY;
}

/**
 * Adds a transaction that committed then (2 bytes).
 * @returns the offset behind it
 */
export function appendCommitTimestamp(out: DataView, offset: number, xid: number): number {
  out.setUint16(offset, xid % COMMIT_TS_XACTS_PER_PAGE, true);
  return offset + 2;
}

/** PG: TransactionIdSetCommitTs(). */
export const applyCommitTimestamps: ApplyBody = (view, offset, end, page) => {
  const count = entryCount(offset + SIZE_OF_COMMIT_TS_ENTRY, end, 2);
  const low = view.getUint32(offset, true);
  const high = view.getUint32(offset + 4, true);
  const origin = view.getUint16(offset + 8, true);
  for (let i = 0; i < count; i++) {
    const index = view.getUint16(offset + SIZE_OF_COMMIT_TS_ENTRY + i * 2, true);
    if (index >= COMMIT_TS_XACTS_PER_PAGE) throw new CorruptionError(`transaction ${index} of a commit timestamp page`);
    const position = commitTsByte(index);
    page.view.setUint32(position, low, true);
    page.view.setUint32(position + 4, high, true);
    page.view.setUint16(position + 8, origin, true);
  }
};
