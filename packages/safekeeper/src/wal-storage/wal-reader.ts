import { CorruptionError, type Lsn } from '@zenith/base';
import type { DiskFile } from '../disk/disk.ts';
import type { Segments } from './segments.ts';

/** Where segments are that are not on this disk any more. */
export interface DistantSegments {
  /** All bytes of a segment; undefined when it is not there either. */
  read(number: number): Promise<Uint8Array | undefined>;
}

/** Reads WAL in order for one consumer; keeps the segment it is in open, or in memory when it comes from the archive. One call at a time. */
export class WalReader {
  readonly #segments: Segments;
  #file: DiskFile | undefined;
  #number = -1;
  readonly #distant: DistantSegments | undefined;
  #fetched: { readonly number: number; readonly bytes: Uint8Array } | undefined;

  constructor(segments: Segments, distant?: DistantSegments) {
    this.#segments = segments;
    this.#distant = distant;
  }

  /**
   * Fills `bytes` from `lsn` on. The caller asks only for WAL that exists and stays.
   * @param recent it was written moments ago and lies in the page cache: read at once, which costs microseconds where a detour over the thread pool costs tens of them
   * @throws CorruptionError when a file is missing or short, and what the archive throws
   */
  async read(lsn: Lsn, bytes: Uint8Array, recent: boolean): Promise<void> {
    const { size } = this.#segments;
    for (let done = 0; done < bytes.length;) {
      const at = (lsn + done) as Lsn;
      const number = this.#segments.numberOf(at);
      const position = at % size;
      const count = Math.min(bytes.length - done, size - position);
      const fetched = await this.#fetch(number);
      if (fetched !== undefined) {
        bytes.set(fetched.subarray(position, position + count), done);
        done += count;
        continue;
      }
      const file = this.#open(number);
      const got = recent
        ? file.readCached(bytes, done, count, position)
        : await file.read(bytes, done, count, position);
      if (got < count)
        throw new CorruptionError(`the segment ends after ${position + got} bytes`, {
          source: this.#segments.path(number),
          offset: position + got,
        });
      done += count;
    }
  }

  /** Closes the file, when no read is under way. */
  close(): void {
    this.#file?.close();
    this.#file = undefined;
    this.#number = -1;
    this.#fetched = undefined;
  }

  /** A segment that was let go here; undefined when it is on this disk. */
  async #fetch(number: number): Promise<Uint8Array | undefined> {
    if (this.#distant === undefined || this.#number === number) return undefined;
    if (this.#fetched?.number === number) return this.#fetched.bytes;
    this.#fetched = undefined;
    if (this.#segments.disk.exists(this.#segments.path(number))) return undefined;
    const bytes = await this.#distant.read(number);
    if (bytes !== undefined) this.#fetched = { number, bytes };
    return bytes;
  }

  #open(number: number): DiskFile {
    if (this.#file !== undefined && this.#number === number) return this.#file;
    this.close();
    const path = this.#segments.path(number);
    try {
      this.#file = this.#segments.disk.open(path, 'read');
    } catch (error) {
      throw new CorruptionError('a WAL segment cannot be opened', { source: path }, { cause: error });
    }
    this.#number = number;
    return this.#file;
  }
}
