import { assert, type Lsn } from '@zenith/base';
import { quorumLsn, type NodeId } from '../configuration.ts';
import type { AppendReply, AppendRequest } from '../messages.ts';
import { highestCommonPoint, historiesAgree } from '../term-history.ts';
import { countedLsn } from './commit-rule.ts';
import type { ProposerEffect } from './effect.ts';
import { progressOf, proposerWith, type AcceptorProgress, type ProposerState, type Vote } from './state.ts';
import { disconnect, withProgress } from './transition.ts';

/** Tells an acceptor where the common WAL ends, and begins to send from there. The probe in between is answered once Elected is durable there. */
export function startStreaming(
  state: ProposerState,
  progress: AcceptorProgress,
  vote: Vote,
  effects: ProposerEffect[],
): ProposerState {
  const { history, term, commitLsn, peerHorizonLsn } = state;
  const { generation } = state.options.configuration;
  if (history === null || !historiesAgree(history, vote.history))
    return disconnect(state, progress, 'its term history contradicts the one of this term', effects);
  const startLsn = highestCommonPoint(history, vote.history, vote.flushLsn);
  effects.push(
    { type: 'send', to: progress.node, message: { type: 'elected', generation, term, startLsn, history } },
    {
      type: 'append',
      to: progress.node,
      request: {
        type: 'appendRequest',
        generation,
        term,
        beginLsn: startLsn,
        endLsn: startLsn,
        commitLsn,
        peerHorizonLsn,
        probe: true,
      },
      donor: null,
    },
  );
  const next = withProgress(state, progress.node, {
    stage: 'streaming',
    vote,
    nextLsn: startLsn,
    writeLsn: startLsn,
    sentCommitLsn: commitLsn,
  });
  return sendAvailable(next, progress.node, effects);
}

/** Takes an acknowledgement: the commit point, what it allows to send next, and who is to hear of it. */
export function onAppendReply(
  state: ProposerState,
  progress: AcceptorProgress,
  message: AppendReply,
  effects: ProposerEffect[],
): ProposerState {
  if (state.phase !== 'leading' || progress.stage !== 'streaming' || message.term < state.term) return state;
  if (message.writeLsn > progress.nextLsn || message.flushLsn > message.writeLsn)
    return disconnect(state, progress, 'it acknowledges WAL that was not sent to it', effects);
  const { node } = progress;
  const flushLsn = Math.max(progress.flushLsn ?? message.flushLsn, message.flushLsn) as Lsn;
  let next = withProgress(state, node, {
    writeLsn: message.writeLsn,
    flushLsn,
    remoteConsistentLsn: message.remoteConsistentLsn,
  });
  next = advanceCommit(next, effects);
  next = sendAvailable(next, node, effects);
  return broadcastCommit(next, effects);
}

/** More WAL from the compute: send it to everybody whose window has room. */
export function onWal(state: ProposerState, endLsn: Lsn, effects: ProposerEffect[]): ProposerState {
  assert(state.phase === 'leading', 'only a leader has WAL');
  assert(endLsn >= state.availableLsn, 'WAL only grows');
  let next = proposerWith(state, { availableLsn: endLsn });
  for (const { node } of state.acceptors) next = sendAvailable(next, node, effects);
  return next;
}

/** Asks every streaming acceptor for a reply. */
export function probeAll(state: ProposerState, effects: ProposerEffect[]): ProposerState {
  let next = state;
  for (const progress of state.acceptors)
    if (progress.stage === 'streaming') next = append(next, progress, progress.nextLsn, null, true, effects);
  return next;
}

