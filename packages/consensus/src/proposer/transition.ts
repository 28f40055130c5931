import type { Configuration, NodeId } from '../configuration.ts';
import type { ProposerEffect, StopCode } from './effect.ts';
import { progressWith, proposerWith, unmetAcceptors, type AcceptorProgress, type ProposerState } from './state.ts';

/** `state` with some of what it knows of `node` replaced. */
export function withProgress(state: ProposerState, node: NodeId, change: Partial<AcceptorProgress>): ProposerState {
  return proposerWith(state, {
    acceptors: state.acceptors.map((acceptor) => (acceptor.node === node ? progressWith(acceptor, change) : acceptor)),
  });
}

/**
 * Goes on in a newer configuration. A leader keeps its term: it was elected, and no other proposer can be in that term. What it counted, it counts anew: an acceptor's acknowledgement counts in the configuration it was given in only, so that
 * no old one completes a quorum of the new members. Votes do not carry over at all.
 */
export function reconfigure(
  state: ProposerState,
  configuration: Configuration,
  effects: ProposerEffect[],
): ProposerState {
  for (const { node, stage } of state.acceptors)
    if (stage !== 'offline') effects.push({ type: 'disconnect', node, reason: 'the members change' });
  effects.push({ type: 'reconfigured', configuration });
  return {
    ...state,
    options: { ...state.options, configuration },
    phase: state.phase === 'leading' ? 'leading' : 'greeting',
    acceptors: unmetAcceptors(configuration),
  };
}

/** Ends the proposer. */
export function stop(state: ProposerState, effects: ProposerEffect[], code: StopCode, reason: string): ProposerState {
  effects.push({ type: 'stopped', code, reason });
  return { ...state, phase: 'stopped' };
}

/** Drops the connection to an acceptor that says what it must not; it may come back. */
export function disconnect(
  state: ProposerState,
  progress: AcceptorProgress,
  reason: string,
  effects: ProposerEffect[],
): ProposerState {
  effects.push({ type: 'disconnect', node: progress.node, reason });
  return withProgress(state, progress.node, { stage: 'offline' });
}
