import { assert, formatLsn, INVALID_LSN, unreachable, type Lsn } from '@zenith/base';
import { isMember, isConfiguration, type Configuration } from '../configuration.ts';
import {
  identityDifference,
  type AppendReply,
  type AppendRequest,
  type Elected,
  type Greeting,
  type VoteRequest,
} from '../messages.ts';
import { walPosition } from '../position.ts';
import {
  cutHistory,
  highestCommonPoint,
  historiesAgree,
  isTermHistory,
  lastEntry,
  type Term,
} from '../term-history.ts';
import { advanceCommit, larger, makeStable, smaller } from './advance.ts';
import { onCopied, onFollow } from './copying.ts';
import type { AcceptorEffect, AcceptorInput, AcceptorStep, RejectCode } from './effect.ts';
import {
  acceptorWith,
  checkAcceptor,
  controlWith,
  type AcceptorControl,
  type AcceptorState,
  type PeerId,
} from './state.ts';

/** The acceptor's rules: from a state and an input, the next state and the effects. Pure. @throws AssertionError when an invariant breaks */
export function stepAcceptor(state: AcceptorState, input: AcceptorInput): AcceptorStep {
  const step = dispatch(state, input);
  if (step.state !== state) checkAcceptor(step.state);
  return step;
}

function dispatch(state: AcceptorState, input: AcceptorInput): AcceptorStep {
  switch (input.type) {
    case 'message':
      switch (input.message.type) {
        case 'greeting':
          return onGreeting(state, input.from, input.message);
        case 'voteRequest':
          return onVoteRequest(state, input.from, input.message);
        case 'elected':
          return onElected(state, input.from, input.message);
        default:
          return unreachable(input.message);
      }
    case 'append':
      return onAppend(state, input.from, input.message, input.recordLsn);
    case 'follow':
      return onFollow(state, input.source);
    case 'copied':
      return onCopied(state, input.source, input.piece);
    case 'flushed':
      return onFlushed(state, input.syncedLsn, input.flushLsn);
    case 'progress': {
      const control = controlWith(state.control, {
        remoteConsistentLsn: larger(state.control.remoteConsistentLsn, input.remoteConsistentLsn),
        backupLsn: larger(state.control.backupLsn, input.backupLsn),
      });
      return { state: acceptorWith(state, { control }), effects: [] };
    }
    case 'trim':
      return onTrim(state, input.localStartLsn);
    case 'configure':
      return onConfigure(state, input.configuration, input.term);
    case 'disconnected':
      return { state: state.leader === input.peer ? { ...state, leader: null } : state, effects: [] };
    default:
      return unreachable(input);
  }
}

function reject(state: AcceptorState, to: PeerId, code: RejectCode, reason: string): AcceptorStep {
  return { state, effects: [{ type: 'reject', to, code, reason }] };
}

function onGreeting(state: AcceptorState, from: PeerId, message: Greeting): AcceptorStep {
  const { control } = state;
  const field = identityDifference(control.identity, message.identity);
  if (field !== null) {
    const [mine, theirs] = [control.identity[field], message.identity[field]];
    return reject(state, from, 'identity-mismatch', `this timeline has ${field} ${mine}, the proposer ${theirs}`);
  }
  const adopt =
    isConfiguration(message.configuration) &&
    message.configuration.generation > control.configuration.generation &&
    isMember(message.configuration, state.node);
  const next = adopt ? { ...control, configuration: message.configuration } : control;
  const reply: AcceptorEffect = {
    type: 'send',
    to: from,
    message: { type: 'greetingReply', node: state.node, configuration: next.configuration, term: next.term },
  };
  // A leader elected in the old configuration must not go on: it has to win its quorum again in the new one.
  return adopt
    ? { state: { ...state, control: next, leader: null }, effects: [{ type: 'persistControl', control: next }, reply] }
    : { state, effects: [reply] };
}

/** Forgets the beginning of the WAL. What is let go must not be missed by anybody; that it is durable elsewhere the shell has seen to, in what is durable here. */
function onTrim(state: AcceptorState, localStartLsn: Lsn): AcceptorStep {
  const { control } = state;
  if (localStartLsn <= control.localStartLsn) return { state, effects: [] };
  assert(
    localStartLsn <= Math.min(control.backupLsn, control.remoteConsistentLsn, control.commitLsn),
    'WAL is let go only where it is archived, ingested and committed',
  );
  const next = { ...control, localStartLsn };
  return { state: { ...state, control: next }, effects: [{ type: 'persistControl', control: next }] };
}

