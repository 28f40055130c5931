import type { Configuration, NodeId } from '../configuration.ts';
import type { ProposerEffect, StopCode } from './effect.ts';
import type { AcceptorProgress, ProposerState } from './state.ts';

/** `state` with some of what it knows of `node` replaced. */
export function withProgress(state: ProposerState, node: NodeId, change: Partial<AcceptorProgress>): ProposerState {
  return {
    ...state,
    acceptors: state.acceptors.map((acceptor) => (acceptor.node === node ? { ...acceptor, ...change } : acceptor)),
  };
}

/** Ends the proposer. */
export function stop(
  state: ProposerState,
  effects: ProposerEffect[],
  code: StopCode,
  reason: string,
  configuration: Configuration | null = null,
): ProposerState {
  effects.push({ type: 'stopped', code, reason, configuration });
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
