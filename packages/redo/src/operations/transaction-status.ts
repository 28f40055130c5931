import { CorruptionError } from '@zenith/base';
import {
  CLOG_XACTS_PER_PAGE,
  TRANSACTION_STATUS_ABORTED,
  TRANSACTION_STATUS_COMMITTED,
  clogByte,
  clogShift,
} from '@zenith/pg-format';
import { OPERATION_HEADER, OperationKind, entryCount, type ApplyBody } from './operation.ts';

const STATUS_BITS = 3;

/** The statuses that the end of a transaction sets. */
export type FinalTransactionStatus = typeof TRANSACTION_STATUS_COMMITTED | typeof TRANSACTION_STATUS_ABORTED;

/**
 * Writes an operation without transactions that sets their status; {@link appendTransaction} adds them. A commit's transaction and
 * subtransactions that lie on one page belong into one operation.
 * @returns the offset behind it
 */
export function startTransactionStatus(out: DataView, offset: number, status: FinalTransactionStatus): number {
  out.setUint8(offset, OperationKind.transactionStatus);
  out.setUint8(offset + OPERATION_HEADER, status);
  return offset + OPERATION_HEADER + 1;
}

/**
 * Adds a transaction at the end of the operation so far (2 bytes).
 * @returns the offset behind it
 */
export function appendTransaction(out: DataView, offset: number, xid: number): number {
  out.setUint16(offset, xid % CLOG_XACTS_PER_PAGE, true);
  return offset + 2;
}

/**
 * PG: TransactionIdSetTreeStatus(), TransactionIdSetStatusBit(). The sub-committed state that PostgreSQL sets in between when the
 * transactions lie on several pages is never seen by a reader at an LSN, and is left out.
 */
export const applyTransactionStatus: ApplyBody = (view, offset, end, page) => {
  const status = view.getUint8(offset);
  if (status !== TRANSACTION_STATUS_COMMITTED && status !== TRANSACTION_STATUS_ABORTED)
    throw new CorruptionError(`transaction status ${status}`);
  const count = entryCount(offset + 1, end, 2);
  for (let i = 0; i < count; i++) {
    const index = view.getUint16(offset + 1 + i * 2, true);
    const position = clogByte(index);
    const shift = clogShift(index);
    page.view.setUint8(position, (page.view.getUint8(position) & ~(STATUS_BITS << shift)) | (status << shift));
  }
};

/**
 * Calls `visit` for each transaction whose status the operation in `view[offset, offset + length)` sets; for none when it is of another kind.
 * @param visit is given the transaction's place on its page, xid modulo 32768
 */
export function visitTransactionStatus(
  view: DataView,
  offset: number,
  length: number,
  visit: (index: number, status: number) => void,
): void {
  if (length <= OPERATION_HEADER || view.getUint8(offset) !== OperationKind.transactionStatus) return;
  const status = view.getUint8(offset + OPERATION_HEADER);
  for (let at = offset + OPERATION_HEADER + 1; at + 2 <= offset + length; at += 2)
    visit(view.getUint16(at, true), status);
}
