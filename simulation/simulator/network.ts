import type { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import type { Counters } from './counters.ts';
import type { Events } from './events.ts';

/** A stalled connection is tried again so often. Unit: simulated milliseconds. */
const RETRANSMIT_MS = 200;

/** One direction of a connection. */
interface Direction {
  lastArrivalMs: number;
  /** Sent and not arrived. */
  underWay: number;
}

/** One message, as it travels. */
export interface Parcel {
  readonly bytes: Uint8Array;
  /** What an observer knows of it; the receiver does not look. */
  readonly note: unknown;
}

/** One end of a connection. */
export interface Endpoint {
  receive(parcel: Parcel): void;
  closed(): void;
}

/** Who is at the ends: computes have negative numbers, safekeepers their own. */
export type Host = number;

/** A connection between two hosts: ordered and complete, as TCP's are, until the network makes it worse. */
export class Connection {
  readonly from: Host;
  readonly to: Host;
  readonly #network: Network;
  readonly #ends: readonly [Endpoint, Endpoint];
  readonly #directions: readonly [Direction, Direction] = [
    { lastArrivalMs: 0, underWay: 0 },
    { lastArrivalMs: 0, underWay: 0 },
  ];
  /** The end that is closed hears nothing any more. */
  readonly #open: [boolean, boolean] = [true, true];
  /** Messages may get lost, arrive twice and in any order. */
  lossy = false;

  /** Made by {@link Network.connect}. @param caller at `from` @param callee at `to` */
  constructor(network: Network, from: Host, to: Host, caller: Endpoint, callee: Endpoint) {
    this.#network = network;
    this.from = from;
    this.to = to;
    this.#ends = [caller, callee];
  }

  /** True while neither end is closed. */
  get isOpen(): boolean {
    return this.#open[0] && this.#open[1];
  }

  /** Sends from one end to the other. */
  send(end: 0 | 1, parcel: Parcel): void {
    if (!this.#open[end]) return;
    const { random, counters } = this.#network;
    if (this.lossy) {
      if (random.chance(0.05)) {
        counters.count('message dropped');
        return;
      }
      if (random.chance(0.05)) {
        counters.count('message duplicated');
        this.#dispatch(end, () => this.#receive(end, parcel));
      }
    }
    this.#dispatch(end, () => this.#receive(end, parcel));
  }

  /** One end closes; the other hears of it after what was sent before, some of which may get lost. */
  close(end: 0 | 1): void {
    if (!this.#open[end]) return;
    this.#open[end] = false;
    this.#dispatch(end, () => {
      const other = end === 0 ? 1 : 0;
      if (!this.#open[other]) return;
      this.#open[other] = false;
      this.#ends[other].closed();
    });
  }

  /** One end's process is gone: it neither sends nor hears anything more. What it sent may still arrive. */
  abandon(end: 0 | 1): void {
    this.close(end);
  }

  #receive(end: 0 | 1, parcel: Parcel): void {
    const other = end === 0 ? 1 : 0;
    if (this.#open[other]) this.#ends[other].receive(parcel);
  }

  #dispatch(end: 0 | 1, arrive: () => void): void {
    const { events, random, counters } = this.#network;
    const direction = this.#directions[end];
    const latencyMs = this.#network.latencyMs();
    let atMs = events.nowMs + latencyMs;
    if (this.lossy && random.chance(0.1)) atMs += 5 * latencyMs;
    if (atMs < direction.lastArrivalMs) {
      if (this.lossy) counters.count('message reordered');
      else atMs = direction.lastArrivalMs;
    }
    direction.lastArrivalMs = Math.max(direction.lastArrivalMs, atMs);
    direction.underWay++;
    const attempt = (): void => {
      const [from, to] = end === 0 ? [this.from, this.to] : [this.to, this.from];
      if (this.#network.isCut(from, to)) {
        counters.count('message stalled by a partition');
        // What follows waits behind it.
        direction.lastArrivalMs = Math.max(direction.lastArrivalMs, events.nowMs + RETRANSMIT_MS);
        events.after(RETRANSMIT_MS, attempt);
        return;
      }
      direction.underWay--;
      arrive();
    };
    events.after(atMs - events.nowMs, attempt);
  }
}

/** Everything between hosts. */
export class Network {
  readonly events: Events;
  readonly random: Random;
  readonly counters: Counters;
  readonly #cut = new Set<string>();
  /** Unit: simulated milliseconds, on average. */
  meanLatencyMs = 0.5;

  constructor(events: Events, random: Random, counters: Counters) {
    this.events = events;
    this.random = random;
    this.counters = counters;
  }

  /** Time one message takes; a few take much longer. */
  latencyMs(): number {
    const base = this.meanLatencyMs * (0.5 + this.random.next());
    if (!this.random.chance(0.02)) return base;
    this.counters.count('message delayed');
    return base * 40;
  }

  /** Nothing gets from one host to the other until {@link mend}. The way back is another one. */
  cut(from: Host, to: Host): void {
    this.#cut.add(`${from} ${to}`);
  }

  /** Ends {@link cut}. */
  mend(from: Host, to: Host): void {
    this.#cut.delete(`${from} ${to}`);
  }

  /** Ends every cut. */
  mendAll(): void {
    this.#cut.clear();
  }

  /** True while nothing gets through. */
  isCut(from: Host, to: Host): boolean {
    return this.#cut.has(`${from} ${to}`);
  }
}
