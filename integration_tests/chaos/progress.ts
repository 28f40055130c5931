/** Knows of transfers, or whatever, that were acknowledged, and lets others wait for them. */
export class Progress {
  readonly #what: string;
  /** When those were begun that were acknowledged. */
  readonly #begunMs: number[] = [];
  /** When those were acknowledged. */
  readonly #acknowledgedMs: number[] = [];
  #wake: () => void = () => undefined;

  /** @param what what is acknowledged, for messages */
  constructor(what = 'transfers') {
    this.#what = what;
  }

  /** One that was begun then was acknowledged now. */
  note(begunMs: number): void {
    this.#begunMs.push(begunMs);
    this.#acknowledgedMs.push(performance.now());
    this.#wake();
  }

  /**
   * Resolves when `count` of them that were begun after `sinceMs` have been acknowledged, with how long after it the first of them was. Unit: ms.
   * @throws Error that says `when`, when it takes longer than `timeoutMs` from now on
   */
  async since(sinceMs: number, count: number, timeoutMs: number, when: string): Promise<number> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const found = this.#begunMs.flatMap((begunMs, index) =>
        begunMs >= sinceMs ? [this.#acknowledgedMs[index] ?? Number.NaN] : [],
      );
      const [first] = found;
      if (first !== undefined && found.length >= count) return first - sinceMs;
      const leftMs = deadline - performance.now();
      if (leftMs <= 0)
        throw new Error(`${found.length} of ${count} ${this.#what} were acknowledged within ${timeoutMs} ms ${when}`);
      await this.#next(leftMs);
    }
  }

  async #next(timeoutMs: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(resolve, timeoutMs);
    });
    clearTimeout(timer);
  }
}
