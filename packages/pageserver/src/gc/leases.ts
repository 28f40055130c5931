import { CorruptionError, formatLsn, parseLsn, type Lsn } from '@zenith/base';
import * as v from 'valibot';
import type { FileSystem } from '../layers/file-system.ts';

/** The leases of a timeline, in its folder. */
const LEASES_FILE = 'leases.json';

/** Longest lease. Unit: ms. */
export const LEASE_MAX_MS = 31 * 24 * 3600 * 1000;

/** Most leases of a timeline. */
const LEASES_MAX = 10_000;

const schema = v.strictObject({
  leases: v.array(v.strictObject({ holder: v.string(), lsn: v.string(), until: v.number() })),
});

/** Somebody reads a timeline at an LSN, which stays readable until a time. */
export interface Lease {
  readonly holder: string;
  readonly lsn: Lsn;
  /** Unit: ms since 1970. */
  readonly until: number;
}

/** The leases of one timeline: durable before they count. */
export class Leases {
  readonly #fileSystem: FileSystem;
  readonly #directory: string;
  #leases: readonly Lease[];
  #saving: Promise<void> = Promise.resolve();

  /** Reads what there is. @throws CorruptionError */
  constructor(fileSystem: FileSystem, directory: string) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    const path = `${directory}/${LEASES_FILE}`;
    const bytes = fileSystem.readFile(path);
    try {
      const stored = bytes === undefined ? [] : v.parse(schema, JSON.parse(new TextDecoder().decode(bytes))).leases;
      this.#leases = stored.map(({ holder, lsn, until }) => ({ holder, lsn: parseLsn(lsn), until }));
    } catch (cause) {
      throw new CorruptionError(`the leases cannot be read: ${(cause as Error).message}`, { source: path }, { cause });
    }
  }

  /** Those that have not ended at `now`. Unit: ms since 1970. */
  active(now: number): readonly Lease[] {
    return this.#leases.filter(({ until }) => until > now);
  }

  /** Room for one more? A holder has one lease. */
  isFull(holder: string, now: number): boolean {
    return this.active(now).filter((lease) => lease.holder !== holder).length >= LEASES_MAX;
  }

  /** Grants a lease in the place of the holder's present one. It counts at once, and is durable when this resolves; @throws what the file system throws: it counts in this process all the same */
  async grant(lease: Lease, now: number): Promise<void> {
    this.#leases = [...this.active(now).filter(({ holder }) => holder !== lease.holder), lease];
    await this.#save();
  }

  /** Ends the lease of a holder; harmless when it has none. @throws what the file system throws */
  async release(holder: string): Promise<void> {
    if (!this.#leases.some((lease) => lease.holder === holder)) return;
    this.#leases = this.#leases.filter((lease) => lease.holder !== holder);
    await this.#save();
  }

  #save(): Promise<void> {
    const result = this.#saving.then(() => this.#write());
    this.#saving = result.catch(() => undefined);
    return result;
  }

  async #write(): Promise<void> {
    const path = `${this.#directory}/${LEASES_FILE}`;
    const leases = this.#leases.map(({ holder, lsn, until }) => ({ holder, lsn: formatLsn(lsn), until }));
    const bytes = new TextEncoder().encode(`${JSON.stringify({ leases })}\n`);
    const temporary = `${path}.tmp`;
    if (this.#fileSystem.size(temporary) !== undefined) this.#fileSystem.unlink(temporary);
    const fd = this.#fileSystem.create(temporary);
    try {
      this.#fileSystem.write(fd, bytes, 0, bytes.length);
    } finally {
      this.#fileSystem.close(fd);
    }
    await this.#fileSystem.sync(temporary);
    await this.#fileSystem.rename(temporary, path);
    await this.#fileSystem.syncDirectory(this.#directory);
  }
}
