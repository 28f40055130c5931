import { CorruptionError, formatLsn, parseLsn, type Lsn } from '@zenith/base';
import * as v from 'valibot';
import type { FileSystem } from '../layers/file-system.ts';
import { decodeCheckedJson, encodeCheckedJson } from '../timeline/checked-json.ts';

/** The leases of a timeline, in its folder. */
const LEASES_FILE = 'leases.json';

/** Longest lease. Unit: ms. */
export const LEASE_MAX_MS = 31 * 24 * 3600 * 1000;

/** Most leases of a timeline. */
const LEASES_MAX = 10_000;

/** How a file began when it was the body alone, without a checksum. */
const UNCHECKED_HEAD = '{"leases":';

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
  #leases: readonly Lease[] = [];
  #saving: Promise<void> = Promise.resolve();
  /**
   * Why it is not known which leases there were. Whatever they kept is to be kept then, so that those granted since need not be durable, and the file is left for a next start to find it like that.
   */
  readonly damage: CorruptionError | undefined;

  /** Reads what there is. */
  constructor(fileSystem: FileSystem, directory: string) {
    this.#fileSystem = fileSystem;
    this.#directory = directory;
    const path = `${directory}/${LEASES_FILE}`;
    const bytes = fileSystem.readFile(path);
    try {
      if (bytes !== undefined) this.#leases = decodeLeases(bytes, path);
    } catch (cause) {
      const message = `the leases cannot be read: ${(cause as Error).message}. Stop the pageserver and remove ${path} to forget them`;
      this.damage = new CorruptionError(message, undefined, { cause });
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
    if (this.damage !== undefined) return;
    const path = `${this.#directory}/${LEASES_FILE}`;
    const leases = this.#leases.map(({ holder, lsn, until }) => ({ holder, lsn: formatLsn(lsn), until }));
    const bytes = encodeCheckedJson({ leases });
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

function decodeLeases(bytes: Uint8Array, path: string): readonly Lease[] {
  const text = new TextDecoder().decode(bytes);
  const body = text.startsWith(UNCHECKED_HEAD)
    ? JSON.parse(text)
    : decodeCheckedJson(bytes, 'the list of leases', path);
  return v.parse(schema, body).leases.map(({ holder, lsn, until }) => ({ holder, lsn: parseLsn(lsn), until }));
}
