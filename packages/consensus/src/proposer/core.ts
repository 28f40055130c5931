import type { Lsn } from '@zenith/base';
import type { NodeId } from '../configuration.ts';
import type { AcceptorMessage } from '../messages.ts';
import type { ProposerEffect } from './effect.ts';
import { startProposer, type ProposerOptions, type ProposerState } from './state.ts';
import { isOver, stepProposer } from './step.ts';

/**
 * The proposer as the compute's shell uses it: {@link stepProposer} with the state kept. Each call returns the effects to carry out, in order. Synchronous, no I/O, no clock; the
 * package's README shows the shell's loop.
 */
export class ProposerCore {
  #state: ProposerState;

  constructor(options: ProposerOptions) {
    this.#state = startProposer(options);
  }

  /** The present state, plain data, for status and tests. */
  get state(): ProposerState {
    return this.#state;
  }

  /** True when it was fenced, stopped, or, in mode `sync`, is done: it answers nothing any more. */
  get over(): boolean {
    return isOver(this.#state);
  }

  /** A connection to safekeeper `node` has entered START_WAL_PUSH. */
  connected(node: NodeId): readonly ProposerEffect[] {
    return this.#step({ type: 'connected', node });
  }

  /** The connection to `node` is gone; call it for a connection closed on a `disconnect` effect too. */
  disconnected(node: NodeId): readonly ProposerEffect[] {
    return this.#step({ type: 'disconnected', node });
  }

  /** A message came on the present connection of `node`. Messages of earlier connections must not be handed in. */
  receive(node: NodeId, message: AcceptorMessage): readonly ProposerEffect[] {
    return this.#step({ type: 'message', node, message });
  }

  /** The delay asked for by `scheduleElection` is over. */
  electionDue(): readonly ProposerEffect[] {
    return this.#step({ type: 'electionDue' });
  }

  /** The compute's WAL now ends at `endLsn`; only while leading. Bytes stay with the shell, until `append` effects have named and sent them. */
  wal(endLsn: Lsn): readonly ProposerEffect[] {
    return this.#step({ type: 'wal', endLsn });
  }

  /** About once a second: probes the acceptors. */
  tick(): readonly ProposerEffect[] {
    return this.#step({ type: 'tick' });
  }

  #step(input: Parameters<typeof stepProposer>[1]): readonly ProposerEffect[] {
    const { state, effects } = stepProposer(this.#state, input);
    this.#state = state;
    return effects;
  }
}
