import type { AcceptorMessage, PeerId } from '@zenith/consensus';

/** A proposer's connection as a timeline sees it. */
export interface ProposerPeer {
  readonly id: PeerId;
  /** Sends a message; never blocks. A peer that does not read is cut off by its connection. */
  send(message: AcceptorMessage): void;
  /** Ends the connection with this reason. */
  reject(reason: string): void;
  /** From now on, until `resume`, hands no message to the timeline. */
  pause(): void;
  resume(): void;
}
