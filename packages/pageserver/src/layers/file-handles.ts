import type { FileSystem } from './file-system.ts';

/**
 * Keeps at most `openMax` layer files open for reading and closes the one opened longest ago (reopening costs 10 µs, bookkeeping on each read would cost more). A read asks for the descriptor each time and uses it within the
 * same turn, so that closing never pulls a descriptor from under a reader.
 */
export class FileHandles {
  readonly #fileSystem: FileSystem;
  readonly #openMax: number;
  /** In the order of opening. */
  readonly #open = new Map<string, number>();

  /** @param openMax most descriptors open at once */
  constructor(fileSystem: FileSystem, openMax: number) {
    this.#fileSystem = fileSystem;
    this.#openMax = openMax;
  }

  /** How many files are open. */
  get openCount(): number {
    return this.#open.size;
  }

  /** A descriptor of the file at `path`, valid until the next call. */
  descriptor(path: string): number {
    const known = this.#open.get(path);
    if (known !== undefined) return known;
    const fd = this.#fileSystem.openForReading(path);
    if (this.#open.size >= this.#openMax) {
      for (const [oldest, oldestFd] of this.#open) {
        this.#open.delete(oldest);
        this.#fileSystem.close(oldestFd);
        break;
      }
    }
    this.#open.set(path, fd);
    return fd;
  }

  /** Closes the file at `path` if it is open. */
  forget(path: string): void {
    const fd = this.#open.get(path);
    if (fd === undefined) return;
    this.#open.delete(path);
    this.#fileSystem.close(fd);
  }

  /** Closes every file. */
  closeAll(): void {
    for (const fd of this.#open.values()) this.#fileSystem.close(fd);
    this.#open.clear();
  }
}
