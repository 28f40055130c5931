import { assert, type Lsn } from '@zenith/base';

/** A leadership number: at most one proposer is ever elected in a term. Safe integer, 0 before the first election. */
export type Term = number;

/** From `startLsn` on, until the next entry's start, the WAL was written by the leader of `term`. */
export interface TermEntry {
  readonly term: Term;
  /** First byte the leader of this term wrote: the WAL's end when it was elected. */
  readonly startLsn: Lsn;
}

/**
 * Which leader wrote which part of a WAL; what Raft keeps in every entry. Never empty: it begins with term 0 at the timeline's start. Terms strictly increase, LSNs
 * never decrease, and a term has the same start in every history in which it occurs, because it was elected once.
 */
export type TermHistory = readonly TermEntry[];

/** Longest history a peer may send or a control file may hold. Each start of a compute adds one entry of 16 bytes. */
export const TERM_HISTORY_LENGTH_MAX = 65_536;

/** The history of a timeline nobody has led yet. */
export function initialHistory(timelineStartLsn: Lsn): TermHistory {
  return [{ term: 0, startLsn: timelineStartLsn }];
}

/** True when `history` has the form of a {@link TermHistory}; for bytes from disk or from a peer. */
export function isTermHistory(history: readonly TermEntry[]): history is TermHistory {
  if (history.length === 0 || history.length > TERM_HISTORY_LENGTH_MAX) return false;
  return history.every((entry, i) => {
    const previous = history[i - 1];
    const wellFormed =
      Number.isSafeInteger(entry.term) &&
      entry.term >= 0 &&
      Number.isSafeInteger(entry.startLsn) &&
      entry.startLsn >= 0;
    return (
      wellFormed && (previous === undefined || (previous.term < entry.term && previous.startLsn <= entry.startLsn))
    );
  });
}

/** The newest entry. */
export function lastEntry(history: TermHistory): TermEntry {
  const entry = history.at(-1);
  assert(entry !== undefined, 'a term history is never empty');
  return entry;
}

/**
 * The term of the last byte of a WAL that ends at `flushLsn`. An entry that starts exactly there counts: a leader is taken to write a record of no length at its start, so
 * that it can commit older WAL without writing more.
 */
export function lastTerm(history: TermHistory, flushLsn: Lsn): Term {
  return lastEntry(cutHistory(history, flushLsn)).term;
}

/**
 * The part of `history` that a WAL ending at `flushLsn` has reached: entries with `startLsn <= flushLsn`. The history in a control file may run ahead of the WAL; what
 * is reported may not. The first entry always stays, since no WAL ends before its timeline's start.
 */
export function cutHistory(history: TermHistory, flushLsn: Lsn): TermHistory {
  let length = history.length;
  while (length > 1 && (history[length - 1] as TermEntry).startLsn > flushLsn) length--;
  return length === history.length ? history : history.slice(0, length);
}

/** False when some term occurs in both with different starts: one of the two cannot come from this protocol. */
export function historiesAgree(a: TermHistory, b: TermHistory): boolean {
  let j = 0;
  for (const entry of a) {
    while (j < b.length && (b[j] as TermEntry).term < entry.term) j++;
    const other = b[j];
    if (other !== undefined && other.term === entry.term && other.startLsn !== entry.startLsn) return false;
  }
  return true;
}

/**
 * Up to where an acceptor's WAL is the proposer's: the LSN to truncate to and to stream from. Walks the entries that are equal at every index; where they part, the WAL is common
 * until either side's common term ends.
 * @param proposer history of the elected proposer, its own term last
 * @param acceptor history the acceptor reports, already cut to `acceptorFlushLsn`
 */
export function highestCommonPoint(proposer: TermHistory, acceptor: TermHistory, acceptorFlushLsn: Lsn): Lsn {
  assert(historiesAgree(proposer, acceptor), 'a term has one start in all histories');
  let common = -1;
  while (common + 1 < proposer.length && proposer[common + 1]?.term === acceptor[common + 1]?.term) common++;
  if (common === -1) return (proposer[0] as TermEntry).startLsn;
  const acceptorEnd = acceptor[common + 1]?.startLsn ?? acceptorFlushLsn;
  const proposerEnd = proposer[common + 1]?.startLsn;
  if (proposerEnd === undefined) {
    assert(common + 1 === acceptor.length, 'no acceptor has a newer term than the elected proposer');
    return acceptorFlushLsn;
  }
  return proposerEnd < acceptorEnd ? proposerEnd : acceptorEnd;
}
