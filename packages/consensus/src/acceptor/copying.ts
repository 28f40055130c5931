import { assert } from '@zenith/base';
import { lastEntry } from '../term-history.ts';
import { advanceCommit, larger, makeStable } from './advance.ts';
import { copyVerdict, isNextPiece, type CommittedWal, type CopiedPiece } from './copy-rule.ts';
import type { AcceptorEffect, AcceptorStep } from './effect.ts';
import type { AcceptorState } from './state.ts';

/**
 * Another acceptor's committed WAL takes the place of a leader's, as its `Elected` and what it has committed would, but only where nothing here is to be dropped: bytes behind the last whole record are. The own term is kept, unless
 * the history has a newer one; an `Elected` that was made before is refused for its start then, and the proposer asks again.
 */
export function onFollow(state: AcceptorState, source: CommittedWal): AcceptorStep {
  if (state.leader !== null) return { state, effects: [{ type: 'followed', verdict: 'led' }] };
  const effects: AcceptorEffect[] = [];
  let next = makeStable(state, effects);
  const verdict = copyVerdict(next, source);
  const followed: AcceptorEffect = { type: 'followed', verdict };
  if (verdict !== 'copy') return { state: next, effects: [...effects, followed] };
  const { control, flushLsn, writeLsn } = next;
  // In this order for the reason that holds for an Elected, too.
  if (flushLsn < writeLsn) {
    effects.push(
      { type: 'persistControl', control: { ...control, pendingTruncationLsn: flushLsn } },
      { type: 'truncateWal', lsn: flushLsn },
    );
    next = { ...next, writeLsn: flushLsn, recordLsn: flushLsn, syncedLsn: flushLsn };
  }
  const { history } = source;
  const led = { ...control, history, term: Math.max(control.term, lastEntry(history).term) };
  effects.push({ type: 'persistControl', control: led });
  next = advanceCommit(
    { ...next, control: led, leaderCommitLsn: larger(next.leaderCommitLsn, source.commitLsn) },
    effects,
  );
  effects.push(followed);
  return { state: next, effects };
}

/** Appends a piece of the WAL that is followed. */
export function onCopied(state: AcceptorState, source: CommittedWal, piece: CopiedPiece): AcceptorStep {
  assert(isNextPiece(state, source, piece), 'a copied piece follows what is here');
  const { beginLsn, endLsn, recordLsn } = piece;
  assert(state.recordLsn <= recordLsn && recordLsn <= endLsn, 'records end within the WAL written');
  return {
    state: { ...state, writeLsn: endLsn, recordLsn },
    effects: [{ type: 'writeWal', beginLsn, endLsn }, { type: 'requestFlush' }],
  };
}
