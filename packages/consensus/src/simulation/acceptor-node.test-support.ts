import type { Lsn } from '@zenith/base';
import {
  startAcceptor,
  createControl,
  type AcceptorControl,
  type AcceptorState,
  type PeerId,
} from '../acceptor/state.ts';
import { stepAcceptor, appendVerdict } from '../acceptor/step.ts';
import type { AcceptorEffect, AcceptorInput } from '../acceptor/effect.ts';
import type { Configuration, NodeId } from '../configuration.ts';
import type { AcceptorMessage, AppendRequest, Elected, Greeting, TimelineIdentity, VoteRequest } from '../messages.ts';
import type { Random } from './random.test-support.ts';

/** Length of every record in the simulation: an end within one is a torn record. */
export const RECORD_LENGTH = 4;

/** Effects a broken shell leaves out; for tests of the checker. */
export type SkippedEffect = 'persistControl' | 'truncateWal' | 'syncWal';

/** What an acceptor tells its surroundings. */
export interface AcceptorHooks {
  send(to: PeerId, message: AcceptorMessage): void;
  reject(to: PeerId, code: string): void;
  committed(node: AcceptorNode, commitLsn: Lsn): void;
}

/**
 * One acceptor on a simulated disk. Its WAL is an array, one element for each byte: the term that wrote it. `disk` is what a crash leaves.
 */
export class AcceptorNode {
  readonly node: NodeId;
  readonly #hooks: AcceptorHooks;
  readonly #skip: SkippedEffect | undefined;
  state: AcceptorState;
  wal: number[];
  flushRequested = false;
  readonly #disk: { control: AcceptorControl; syncedLength: number };

  constructor(
    node: NodeId,
    identity: TimelineIdentity,
    configuration: Configuration,
    hooks: AcceptorHooks,
    skip?: SkippedEffect,
  ) {
    this.node = node;
    this.#hooks = hooks;
    this.#skip = skip;
    const control = createControl(node, identity, configuration);
    this.wal = Array.from({ length: identity.timelineStartLsn }, () => 0);
    this.#disk = { control, syncedLength: this.wal.length };
    this.state = startAcceptor(node, control, identity.timelineStartLsn);
  }

  receive(
    from: PeerId,
    message: Greeting | VoteRequest | Elected | AppendRequest,
    wal: readonly number[],
    random: Random | null,
  ): void {
    if (message.type !== 'appendRequest') this.#step({ type: 'message', from, message }, wal, random);
    else {
      const accepted = appendVerdict(this.state, from, message) === 'accept' && message.endLsn > message.beginLsn;
      const recordLsn = accepted ? alignDown(message.endLsn) : this.state.recordLsn;
      this.#step(
        { type: 'append', from, message, recordLsn: Math.max(recordLsn, this.state.recordLsn) as Lsn },
        wal,
        random,
      );
    }
  }

  disconnected(peer: PeerId): void {
    this.#step({ type: 'disconnected', peer }, [], null);
  }

  /** The sync that was asked for is done. */
  flush(): void {
    this.flushRequested = false;
    this.#disk.syncedLength = this.wal.length;
    this.#step({ type: 'flushed', syncedLsn: this.wal.length as Lsn, flushLsn: alignDown(this.wal.length) }, [], null);
  }

  /** Power fails and comes back: any part of what was not synced may be lost. */
  crash(random: Random): void {
    const { control, syncedLength } = this.#disk;
    const kept = syncedLength + random.below(Math.max(0, this.wal.length - syncedLength) + 1);
    const end = control.pendingTruncationLsn ?? kept;
    this.wal.length = alignDown(Math.min(kept, end));
    this.#disk.syncedLength = this.wal.length;
    this.flushRequested = false;
    this.#disk.control = { ...control, pendingTruncationLsn: null };
    this.state = startAcceptor(this.node, this.#disk.control, this.wal.length as Lsn);
  }

  #step(input: AcceptorInput, wal: readonly number[], random: Random | null): void {
    const { state, effects } = stepAcceptor(this.state, input);
    const crashAt = random !== null && random.chance(0.02) ? random.below(effects.length + 1) : -1;
    for (const [index, effect] of effects.entries()) {
      if (index === crashAt && random !== null) {
        this.crash(random);
        return;
      }
      this.#apply(effect, wal);
    }
    this.state = state;
    if (effects.some(({ type }) => type === 'commitAdvanced')) this.#hooks.committed(this, state.control.commitLsn);
  }

  #apply(effect: AcceptorEffect, wal: readonly number[]): void {
    if (effect.type === this.#skip) return;
    switch (effect.type) {
      case 'persistControl':
        this.#disk.control = effect.control;
        return;
      case 'truncateWal':
        this.wal.length = effect.lsn;
        this.#disk.syncedLength = Math.min(this.#disk.syncedLength, effect.lsn);
        this.flushRequested = false;
        return;
      case 'writeWal':
        if (this.wal.length > effect.beginLsn) this.wal.length = effect.beginLsn; // only after a skipped truncation
        this.wal.push(...wal);
        return;
      case 'syncWal':
        this.#disk.syncedLength = this.wal.length;
        return;
      case 'requestFlush':
        this.flushRequested = true;
        return;
      case 'send':
        this.#hooks.send(effect.to, effect.message);
        return;
      case 'reject':
        this.#hooks.reject(effect.to, effect.code);
        return;
      case 'commitAdvanced':
      case 'configured':
      case 'followed':
        return;
      default:
        effect satisfies never;
    }
  }
}

function alignDown(lsn: number): Lsn {
  return (lsn - (lsn % RECORD_LENGTH)) as Lsn;
}
