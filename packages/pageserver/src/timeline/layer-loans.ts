/**
 * Layer files that a worker thread reads. Between turns this process may remove a file, a worker may be in the middle of it: what is lent goes when it has come back. A folder is lent with every file in it, whichever there will be.
 */
export class LayerLoans {
  readonly #lent = new Map<string, number>();
  readonly #waiting = new Map<string, () => void>();

  /** Lends files, or folders of them. @returns ends the loan; to be called once */
  lend(paths: readonly string[]): () => void {
    for (const path of paths) this.#lent.set(path, (this.#lent.get(path) ?? 0) + 1);
    return () => {
      for (const path of paths) this.#takeBack(path);
      for (const [path, remove] of this.#waiting) {
        if (this.isLent(path)) continue;
        this.#waiting.delete(path);
        remove();
      }
    };
  }

  /** True while somebody has the file. */
  isLent(path: string): boolean {
    return this.#lent.has(path) || this.#lent.has(path.slice(0, path.lastIndexOf('/')));
  }

  /** Runs `remove` now, or when the last who has the file gives it back. @param remove must not throw */
  whenReturned(path: string, remove: () => void): void {
    if (this.isLent(path)) this.#waiting.set(path, remove);
    else remove();
  }

  #takeBack(path: string): void {
    const count = this.#lent.get(path) ?? 0;
    if (count > 1) this.#lent.set(path, count - 1);
    else this.#lent.delete(path);
  }
}