/** A configuration and a term from whoever changes the membership, who hears where this acceptor is; like a vote, from stable storage only. */
function onConfigure(state: AcceptorState, configuration: Configuration, term: Term): AcceptorStep {
  const effects: AcceptorEffect[] = [];
  let next = makeStable(state, effects);
  const adopt =
    isConfiguration(configuration) &&
    configuration.generation > next.control.configuration.generation &&
    isMember(configuration, next.node);
  if (adopt) {
    // As at a greeting: the leader has to come back in the new configuration.
    next = { ...next, control: { ...next.control, configuration }, leader: null };
    effects.push({ type: 'persistControl', control: next.control });
  }
  if (term > next.control.term) next = adoptTerm(next, null, term, effects);
  const { control, node, flushLsn } = next;
  effects.push({
    type: 'configured',
    report: {
      node,
      configuration: control.configuration,
      term: control.term,
      position: walPosition(control.history, flushLsn),
    },
  });
  return { state: next, effects };
}

function onVoteRequest(state: AcceptorState, from: PeerId, message: VoteRequest): AcceptorStep {
  const wrongGeneration = generationMismatch(state, from, message.generation);
  if (wrongGeneration !== null) return wrongGeneration;
  const effects: AcceptorEffect[] = [];
  let next = makeStable(state, effects);
  const granted = next.control.term < message.term;
  if (granted) next = adoptTerm(next, from, message.term, effects);
  // Whoever hears where the WAL ends here works from that: no copy goes on behind it.
  else if (next.leader === null) next = acceptorWith(next, { leaderCommitLsn: INVALID_LSN });
  const { control, flushLsn } = next;
  const history = cutHistory(control.history, flushLsn);
  const { term, commitLsn, peerHorizonLsn } = control;
  const reply = {
    type: 'voteReply',
    generation: control.configuration.generation,
    term,
    granted,
    flushLsn,
    commitLsn,
    peerHorizonLsn,
    history,
  } as const;
  effects.push({ type: 'send', to: from, message: reply });
  return { state: next, effects };
}

function onElected(state: AcceptorState, from: PeerId, message: Elected): AcceptorStep {
  const wrongGeneration = generationMismatch(state, from, message.generation);
  if (wrongGeneration !== null) return wrongGeneration;
  const effects: AcceptorEffect[] = [];
  if (message.term < state.control.term)
    return { state, effects: [{ type: 'send', to: from, message: appendReply(state) }] };
  if (
    !isTermHistory(message.history) ||
    lastEntry(message.history).term !== message.term ||
    !historiesAgree(message.history, state.control.history)
  ) {
    return reject(
      state,
      from,
      'conflicting-history',
      `the history of term ${message.term} contradicts the one known here`,
    );
  }
  let next = message.term > state.control.term ? adoptTerm(state, from, message.term, effects) : state;
  const refuse = (code: RejectCode, reason: string): AcceptorStep => ({
    state: next,
    effects: [...effects, { type: 'reject', to: from, code, reason }],
  });

  const startLsn = highestCommonPoint(message.history, cutHistory(next.control.history, next.flushLsn), next.flushLsn);
  if (startLsn !== message.startLsn)
    return refuse(
      'wrong-start',
      `the common WAL ends at ${formatLsn(startLsn)}, the proposer says ${formatLsn(message.startLsn)}`,
    );
  if (startLsn < next.control.commitLsn) {
    return refuse(
      'committed-wal',
      `truncation to ${formatLsn(startLsn)} would drop WAL committed up to ${formatLsn(next.control.commitLsn)}`,
    );
  }
  // First the WAL is cut, then the history is replaced. The other way round a crash in between would leave old WAL under the new leader's name.
  if (startLsn < next.writeLsn) {
    effects.push(
      { type: 'persistControl', control: { ...next.control, pendingTruncationLsn: startLsn } },
      { type: 'truncateWal', lsn: startLsn },
    );
    next = { ...next, writeLsn: startLsn, recordLsn: startLsn, syncedLsn: startLsn, flushLsn: startLsn };
  }
  const control: AcceptorControl = { ...next.control, history: message.history };
  effects.push({ type: 'persistControl', control });
  return { state: { ...next, control, leader: from, leaderCommitLsn: INVALID_LSN }, effects };
}

/** What an acceptor makes of an append: taken, answered with the higher term only, or refused. */
export type AppendVerdict = 'accept' | 'stale' | { readonly code: RejectCode; readonly reason: string };

