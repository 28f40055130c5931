import type { Lsn } from '@zenith/base';
import { identityDifference, type TimelineIdentity } from '../messages.ts';
import { cutHistory, historiesAgree, isTermHistory, type TermHistory } from '../term-history.ts';
import type { AcceptorControl, AcceptorState } from './state.ts';

/** What is committed of another acceptor's WAL. Whatever is committed is in the WAL of every leader to come, so that to have it, too, promises nothing that might not hold. */
export interface CommittedWal {
  readonly identity: TimelineIdentity;
  /** The other acceptor's, cut to entries with `startLsn <= commitLsn`. */
  readonly history: TermHistory;
  /** A record boundary. */
  readonly commitLsn: Lsn;
}

/** What of a WAL with this control file is committed. */
export function committedWal({ identity, history, commitLsn }: AcceptorControl): CommittedWal {
  return { identity, history: cutHistory(history, commitLsn), commitLsn };
}

/** Committed WAL `[beginLsn, endLsn)`, whose bytes travel beside it. */
export interface CopiedPiece {
  readonly beginLsn: Lsn;
  readonly endLsn: Lsn;
  /** End of the last whole record once the bytes are added, found by the shell's decoder. */
  readonly recordLsn: Lsn;
}

/** What an acceptor makes of another's committed WAL. */
export type CopyVerdict =
  | 'copy'
  /** The other is of another timeline, or its history has no right form. */
  | 'another-timeline'
  /** A proposer leads here, and brings the WAL. */
  | 'led'
  /** Everything that is committed there is here, and known to be committed. */
  | 'nothing-more'
  /** The WAL here is not, whole, a beginning of the other's. What is to be dropped only a leader decides. */
  | 'diverged';

/** Judges another acceptor's committed WAL. `state` has nothing written that is not durable. */
export function copyVerdict(state: AcceptorState, { identity, history, commitLsn }: CommittedWal): CopyVerdict {
  const { control, flushLsn } = state;
  if (identityDifference(control.identity, identity) !== null || !isTermHistory(history)) return 'another-timeline';
  if (state.leader !== null) return 'led';
  if (commitLsn < flushLsn || commitLsn <= control.commitLsn) return 'nothing-more';
  return historiesAgree(history, control.history) &&
    isBeginning(cutHistory(control.history, flushLsn), flushLsn, history)
    ? 'copy'
    : 'diverged';
}

/** True for WAL that follows what is here, of a source that was found to be good since the last leader and the last vote. */
export function isNextPiece(state: AcceptorState, { history, commitLsn }: CommittedWal, piece: CopiedPiece): boolean {
  return (
    state.leader === null &&
    state.control.history === history &&
    piece.beginLsn === state.writeLsn &&
    piece.endLsn <= state.leaderCommitLsn &&
    piece.endLsn <= commitLsn
  );
}

/** True when a WAL that ends at `flushLsn` and was written as `here` says is, whole, a beginning of one that was written as `there` says. */
function isBeginning(here: TermHistory, flushLsn: Lsn, there: TermHistory): boolean {
  const next = there[here.length];
  return here.every((entry, i) => there[i]?.term === entry.term) && (next === undefined || next.startLsn >= flushLsn);
}