/** Commit := the LSN a quorum has, as far as {@link countedLsn} lets an acceptor count. */
function advanceCommit(state: ProposerState, effects: ProposerEffect[]): ProposerState {
  const reached = quorumLsn(state.options.configuration, (node) =>
    countedLsn(progressOf(state, node)?.flushLsn ?? null, state.startLsn),
  );
  if (reached === null) return state;
  let next = state;
  if (reached > state.commitLsn) {
    next = proposerWith(next, { commitLsn: reached });
    effects.push({ type: 'commitAdvanced', commitLsn: reached });
  }
  if (!next.synced) {
    next = { ...next, synced: true };
    effects.push({ type: 'synced', startLsn: next.startLsn });
  }
  return next;
}

/** min(flush over all acceptors, commit); stays where it is while an acceptor has not been heard of in this term. */
function peerHorizon(state: ProposerState): Lsn {
  let horizon: number = state.commitLsn;
  for (const { flushLsn } of state.acceptors) horizon = Math.min(horizon, flushLsn ?? state.peerHorizonLsn);
  return Math.max(horizon, state.peerHorizonLsn) as Lsn;
}

function broadcastCommit(state: ProposerState, effects: ProposerEffect[]): ProposerState {
  let next = state;
  for (const progress of state.acceptors) {
    // An acceptor that lags behind what it was told already learns nothing from a higher commit LSN; its next WAL brings it. While WAL is under way to it, its acknowledgement asks this again, and under
    // load the commit LSN always rides on the next WAL.
    const idle = progress.writeLsn === progress.nextLsn;
    if (idle && progress.stage === 'streaming' && Math.min(state.commitLsn, progress.nextLsn) > progress.sentCommitLsn)
      next = append(next, progress, progress.nextLsn, null, false, effects);
  }
  return next.phase === 'leading' && next.synced && next.options.mode === 'sync' ? { ...next, phase: 'done' } : next;
}

function sendAvailable(state: ProposerState, node: NodeId, effects: ProposerEffect[]): ProposerState {
  const { appendBytesMax, inflightBytesMax, coalesceBytesMax } = state.options;
  let next = state;
  for (;;) {
    const progress = progressOf(next, node);
    if (progress?.stage !== 'streaming' || progress.nextLsn >= next.availableLsn) return next;
    const underWay = progress.nextLsn > progress.writeLsn;
    if (underWay && next.availableLsn - progress.nextLsn < coalesceBytesMax) return next; // its acknowledgement asks again
    const room = inflightBytesMax - (progress.nextLsn - progress.writeLsn);
    if (room <= 0) return next;
    const old = progress.nextLsn < next.startLsn;
    const limit = old ? next.startLsn : next.availableLsn;
    const endLsn = Math.min(limit, progress.nextLsn + Math.min(appendBytesMax, room)) as Lsn;
    next = append(next, progress, endLsn, old ? donorFor(next, node) : null, false, effects);
  }
}

/** Who has all WAL before this term's start: an acceptor that streams and has acknowledged it, else the donor of the election. */
function donorFor(state: ProposerState, node: NodeId): NodeId {
  const streaming = state.acceptors.find(
    (acceptor) =>
      acceptor.node !== node &&
      acceptor.stage === 'streaming' &&
      acceptor.flushLsn !== null &&
      acceptor.flushLsn >= state.startLsn,
  );
  const donor = streaming?.node ?? state.donor;
  assert(donor !== null, 'a leader has a donor');
  return donor;
}

function append(
  state: ProposerState,
  progress: AcceptorProgress,
  endLsn: Lsn,
  donor: NodeId | null,
  probe: boolean,
  effects: ProposerEffect[],
): ProposerState {
  const peerHorizonLsn = peerHorizon(state);
  const { term, commitLsn } = state;
  const { generation } = state.options.configuration;
  const request: AppendRequest = {
    type: 'appendRequest',
    generation,
    term,
    beginLsn: progress.nextLsn,
    endLsn,
    commitLsn,
    peerHorizonLsn,
    probe,
  };
  effects.push({ type: 'append', to: progress.node, request, donor });
  return withProgress(proposerWith(state, { peerHorizonLsn }), progress.node, {
    nextLsn: endLsn,
    sentCommitLsn: commitLsn,
  });
}