/** Judges an append before its bytes are looked at. {@link stepAcceptor} judges the same way. */
export function appendVerdict(state: AcceptorState, from: PeerId, message: AppendRequest): AppendVerdict {
  const { control } = state;
  if (control.term > message.term) return 'stale';
  if (control.configuration.generation !== message.generation) {
    return {
      code: 'generation-mismatch',
      reason: `this safekeeper is in configuration ${control.configuration.generation}, the proposer in ${message.generation}`,
    };
  }
  // A vote raises the term too, so an equal term is not enough: the history must be this leader's, and taken from this connection.
  if (control.term < message.term || lastEntry(control.history).term !== message.term || state.leader !== from) {
    return { code: 'not-elected', reason: `WAL of term ${message.term} without its Elected on this connection` };
  }
  if (message.beginLsn !== state.writeLsn || message.endLsn < message.beginLsn) {
    return {
      code: 'not-contiguous',
      reason: `WAL at ${formatLsn(message.beginLsn)} while ${formatLsn(state.writeLsn)} is next`,
    };
  }
  return 'accept';
}

function onAppend(state: AcceptorState, from: PeerId, message: AppendRequest, recordLsn: Lsn): AcceptorStep {
  const verdict = appendVerdict(state, from, message);
  if (verdict === 'stale') return { state, effects: [{ type: 'send', to: from, message: appendReply(state) }] };
  if (verdict !== 'accept') return reject(state, from, verdict.code, verdict.reason);
  assert(state.recordLsn <= recordLsn && recordLsn <= message.endLsn, 'records end within the WAL written');

  const effects: AcceptorEffect[] = [];
  const control = controlWith(state.control, {
    peerHorizonLsn: larger(state.control.peerHorizonLsn, smaller(message.peerHorizonLsn, state.flushLsn)),
  });
  let next = acceptorWith(state, { control, leaderCommitLsn: larger(state.leaderCommitLsn, message.commitLsn) });
  if (message.endLsn > message.beginLsn) {
    effects.push({ type: 'writeWal', beginLsn: message.beginLsn, endLsn: message.endLsn }, { type: 'requestFlush' });
    next = acceptorWith(next, { writeLsn: message.endLsn, recordLsn });
  }
  next = advanceCommit(next, effects);
  // With WAL still on its way to the disk, the reply that follows the flush answers the probe too.
  if (message.probe && next.syncedLsn === next.writeLsn)
    effects.push({ type: 'send', to: from, message: appendReply(next) });
  return { state: next, effects };
}

function onFlushed(state: AcceptorState, syncedLsn: Lsn, flushLsn: Lsn): AcceptorStep {
  assert(syncedLsn <= state.writeLsn && flushLsn <= state.recordLsn, 'nothing is durable before it is written');
  const effects: AcceptorEffect[] = [];
  const next = advanceCommit(
    acceptorWith(state, { syncedLsn: larger(state.syncedLsn, syncedLsn), flushLsn: larger(state.flushLsn, flushLsn) }),
    effects,
  );
  if (next.leader !== null) effects.push({ type: 'send', to: next.leader, message: appendReply(next) });
  return { state: next, effects };
}

function generationMismatch(state: AcceptorState, from: PeerId, generation: number): AcceptorStep | null {
  const mine = state.control.configuration.generation;
  return mine === generation
    ? null
    : reject(
        state,
        from,
        'generation-mismatch',
        `this safekeeper is in configuration ${mine}, the proposer in ${generation}`,
      );
}

/** Persists a higher term. The leader it ends hears of it at once, so that an idle compute learns that it was fenced. */
function adoptTerm(state: AcceptorState, from: PeerId | null, term: number, effects: AcceptorEffect[]): AcceptorState {
  const control = { ...state.control, term };
  const next: AcceptorState = { ...state, control, leader: null, leaderCommitLsn: INVALID_LSN };
  effects.push({ type: 'persistControl', control });
  if (state.leader !== null && state.leader !== from)
    effects.push({ type: 'send', to: state.leader, message: appendReply(next) });
  return next;
}

function appendReply(state: AcceptorState): AppendReply {
  const { term, commitLsn, remoteConsistentLsn, configuration } = state.control;
  return {
    type: 'appendReply',
    generation: configuration.generation,
    term,
    writeLsn: state.syncedLsn,
    flushLsn: state.flushLsn,
    commitLsn,
    remoteConsistentLsn,
  };
}
