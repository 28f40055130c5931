import type { Lsn } from '@zenith/base';
import type { AcceptorEffect } from './effect.ts';
import { acceptorWith, controlWith, type AcceptorState } from './state.ts';

/** The later of the two. */
export function larger(a: Lsn, b: Lsn): Lsn {
  return a > b ? a : b;
}

/** The earlier of the two. */
export function smaller(a: Lsn, b: Lsn): Lsn {
  return a < b ? a : b;
}

/** Makes what was written durable, at once: an end that a crash could take back would decide on something it has never seen. */
export function makeStable(state: AcceptorState, effects: AcceptorEffect[]): AcceptorState {
  if (state.syncedLsn >= state.writeLsn) return state;
  effects.push({ type: 'syncWal' });
  return advanceCommit({ ...state, syncedLsn: state.writeLsn, flushLsn: state.recordLsn }, effects);
}

/** commitLsn := max(mine, min(leader's, flushLsn)): only WAL that matches the leader's and is on this disk. */
export function advanceCommit(state: AcceptorState, effects: AcceptorEffect[]): AcceptorState {
  const commitLsn = smaller(state.leaderCommitLsn, state.flushLsn);
  if (commitLsn <= state.control.commitLsn) return state;
  effects.push({ type: 'commitAdvanced', commitLsn });
  return acceptorWith(state, { control: controlWith(state.control, { commitLsn }) });
}
