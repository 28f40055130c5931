import { assert, type Lsn } from '@zenith/base';
import { lastTerm, type Term, type TermHistory } from './term-history.ts';

/** How advanced a WAL is. Nothing else is ever compared for that: a bare term or a bare LSN has lost committed data in real systems. */
export interface WalPosition {
  /** Term that wrote the last byte. */
  readonly lastTerm: Term;
  /** Record-aligned, durable end. */
  readonly flushLsn: Lsn;
}

/** The position of a WAL that ends at `flushLsn` and was written as `history` says. */
export function walPosition(history: TermHistory, flushLsn: Lsn): WalPosition {
  return { lastTerm: lastTerm(history, flushLsn), flushLsn };
}

/** Orders positions by last term, then by LSN: negative when `a` is less advanced than `b`, 0 when they are equal. */
export function comparePositions(a: WalPosition, b: WalPosition): number {
  return a.lastTerm === b.lastTerm ? a.flushLsn - b.flushLsn : a.lastTerm - b.lastTerm;
}

/** The first of the most advanced candidates. @param candidates at least one */
export function mostAdvanced<T>(candidates: readonly T[], positionOf: (candidate: T) => WalPosition): T {
  assert(candidates.length > 0, 'there is a candidate');
  let best = candidates[0] as T;
  for (const candidate of candidates)
    if (comparePositions(positionOf(candidate), positionOf(best)) > 0) best = candidate;
  return best;
}
