import { formatLsn, type Lsn } from '@zenith/base';
import { hasQuorum, type NodeId } from '../configuration.ts';
import type { GreetingReply, VoteReply } from '../messages.ts';
import { mostAdvanced, walPosition } from '../position.ts';
import { historiesAgree, type TermHistory } from '../term-history.ts';
import type { ProposerEffect } from './effect.ts';
import { startStreaming } from './replication.ts';
import { progressOf, type AcceptorProgress, type ProposerState, type Vote } from './state.ts';
import { disconnect, reconfigure, stop, withProgress } from './transition.ts';

/** Who greets must be in this proposer's configuration; a newer one is this proposer's from then on. */
export function onGreetingReply(
  state: ProposerState,
  progress: AcceptorProgress,
  message: GreetingReply,
  effects: ProposerEffect[],
): ProposerState {
  if (progress.stage !== 'connected') return state;
  const { configuration } = state.options;
  if (message.node !== progress.node)
    return disconnect(state, progress, `the safekeeper there is ${message.node}, not ${progress.node}`, effects);
  if (message.configuration.generation > configuration.generation)
    return reconfigure(state, message.configuration, effects);
  if (message.configuration.generation < configuration.generation)
    return disconnect(state, progress, 'the safekeeper is not in this configuration', effects);
  const next = withProgress(state, progress.node, { stage: 'greeted' });
  if (state.phase === 'greeting')
    return hasQuorum(configuration, (node) => progressOf(next, node)?.stage === 'greeted')
      ? campaign(next, effects)
      : next;
  const asks = (state.phase === 'voting' && message.term <= state.term) || state.phase === 'leading';
  return asks ? requestVote(next, progress.node, effects) : next;
}

/** Begins an election in the next term after all those seen, with everybody who has greeted. */
export function campaign(state: ProposerState, effects: ProposerEffect[]): ProposerState {
  const term = Math.max(state.term, state.termSeen) + 1;
  let next: ProposerState = {
    ...state,
    phase: 'voting',
    term,
    elections: state.elections + 1,
    acceptors: state.acceptors.map((acceptor) => ({ ...acceptor, vote: null })),
  };
  for (const { node, stage } of next.acceptors)
    if (stage !== 'offline' && stage !== 'connected') next = requestVote(next, node, effects);
  return next;
}

function requestVote(state: ProposerState, node: NodeId, effects: ProposerEffect[]): ProposerState {
  effects.push({
    type: 'send',
    to: node,
    message: { type: 'voteRequest', generation: state.options.configuration.generation, term: state.term },
  });
  return withProgress(state, node, { stage: 'voting' });
}

/** Counts a vote, or takes up an acceptor that comes to an elected proposer. Replies to earlier elections are ignored. */
export function onVoteReply(
  state: ProposerState,
  progress: AcceptorProgress,
  message: VoteReply,
  effects: ProposerEffect[],
): ProposerState {
  if (progress.stage !== 'voting' || message.term < state.term) return state;
  const { flushLsn, commitLsn, peerHorizonLsn, history } = message;
  const vote: Vote = { flushLsn, commitLsn, peerHorizonLsn, history };
  if (state.phase === 'leading') return startStreaming(state, progress, vote, effects);
  if (state.phase !== 'voting') return state;
  if (!message.granted || message.term !== state.term) return backOff(state, effects);
  const next = withProgress(state, progress.node, { stage: 'voted', vote });
  return hasQuorum(state.options.configuration, (node) => progressOf(next, node)?.vote !== null)
    ? lead(next, effects)
    : next;
}

/** Gives this election up; the shell says when to begin the next one. */
export function backOff(state: ProposerState, effects: ProposerEffect[]): ProposerState {
  effects.push({ type: 'scheduleElection', attempt: state.elections });
  return { ...state, phase: 'backoff' };
}

interface Voter {
  readonly node: NodeId;
  readonly vote: Vote;
}

function lead(state: ProposerState, effects: ProposerEffect[]): ProposerState {
  const voters = state.acceptors.flatMap(({ node, vote }): Voter[] => (vote === null ? [] : [{ node, vote }]));
  const donor = mostAdvanced(voters, ({ vote }) => walPosition(vote.history, vote.flushLsn));
  const startLsn = donor.vote.flushLsn;
  const history: TermHistory = [...donor.vote.history, { term: state.term, startLsn }];
  for (const { node, vote } of voters) {
    if (!historiesAgree(history, vote.history))
      return stop(
        state,
        effects,
        'inconsistent-quorum',
        `the histories of safekeepers ${donor.node} and ${node} contradict each other`,
      );
    if (vote.commitLsn > startLsn) {
      const reason = `safekeeper ${node} has WAL committed up to ${formatLsn(vote.commitLsn)}, the most advanced voter's ends at ${formatLsn(startLsn)}`;
      return stop(state, effects, 'inconsistent-quorum', reason);
    }
  }
  const { expectedStartLsn } = state.options;
  if (expectedStartLsn !== null && expectedStartLsn !== startLsn) {
    return stop(
      state,
      effects,
      'start-mismatch',
      `the WAL ends at ${formatLsn(startLsn)}, the data directory begins at ${formatLsn(expectedStartLsn)}`,
    );
  }
  const commitLsn = Math.max(...voters.map(({ vote }) => vote.commitLsn)) as Lsn;
  const peerHorizonLsn = Math.max(...voters.map(({ vote }) => vote.peerHorizonLsn)) as Lsn;
  let next: ProposerState = {
    ...state,
    phase: 'leading',
    history,
    donor: donor.node,
    startLsn,
    availableLsn: startLsn,
    commitLsn,
    peerHorizonLsn,
  };
  effects.push({ type: 'elected', term: state.term, startLsn, donor: donor.node, history });
  for (const voter of voters) {
    const progress = progressOf(next, voter.node);
    if (progress?.stage === 'voted') next = startStreaming(next, progress, voter.vote, effects);
  }
  return next;
}
