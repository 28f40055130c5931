import type { AcceptorMessage, AppendReply } from '@zenith/consensus';
import type { ProposerPeer } from '../timeline/peer.ts';

/** A proposer's connection that writes down what it gets. */
export class TestPeer implements ProposerPeer {
  readonly id: number;
  readonly received: AcceptorMessage[] = [];
  rejected: string | undefined;
  paused = true;
  #wake: () => void = () => undefined;

  constructor(id: number) {
    this.id = id;
  }

  send(message: AcceptorMessage): void {
    this.received.push(message);
    this.#wake();
  }

  reject(reason: string): void {
    this.rejected ??= reason;
    this.#wake();
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    this.#wake();
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  get lastReply(): AppendReply | undefined {
    const reply = this.received.at(-1);
    return reply?.type === 'appendReply' ? reply : undefined;
  }
}
