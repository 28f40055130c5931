import { join } from 'node:path';
import type { AcceptorControl } from '@zenith/consensus';
import type { Disk } from '../disk/disk.ts';
import { decodeControlFile, encodeControlFile } from './codec.ts';

/** Name of the control file in a timeline's directory. */
const CONTROL_FILE_NAME = 'safekeeper.control';

/** The control file of one timeline: read once, replaced whole. */
export class ControlFile {
  readonly #disk: Disk;
  readonly #directory: string;
  #last: Promise<void> = Promise.resolve();

  /** @param directory the timeline's */
  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#directory = directory;
  }

  /** Where it lies. */
  get path(): string {
    return join(this.#directory, CONTROL_FILE_NAME);
  }

  /** Its content, undefined when there is none. @throws CorruptionError */
  load(): AcceptorControl | undefined {
    const bytes = this.#disk.readFile(this.path);
    return bytes === undefined ? undefined : decodeControlFile(bytes, this.path);
  }

  /**
   * Replaces it: temporary file, fsync, rename, fsync of the directory. Resolves when the new content is durable; after a failure all later calls fail too, since nobody knows which content a
   * crash would show. Calls are carried out in their order.
   */
  save(control: AcceptorControl): Promise<void> {
    const bytes = encodeControlFile(control);
    const saved = this.#last.then(() => this.#replace(bytes));
    this.#last = saved;
    // A failure is reported to whoever awaits the call; this only keeps the chain from counting as unhandled.
    saved.catch(() => undefined);
    return saved;
  }

  async #replace(bytes: Uint8Array): Promise<void> {
    const temporary = `${this.path}.tmp`;
    const file = this.#disk.create(temporary);
    try {
      file.write(bytes, 0, bytes.length, 0);
      await file.sync();
    } finally {
      file.close();
    }
    this.#disk.rename(temporary, this.path);
    await this.#disk.syncDirectory(this.#directory);
  }
}
