/** Delays between attempts: doubling from `firstMs` up to `maxMs`, each drawn from the upper half of its step so that many clients do not come back at the same moment. */
export class Backoff {
  readonly #firstMs: number;
  readonly #maxMs: number;
  readonly #random: () => number;
  #attempt = 0;

  /** @param random uniform in [0, 1) */
  constructor(firstMs: number, maxMs: number, random: () => number) {
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  /** How long to wait before the next attempt. Unit: milliseconds. */
  next(): number {
    const step = Math.min(this.#maxMs, this.#firstMs * 2 ** Math.min(this.#attempt, 30));
    this.#attempt++;
    return step * (0.5 + this.#random() / 2);
  }

  /** An attempt succeeded: begin anew. */
  reset(): void {
    this.#attempt = 0;
  }
}
