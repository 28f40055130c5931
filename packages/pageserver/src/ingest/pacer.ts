import { setImmediate } from 'node:timers/promises';

/** How long ingest keeps the event loop: while nobody reads, and while pages are read, when a slice takes about as long as a hot page does. A turn of the loop takes 5 to 10 µs. Unit: ms. */
const [SLICE_MS, SLICE_BESIDE_READS_MS] = [0.1, 0.03];

/** What ingest gives way to. */
export interface PacerLoad {
  /** Pages that were read so far. */
  readonly pagesRead: number;
  /** What to wait for before more may be put, when the storage asks for it. */
  backpressure(): Promise<void> | undefined;
}

/** Cuts long work of ingest into slices, between which everything else that waits gets its turn. */
export class Pacer {
  readonly #now: () => number;
  readonly #load: PacerLoad;
  readonly #hurry: AbortSignal | undefined;
  #sliceEnd = 0;
  #pagesRead = 0;

  /**
   * @param now a monotonic clock. Unit: ms
   * @param hurry once aborted, backpressure is not waited for: ingest ends with what it has in hand, also when the disk has had no room for a long time
   */
  constructor(now: () => number, load: PacerLoad, hurry?: AbortSignal) {
    this.#now = now;
    this.#load = load;
    this.#hurry = hurry;
    this.start();
  }

  /** A new slice begins now: the event loop has just had its turn. */
  start(): void {
    const { pagesRead } = this.#load;
    this.#sliceEnd = this.#now() + (pagesRead === this.#pagesRead ? SLICE_MS : SLICE_BESIDE_READS_MS);
    this.#pagesRead = pagesRead;
  }

  /** Undefined while work may go on; else a promise to await before it does. */
  pause(): Promise<void> | undefined {
    const backpressure = this.#hurry?.aborted === true ? undefined : this.#load.backpressure();
    if (backpressure === undefined && this.#now() < this.#sliceEnd) return undefined;
    return this.#wait(backpressure);
  }

  async #wait(backpressure: Promise<void> | undefined): Promise<void> {
    if (backpressure !== undefined) await this.#unlessHurried(backpressure);
    await setImmediate();
    this.start();
  }

  async #unlessHurried(backpressure: Promise<void>): Promise<void> {
    let onAbort = (): void => undefined;
    const hurried = new Promise<void>((resolve) => {
      onAbort = resolve;
    });
    this.#hurry?.addEventListener('abort', onAbort, { once: true });
    try {
      await Promise.race([backpressure, hurried]);
    } finally {
      this.#hurry?.removeEventListener('abort', onAbort);
    }
  }
}
