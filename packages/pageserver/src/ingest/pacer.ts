import { setImmediate } from 'node:timers/promises';

/** Longest that ingest keeps the event loop from reads of pages: three times what a hot page takes. A turn of the loop costs ingest a few hundredths of it. Unit: ms. */
const SLICE_MS = 0.1;

/** Cuts long work of ingest into slices, between which everything else that waits gets its turn. */
export class Pacer {
  readonly #now: () => number;
  readonly #backpressure: () => Promise<void> | undefined;
  readonly #hurry: AbortSignal | undefined;
  #sliceEnd: number;

  /**
   * @param now a monotonic clock. Unit: ms
   * @param backpressure what to wait for before more may be put, when the storage asks for it
   * @param hurry once aborted, backpressure is not waited for: ingest ends with what it has in hand, also when the disk has had no room for a long time
   */
  constructor(now: () => number, backpressure: () => Promise<void> | undefined, hurry?: AbortSignal) {
    this.#now = now;
    this.#backpressure = backpressure;
    this.#hurry = hurry;
    this.#sliceEnd = now() + SLICE_MS;
  }

  /** A new slice begins now: the event loop has just had its turn. */
  start(): void {
    this.#sliceEnd = this.#now() + SLICE_MS;
  }

  /** Undefined while work may go on; else a promise to await before it does. */
  pause(): Promise<void> | undefined {
    const backpressure = this.#hurry?.aborted === true ? undefined : this.#backpressure();
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
