import { assert, unreachable } from '@zenith/base';
import type { AcceptorMessage } from '../messages.ts';
import { backOff, campaign, onGreetingReply, onVoteReply } from './election.ts';
import type { ProposerEffect, ProposerInput } from './effect.ts';
import { onAppendReply, onWal, probeAll } from './replication.ts';
import { progressOf, proposerWith, type AcceptorProgress, type ProposerState } from './state.ts';
import { disconnect, withProgress } from './transition.ts';

/** A new state and what to do, in order. */
export interface ProposerStep {
  readonly state: ProposerState;
  readonly effects: readonly ProposerEffect[];
}

/** The proposer's rules: from a state and an input, the next state and the effects. Pure. A proposer that is over answers nothing. */
export function stepProposer(state: ProposerState, input: ProposerInput): ProposerStep {
  const effects: ProposerEffect[] = [];
  const next = isOver(state) ? state : dispatch(state, input, effects);
  assert(next.commitLsn >= state.commitLsn, 'the commit point never decreases');
  assert(next.commitLsn <= next.availableLsn, 'nothing is committed that was not sent');
  return { state: next, effects };
}

/** True when the proposer has ended: fenced, stopped, or, in mode `sync`, done. */
export function isOver(state: ProposerState): boolean {
  return state.phase === 'fenced' || state.phase === 'stopped' || state.phase === 'done';
}

function dispatch(state: ProposerState, input: ProposerInput, effects: ProposerEffect[]): ProposerState {
  switch (input.type) {
    case 'connected': {
      const { identity, configuration } = state.options;
      if (progressOf(state, input.node) === undefined) {
        effects.push({ type: 'disconnect', node: input.node, reason: 'it is no member any more' });
        return state;
      }
      effects.push({ type: 'send', to: input.node, message: { type: 'greeting', identity, configuration } });
      return withProgress(state, input.node, { stage: 'connected' });
    }
    case 'disconnected':
      return withProgress(state, input.node, { stage: 'offline' });
    case 'message': {
      // One that left with a configuration may still be heard.
      const progress = progressOf(state, input.node);
      return progress === undefined ? state : onMessage(state, progress, input.message, effects);
    }
    case 'electionDue':
      return state.phase === 'backoff' ? campaign(state, effects) : state;
    case 'wal':
      return onWal(state, input.endLsn, effects);
    case 'tick':
      return state.phase === 'leading' ? probeAll(state, effects) : state;
    default:
      return unreachable(input);
  }
}

function onMessage(
  state: ProposerState,
  progress: AcceptorProgress,
  message: AcceptorMessage,
  effects: ProposerEffect[],
): ProposerState {
  if (progress.stage === 'offline') return state;
  const { generation } = state.options.configuration;
  if (message.type !== 'greetingReply' && message.generation !== generation)
    return disconnect(state, progress, `it changed to configuration ${message.generation}`, effects);
  if (message.term > state.term && state.phase === 'leading') {
    effects.push({ type: 'fenced', term: message.term });
    return { ...state, phase: 'fenced', termSeen: message.term };
  }
  const seen = message.term > state.termSeen ? proposerWith(state, { termSeen: message.term }) : state;
  const next = takeMessage(seen, progress, message, effects);
  return next.phase === 'voting' && next.termSeen > next.term ? backOff(next, effects) : next;
}

function takeMessage(
  state: ProposerState,
  progress: AcceptorProgress,
  message: AcceptorMessage,
  effects: ProposerEffect[],
): ProposerState {
  switch (message.type) {
    case 'greetingReply':
      return onGreetingReply(state, progress, message, effects);
    case 'voteReply':
      return onVoteReply(state, progress, message, effects);
    case 'appendReply':
      return onAppendReply(state, progress, message, effects);
    default:
      return unreachable(message);
  }
}
