import { readFileSync, statSync } from 'node:fs';
import { AuthError } from '../errors.ts';

/** Told of what cannot be used. */
type Complain = (reason: string) => void;

/**
 * What is made of files, made anew when one of them was replaced. It is looked for at each use, so that nothing has to be told of a change: some 10 µs a file. Files that are changed one after the
 * other may not fit together in between, and what somebody writes may be wrong: then the last good thing stays in use.
 */
export class FileCache<T> {
  readonly #paths: readonly string[];
  readonly #make: (contents: readonly Buffer[]) => T;
  readonly #complain: Complain;
  #signature: string | undefined;
  #value: { readonly of: T } | undefined;

  /** @param make makes the thing; what it throws is not shown, since it may quote a file @param complain told once of each state of the files that cannot be used */
  constructor(paths: readonly string[], make: (contents: readonly Buffer[]) => T, complain: Complain) {
    this.#paths = paths;
    this.#make = make;
    this.#complain = complain;
  }

  /** The thing of now; the same object while the files are the same. @throws AuthError `keys-unusable` when there never was one */
  get(): T {
    const signature = this.#paths.map(signatureOf).join(' ');
    if (signature === this.#signature && this.#value !== undefined) return this.#value.of;
    try {
      this.#value = { of: this.#make(this.#paths.map((path) => readFileSync(path))) };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const reason = `${this.#paths.join(' and ')} cannot be used${code === undefined ? '' : ` (${code})`}`;
      if (this.#value === undefined) throw new AuthError('keys-unusable', reason);
      if (signature !== this.#signature) this.#complain(reason);
    }
    this.#signature = signature;
    return this.#value.of;
  }
}

function signatureOf(path: string): string {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? 'none' : `${stat.ino}-${stat.size}-${stat.mtimeMs}`;
}
