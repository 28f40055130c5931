import { assert, type Lsn } from '@zenith/base';
import type { DiskFile } from '../disk/disk.ts';
import { Preallocation } from './preallocation.ts';
import type { Segments } from './segments.ts';
import { cutWal } from './truncation.ts';

/** The next segment is prepared once this share of the current one is written. */
const PREPARE_AT = 0.25;

/** A sync of more than this is dear for its bytes, not for the blocks it allocates: while WAL comes in bulk, zeroes written ahead would only double what the disk has to take. Unit: bytes. */
const BULK_SYNC_LENGTH = 128 * 1024;

/** Over how many syncs their length is averaged, roughly. */
const SYNCS_AVERAGED = 4;

interface OpenSegment {
  readonly number: number;
  readonly file: DiskFile;
}

/**
 * Writes one timeline's WAL: whole segments on disk, bytes beyond `writeLsn` zero. Nothing is durable before {@link sync}. Of `sync`, `truncate` and `close` one runs at a time;
 * `append` may run during a sync. After a failed call the object is of no use any more: nobody knows what is on disk until the WAL is read again.
 */
export class WalWriter {
  readonly #segments: Segments;
  readonly #preallocation: Preallocation;
  #current: OpenSegment | undefined;
  /** Complete segments whose last bytes may not be durable; the next sync closes them. Bounded by what is appended during one sync. */
  #complete: OpenSegment[] = [];
  #directoryDirty = false;
  #syncing = false;
  #writeLsn: Lsn;
  /** End of the WAL that the latest sync covers, and how much the latest syncs covered that none before had, on average. Unit of the length: bytes. */
  #coveredLsn: Lsn;
  #syncLength = 0;

  /** @param writeLsn end of the valid WAL; what lay beyond on disk was cut off */
  constructor(segments: Segments, writeLsn: Lsn) {
    this.#segments = segments;
    this.#preallocation = new Preallocation(segments);
    this.#writeLsn = writeLsn;
    this.#coveredLsn = writeLsn;
  }

  /** Where the next byte goes. */
  get writeLsn(): Lsn {
    return this.#writeLsn;
  }

  /** Makes the first segment of a new timeline, durably. */
  async prepareFirst(): Promise<void> {
    await this.#preallocation.fill(this.#segments.numberOf(this.#writeLsn));
    await this.#segments.disk.syncDirectory(this.#segments.directory);
  }

  /** Makes the segment that is written and the next one, durably: there is room for so much more WAL then. @throws the system's error when there is not */
  async reserve(): Promise<void> {
    const number = this.#segments.numberOf(this.#writeLsn);
    await this.#preallocation.fill(number);
    await this.#preallocation.fill(number + 1);
    await this.#segments.disk.syncDirectory(this.#segments.directory);
  }

  /** Appends `bytes`, which are only borrowed. @throws the system's error when the disk is full or fails */
  append(bytes: Uint8Array): void {
    const { size } = this.#segments;
    for (let done = 0; done < bytes.length;) {
      const number = this.#segments.numberOf(this.#writeLsn);
      const position = this.#writeLsn % size;
      const count = Math.min(bytes.length - done, size - position);
      this.#segment(number).write(bytes, done, count, position);
      this.#writeLsn = (this.#writeLsn + count) as Lsn;
      done += count;
      if (position + count >= size * PREPARE_AT && this.#syncLength <= BULK_SYNC_LENGTH)
        this.#preallocation.prepare(number + 1);
    }
  }

  /** Resolves when everything appended before the call is durable. */
  async sync(): Promise<void> {
    assert(!this.#syncing, 'one sync at a time');
    this.#syncing = true;
    this.#syncLength += (this.#writeLsn - this.#coveredLsn - this.#syncLength) / SYNCS_AVERAGED;
    this.#coveredLsn = this.#writeLsn;
    const complete = this.#complete;
    this.#complete = [];
    const directory = this.#directoryDirty;
    this.#directoryDirty = false;
    const { disk, directory: path } = this.#segments;
    if (complete.length === 0 && !directory) {
      try {
        await this.#current?.file.sync(); // nearly always: a commit waits for it, and for nothing else here
      } finally {
        this.#syncing = false;
      }
      return;
    }
    // All are awaited even when one fails: a file may not be closed under a sync.
    const results = await Promise.allSettled([
      ...complete.map(({ file }) => file.sync()),
      this.#current?.file.sync(),
      directory ? disk.syncDirectory(path) : undefined,
    ]);
    for (const { file } of complete) file.close();
    this.#syncing = false;
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /** Cuts the WAL at `lsn` and zeroes what followed, durably. */
  async truncate(lsn: Lsn): Promise<void> {
    assert(lsn <= this.#writeLsn, 'WAL is cut at or before its end');
    await this.#preallocation.reset();
    this.#closeFiles();
    await cutWal(this.#segments, lsn, true);
    this.#writeLsn = lsn;
    this.#coveredLsn = lsn;
  }

  /** Closes the files; what was not synced may be lost. */
  async close(): Promise<void> {
    await this.#preallocation.stop();
    this.#closeFiles();
  }

  #segment(number: number): DiskFile {
    if (this.#current?.number === number) return this.#current.file;
    if (this.#current !== undefined) this.#complete.push(this.#current);
    this.#current = undefined; // also when the next cannot be made: no file is closed twice
    const { disk, size } = this.#segments;
    const path = this.#segments.path(number);
    const exists = disk.exists(path);
    const file = exists ? disk.open(path, 'write') : disk.create(path);
    this.#current = { number, file };
    this.#directoryDirty = true; // for one that exists too: the rename that made it may not be durable
    if (!exists) file.truncate(size);
    return file;
  }

  #closeFiles(): void {
    assert(!this.#syncing, 'no file is closed under a sync');
    for (const { file } of this.#complete) file.close();
    this.#complete = [];
    this.#current?.file.close();
    this.#current = undefined;
  }
}
