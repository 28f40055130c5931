import { join } from 'node:path';
import type { Segments } from './segments.ts';

/** Written at a time. Unit: bytes. */
const CHUNK_LENGTH = 1024 * 1024;

const ZEROES = new Uint8Array(CHUNK_LENGTH);

/** Name of a segment that is not complete. */
const TEMPORARY_NAME = 'segment.tmp';

/**
 * Fills the next segment with zeroes before WAL gets there: an fdatasync into blocks that exist takes about half of one that must allocate them (0.13 against 0.27 ms, measured). One
 * segment is ahead at most. A preallocation that fails is no failure: the segment is then created when it is needed, and that reports what is wrong.
 */
export class Preallocation {
  readonly #segments: Segments;
  #wanted = -1;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(segments: Segments) {
    this.#segments = segments;
  }

  /** Begins to make segment `number`, unless that was done already or another one is being made. */
  prepare(number: number): void {
    if (this.#stopped || this.#running !== undefined || this.#wanted === number) return;
    this.#running = this.fill(number)
      .catch(() => undefined)
      .finally(() => {
        this.#running = undefined;
      });
  }

  /** Makes segment `number` unless it exists. Its content is durable then, its name not yet. */
  async fill(number: number): Promise<void> {
    this.#wanted = number;
    const { disk, directory, size } = this.#segments;
    const path = this.#segments.path(number);
    if (disk.exists(path)) return;
    const temporary = join(directory, TEMPORARY_NAME);
    const file = disk.create(temporary);
    let filled = false;
    try {
      for (let position = 0; position < size && this.#wanted === number; position += CHUNK_LENGTH) {
        await file.writeInBackground(ZEROES, 0, Math.min(CHUNK_LENGTH, size - position), position);
      }
      if (this.#wanted === number) await file.sync();
      filled = true;
    } finally {
      file.close();
      if (!filled) disk.remove(temporary); // the disk may be full of zeroes that nobody needs
    }
    // The writer may have got there first, or the WAL may have been cut back meanwhile.
    if (this.#wanted !== number || disk.exists(path)) disk.remove(temporary);
    else disk.rename(temporary, path);
  }

  /** Forgets what was asked for: the WAL is about to be cut back. Awaits the work under way. */
  async reset(): Promise<void> {
    this.#wanted = -1;
    await this.#running;
  }

  /** Ends for good; awaits the work under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.reset();
  }
}
