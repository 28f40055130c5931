import { CorruptionError } from '@zenith/base';
import type { AcceptorMessage, PeerId, ProposerMessage } from '@zenith/consensus';
import {
  APPEND_HEADER_LENGTH,
  decodeProposerMessage,
  encodeAcceptorMessage,
  PostgresServerError,
  type CopyBothStream,
  type CopyDataHandler,
} from '@zenith/wire';
import type { StartupOptions } from '../session/startup-options.ts';
import type { ProposerPeer } from '../timeline/peer.ts';
import type { TimelineRegistry } from '../timeline/registry.ts';
import type { Timeline } from '../timeline/timeline.ts';

/** A proposer that leaves more than this unread is cut off. Unit: bytes. */
const UNREAD_BYTES_MAX = 4 * 1024 * 1024;

/** What a connection needs of the session it is on. */
export interface ProposerSession {
  startCopyBoth(
    handler: CopyDataHandler,
    ended: () => void,
  ): Pick<CopyBothStream, 'send' | 'unsentBytes' | 'pause' | 'resume'>;
  fail(error: Error): void;
}

/** One proposer on START_WAL_PUSH: decodes its messages, finds or makes the timeline at its greeting, and is a peer of the timeline's from then on. */
export class ProposerConnection implements ProposerPeer {
  readonly id: PeerId;
  readonly #session: ProposerSession;
  readonly #registry: TimelineRegistry;
  readonly #options: StartupOptions;
  readonly #stream: ReturnType<ProposerSession['startCopyBoth']>;
  #timeline: Timeline | undefined;
  #ended = false;

  /** Enters CopyBoth mode. @param id not used by another connection before */
  constructor(id: PeerId, session: ProposerSession, registry: TimelineRegistry, options: StartupOptions) {
    this.id = id;
    this.#session = session;
    this.#registry = registry;
    this.#options = options;
    this.#stream = session.startCopyBoth(
      (_bytes, view, offset, length) => this.#receive(view, offset, length),
      () => this.closed(),
    );
  }

  send(message: AcceptorMessage): void {
    if (this.#ended) return;
    this.#stream.send(encodeAcceptorMessage(message));
    if (this.#stream.unsentBytes > UNREAD_BYTES_MAX) this.reject('the proposer does not read what is sent to it');
  }

  reject(reason: string): void {
    this.#fail(new PostgresServerError('55000', reason));
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    if (!this.#ended) this.#stream.resume();
  }

  /** The connection is gone, or the proposer ended the copy. */
  closed(): void {
    this.#ended = true;
    this.#timeline?.detach(this.id);
    this.#timeline = undefined;
  }

  #fail(error: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#session.fail(error);
  }

  #receive(view: DataView, offset: number, length: number): void {
    if (this.#ended) return;
    let message: ProposerMessage;
    try {
      message = decodeProposerMessage(view, offset, length);
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      this.#fail(new PostgresServerError('08P01', error.message));
      return;
    }
    if (this.#timeline !== undefined) {
      if (message.type === 'appendRequest') this.#timeline.append(this.id, message, walOf(view, offset, length));
      else this.#timeline.receive(this.id, message);
      return;
    }
    if (message.type !== 'greeting') {
      this.#fail(new PostgresServerError('08P01', `a proposer's first message is its greeting, not ${message.type}`));
      return;
    }
    const { tenant, timeline } = message.identity;
    if (tenant !== this.#options.tenant || timeline !== this.#options.timeline) {
      this.#fail(
        new PostgresServerError('08P01', 'the greeting is for another timeline than the startup options named'),
      );
      return;
    }
    this.pause();
    this.#registry.findOrCreate(message.identity, message.configuration).then(
      (found) => {
        if (this.#ended) return;
        this.#timeline = found;
        found.attach(this, message); // which resumes the stream
      },
      (error: unknown) => this.#fail(new PostgresServerError('55000', (error as Error).message)),
    );
  }
}

function walOf(view: DataView, offset: number, length: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + offset + APPEND_HEADER_LENGTH, length - APPEND_HEADER_LENGTH);
}
