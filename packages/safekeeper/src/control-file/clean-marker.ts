import { join } from 'node:path';
import type { Disk } from '../disk/disk.ts';

/** Name of the marker in a timeline's directory. */
const CLEAN_MARKER_NAME = 'safekeeper.clean';

/**
 * Says that everything in a timeline's directory is durable as it reads: put there at the end of a clean stop, taken away before anything is written. Without it what reads well may live in the page cache alone: the process was killed before
 * its sync, or the sync failed, after which the system takes the pages for written. Such files are read, but must be written again before they count.
 */
export class CleanMarker {
  readonly #disk: Disk;
  readonly #directory: string;

  /** @param directory the timeline's */
  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  /** Puts it there, durably; everything else is durable by now. */
  async put(): Promise<void> {
    const file = this.#disk.create(this.#path);
    try {
      await file.sync();
    } finally {
      file.close();
    }
    await this.#disk.syncDirectory(this.#directory);
  }

  /** Takes it away, durably. Resolves to whether it was there. */
  async take(): Promise<boolean> {
    if (!this.#disk.exists(this.#path)) return false;
    this.#disk.remove(this.#path);
    await this.#disk.syncDirectory(this.#directory);
    return true;
  }

  get #path(): string {
    return join(this.#directory, CLEAN_MARKER_NAME);
  }
}
