/** Layer files that a worker thread reads. Between turns this process may remove a file, a worker may be in the middle of it: what is lent goes when it has come back. */
export class LayerLoans {
  readonly #lent = new Map<string, number>();
  readonly #waiting = new Map<string, () => void>();

  /** Lends files. @returns ends the loan; to be called once */
  lend(paths: readonly string[]): () => void {
    for (const path of paths) this.#lent.set(path, (this.#lent.get(path) ?? 0) + 1);
    return () => {
      for (const path of paths) this.#takeBack(path);
    };
  }

  /** True while somebody has the file. */
  isLent(path: string): boolean {
    return this.#lent.has(path);
  }

  /** Runs `remove` now, or when the last who has the file gives it back. @param remove must not throw */
  whenReturned(path: string, remove: () => void): void {
    if (this.isLent(path)) this.#waiting.set(path, remove);
    else remove();
  }

  #takeBack(path: string): void {
    const count = this.#lent.get(path) ?? 0;
    if (count > 1) {
      this.#lent.set(path, count - 1);
      return;
    }
    this.#lent.delete(path);
    const remove = this.#waiting.get(path);
    this.#waiting.delete(path);
    remove?.();
  }
}
