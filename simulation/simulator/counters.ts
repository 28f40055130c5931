/** How often each fault and each turn of the protocol really happened: a simulation in which nothing happens proves nothing. */
export class Counters {
  readonly #counts = new Map<string, number>();

  /** One more of `what`. */
  count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }

  /** Adds what another one counted. */
  add(counts: Readonly<Record<string, number>>): void {
    for (const [what, count] of Object.entries(counts)) this.#counts.set(what, (this.#counts.get(what) ?? 0) + count);
  }

  /** All counts, by name. */
  get all(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }
}
