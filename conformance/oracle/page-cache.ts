import type { Page } from '@zenith/pg-format';

/** Pages as they were after the last record that changed them. Holds at most about twice the given number: those used least are forgotten, and come back from the pageserver. */
export class PageCache {
  readonly #pagesMax: number;
  #young = new Map<string, Page>();
  #old = new Map<string, Page>();

  /** @param pagesMax how many pages are kept for certain */
  constructor(pagesMax: number) {
    this.#pagesMax = pagesMax;
  }

  /** The page, or undefined when it is not held. */
  get(key: string): Page | undefined {
    const young = this.#young.get(key);
    if (young !== undefined) return young;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  /** Keeps a page. */
  set(key: string, page: Page): void {
    if (this.#young.size >= this.#pagesMax) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(key, page);
  }
}
