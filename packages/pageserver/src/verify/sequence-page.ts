import { FIRST_OFFSET_NUMBER, linePointer, lpOffset, type Page } from '@zenith/pg-format';

// The one tuple of a sequence, behind its header: last_value i64 @0, log_cnt i64 @8, is_called u8 @16.  PG 15-18: FormData_pg_sequence_data, sequence.h
const TUPLE_HEADER = 24,
  LOG_CNT = 8,
  IS_CALLED = 16,
  SIZE = 17;

/**
 * True when two pages of a sequence are states of the same WAL. A sequence logs its state up to 32 values ahead, so as not to log each: `last_value` is then behind by as many steps as `log_cnt` says are left of them. The step is
 * not in the page: what is checked is that there may be one. Everything else is equal. PG: nextval_internal(), SEQ_LOG_VALS, sequence.c.
 * @throws RangeError when one of them has no such tuple
 */
export function sequenceStatesAgree(expected: Page, actual: Page): boolean {
  const theirs = stateAt(expected);
  const ours = stateAt(actual);
  if (expected.view.getUint8(theirs + IS_CALLED) !== actual.view.getUint8(ours + IS_CALLED)) return false;
  const ahead = actual.view.getBigInt64(ours, true) - expected.view.getBigInt64(theirs, true);
  const left = expected.view.getBigInt64(theirs + LOG_CNT, true) - actual.view.getBigInt64(ours + LOG_CNT, true);
  return left === 0n ? ahead === 0n : left > 0n && ahead !== 0n && ahead % left === 0n;
}

/** Overwrites the state of a sequence in its page. @throws RangeError when there is none */
export function maskSequenceState(page: Page): void {
  const state = stateAt(page);
  page.bytes.fill(0, state, state + SIZE);
}

function stateAt(page: Page): number {
  const state = lpOffset(linePointer(page, FIRST_OFFSET_NUMBER)) + TUPLE_HEADER;
  if (state + SIZE > page.bytes.length) throw new RangeError(`the state of a sequence would lie at byte ${state}`);
  return state;
}
