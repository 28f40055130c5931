/** How {@link AppendPacer} gathers. */
export interface PacingOptions {
  /** Two hand-overs are at least this far apart while WAL is gathered; also the longest that WAL waits. Unit: milliseconds. */
  readonly spacingMs: number;
  /** So many arrivals between two hand-overs are evidence of concurrent commits. With fewer nothing ever waits. */
  readonly arrivalsMin: number;
  /** The evidence is forgotten after so many hand-overs without it. */
  readonly memory: number;
}

/** 8 clients of TPC-B on two cores make an arrival every half millisecond: 2 ms put four of them into one sync. One or two clients cannot arrive three times before they are answered. */
export const PACING_DEFAULT: PacingOptions = { spacingMs: 2, arrivalsMin: 3, memory: 8 };

/**
 * Decides how long WAL from PostgreSQL waits for more of it before it is handed to the consensus core. What one append costs (four wake-ups, two writes to sockets, a sync) is the same for one commit and for ten,
 * and while some clients wait others keep the cores busy: with many clients fewer, larger appends are more transactions. A client that is alone, or one of two, never waits:
 * it takes {@link PacingOptions.arrivalsMin} arrivals between two hand-overs to begin. Once as much has arrived as ever did lately, nobody else is likely to come, and the wait is over.
 *
 * An arrival is one message of WAL from PostgreSQL's walsender, which holds at least what one commit waits for. Pure: the clock comes in as an argument.
 */
export class AppendPacer {
  readonly #options: PacingOptions;
  /** Arrivals of the last hand-overs, a ring. */
  readonly #recent: Uint32Array;
  #cursor = 0;
  #pending = 0;
  #handedOverMs = Number.NEGATIVE_INFINITY;

  constructor(options: PacingOptions) {
    this.#options = options;
    this.#recent = new Uint32Array(options.memory);
  }

  /** WAL has arrived. */
  arrived(): void {
    this.#pending++;
  }

  /** How long what is there should wait for more; 0 or less: hand it over now. Unit: milliseconds, as `nowMs`. */
  waitMs(nowMs: number): number {
    let most = 0;
    for (const arrivals of this.#recent) most = Math.max(most, arrivals);
    if (most < this.#options.arrivalsMin || this.#pending >= most) return 0;
    return this.#handedOverMs + this.#options.spacingMs - nowMs;
  }

  /** All that had arrived was handed over. */
  handedOver(nowMs: number): void {
    this.#recent[this.#cursor] = this.#pending;
    this.#cursor = (this.#cursor + 1) % this.#recent.length;
    this.#pending = 0;
    this.#handedOverMs = nowMs;
  }
}
