/** Measures the phases of a start, one after the other, for the log. */
export class PhaseTimer {
  readonly #began = performance.now();
  #last = this.#began;
  readonly #durations: Record<string, number> = {};

  /** The phase `name` ends now and the next begins. The name ends in `Ms`. */
  end(name: string): void {
    const now = performance.now();
    this.#durations[name] = Math.round(now - this.#last);
    this.#last = now;
  }

  /** All phases so far and their sum. Unit: milliseconds. */
  get durations(): Readonly<Record<string, number>> {
    return { ...this.#durations, totalMs: Math.round(this.#last - this.#began) };
  }
}
