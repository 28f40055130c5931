import {
  closeSync,
  existsSync,
  fdatasync,
  fdatasyncSync,
  fsync,
  ftruncateSync,
  mkdirSync,
  openSync,
  read,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  write,
  writeSync,
} from 'node:fs';
import { promisify } from 'node:util';
import { removeTree } from '@zenith/service';
import type { Disk, DiskFile } from './disk.ts';

const readAsync = promisify(read);
const writeAsync = promisify(write);
const fdatasyncAsync = promisify(fdatasync);
const fsyncAsync = promisify(fsync);

/** Syncs that take less than the first go on the main thread, until one takes longer than the second. Unit: milliseconds. */
const QUICK_SYNC_MS = 0.5;
const SLOW_SYNC_MS = 2;

class LocalFile implements DiskFile {
  readonly #fd: number;
  /** The disk answers sooner than a thread would be woken for it and wake this one again: 0.11 against 0.18 ms where this was measured, and half the CPU time. */
  #syncsQuickly = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(bytes: Uint8Array, offset: number, length: number, position: number): void {
    for (let done = 0; done < length;)
      done += writeSync(this.#fd, bytes, offset + done, length - done, position + done);
  }

  async writeInBackground(bytes: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    for (let done = 0; done < length;) {
      const { bytesWritten } = await writeAsync(this.#fd, bytes, offset + done, length - done, position + done);
      done += bytesWritten;
    }
  }

  async read(bytes: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    let done = 0;
    while (done < length) {
      const { bytesRead } = await readAsync(this.#fd, bytes, offset + done, length - done, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  readCached(bytes: Uint8Array, offset: number, length: number, position: number): number {
    let done = 0;
    while (done < length) {
      const count = readSync(this.#fd, bytes, offset + done, length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  async sync(): Promise<void> {
    const began = performance.now();
    if (this.#syncsQuickly) fdatasyncSync(this.#fd);
    else await fdatasyncAsync(this.#fd);
    this.#syncsQuickly = performance.now() - began < (this.#syncsQuickly ? SLOW_SYNC_MS : QUICK_SYNC_MS);
  }

  truncate(length: number): void {
    ftruncateSync(this.#fd, length);
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === 'ENOENT';
}

/** The operating system's file system. Files are readable by their owner only. */
export const localDisk: Disk = {
  open: (path, mode) => new LocalFile(openSync(path, mode === 'read' ? 'r' : 'r+')),
  create: (path) => new LocalFile(openSync(path, 'w+', 0o600)),
  readFile(path) {
    try {
      return readFileSync(path);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  },
  exists: existsSync,
  list(path) {
    try {
      return readdirSync(path);
    } catch (error) {
      if (isMissing(error)) return [];
      throw error;
    }
  },
  makeDirectory(path) {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  },
  rename: renameSync,
  remove: removeTree,
  async syncDirectory(path) {
    const fd = openSync(path, 'r');
    try {
      await fsyncAsync(fd);
    } finally {
      closeSync(fd);
    }
  },
};
