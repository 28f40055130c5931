import type { Lsn, TenantId, TimelineId } from '@zenith/base';
import type { AcceptorControl } from '@zenith/consensus';
import type { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import type { CommitPoint, Peer, WalSource } from '../../packages/safekeeper/src/peer/peer.ts';
import type { Network } from './network.ts';
import type { SafekeeperNode } from './safekeeper-node.ts';

/** A question that is not answered is given up after so long. Unit: simulated milliseconds. */
const TIMEOUT_MS = 500;

/** Most WAL in one piece. Unit: bytes. */
const PIECE_LENGTH_MAX = 4_000;

/** A safekeeper as another one sees it, over the simulated network. Whoever is down, cut off or started anew meanwhile does not answer. */
export class SimulatedPeer implements Peer {
  readonly #from: number;
  readonly #isAlive: () => boolean;
  readonly #node: SafekeeperNode;
  readonly #network: Network;
  readonly #random: Random;

  /** @param from who asks @param isAlive false once the process that asks is gone: it hears nothing any more */
  constructor(from: number, isAlive: () => boolean, node: SafekeeperNode, network: Network, random: Random) {
    this.#from = from;
    this.#isAlive = isAlive;
    this.#node = node;
    this.#network = network;
    this.#random = random;
  }

  get id(): number {
    return this.#node.id;
  }

  commitPoints(_tenant: TenantId): Promise<readonly CommitPoint[]> {
    return this.#ask(({ timeline }) =>
      timeline === undefined ? [] : [{ timeline: timeline.identity.timeline, commitLsn: timeline.commitLsn }],
    );
  }

  control(_tenant: TenantId, _timeline: TimelineId): Promise<AcceptorControl | undefined> {
    return this.#ask(({ timeline }) => timeline?.state.control);
  }

  async openWal(_tenant: TenantId, _timeline: TimelineId, from: Lsn): Promise<WalSource> {
    await this.#ask(() => undefined);
    let at = from;
    let closed = false;
    return {
      next: async () => {
        const bytes = await this.#ask((node) => {
          const end = Math.min(node.timeline?.commitLsn ?? at, at + 1 + this.#random.below(PIECE_LENGTH_MAX)) as Lsn;
          return end > at ? node.read(at, end) : undefined;
        });
        if (bytes === undefined || closed) throw new Error('there is no more WAL there');
        at = (at + bytes.length) as Lsn;
        return bytes;
      },
      close: () => {
        closed = true;
      },
    };
  }

  /** What the node answers, there and back. */
  #ask<T>(question: (node: SafekeeperNode) => T): Promise<T> {
    const { events } = this.#network;
    const travel = (from: number, to: number, arrive: () => void, lost: () => void): void => {
      if (this.#network.isCut(from, to)) events.after(TIMEOUT_MS, lost);
      else events.after(this.#network.latencyMs(), arrive);
    };
    return new Promise((resolve, reject) => {
      const lost = (): void => {
        if (this.#isAlive()) reject(new Error('no answer'));
      };
      const arrive = (): void => {
        if (!this.#node.isUp) return events.after(TIMEOUT_MS, lost);
        const answer = question(this.#node);
        const heard = (): void => {
          if (this.#isAlive()) resolve(answer);
        };
        return travel(this.#node.id, this.#from, heard, lost);
      };
      travel(this.#from, this.#node.id, arrive, lost);
    });
  }
}
