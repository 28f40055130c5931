import {
  closeSync,
  fsync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  statSync,
  writeSync,
} from 'node:fs';
import { rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { removeFile, removeTree } from '@zenith/service';

const waitForSync = promisify(fsync);

/**
 * Every file operation of the storage engine. Tests put themselves here: the n-th operation fails, or what was not synced is lost in a crash. Reads and writes
 * are synchronous because a cached 8 KiB read costs 2 µs and an asynchronous one 29; what waits for the disk is not.
 */
export interface FileSystem {
  /** Opens an existing file for reading. Returns a descriptor. */
  openForReading(path: string): number;
  /** Creates a file for writing. Returns a descriptor. Fails when there is one of that name. */
  create(path: string): number;
  /** Reads at `position` into `bytes[offset, offset + length)`. Returns how many bytes it read; fewer than asked at the end of the file only. */
  read(fd: number, bytes: Uint8Array, offset: number, length: number, position: number): number;
  /** Appends all of `bytes[offset, offset + length)`. */
  write(fd: number, bytes: Uint8Array, offset: number, length: number): void;
  /** Closes a descriptor. */
  close(fd: number): void;
  /** Resolves when the file's content is durable. */
  sync(path: string): Promise<void>;
  /** Resolves when the names in a directory are durable. */
  syncDirectory(path: string): Promise<void>;
  /** Replaces `to` by `from` in one step. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file: its name is gone when it returns. */
  unlink(path: string): void;
  /** Removes a directory and everything in it. */
  removeDirectory(path: string): void;
  /** Makes a directory and those above it. */
  makeDirectory(path: string): void;
  /** The names in a directory; empty when there is none. */
  list(path: string): string[];
  /** A whole file, or undefined when there is none. */
  readFile(path: string): Uint8Array | undefined;
  /** Size of a file, or undefined when there is none. Unit: bytes. */
  size(path: string): number | undefined;
}

function missing(error: unknown): boolean {
  return error instanceof Error && (error as NodeJS.ErrnoException).code === 'ENOENT';
}

/** One level after the other: what `recursive` throws on a read-only disk is ENOENT. */
function makeDirectory(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    makeDirectory(dirname(path));
    mkdirSync(path);
  }
}

/** Waits for the disk alone: opening and closing take microseconds, and each wait for them would be one more turn of a busy event loop. */
async function syncPath(path: string, flags: string): Promise<void> {
  const fd = openSync(path, flags);
  try {
    await waitForSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The file system of the operating system. */
export const localFileSystem: FileSystem = {
  openForReading: (path) => openSync(path, 'r'),
  create: (path) => openSync(path, 'wx'),
  read(fd, bytes, offset, length, position) {
    let done = 0;
    while (done < length) {
      const count = readSync(fd, bytes, offset + done, length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  },
  write(fd, bytes, offset, length) {
    let done = 0;
    while (done < length) done += writeSync(fd, bytes, offset + done, length - done);
  },
  close: closeSync,
  sync: (path) => syncPath(path, 'r+'),
  syncDirectory: (path) => syncPath(path, 'r'),
  rename,
  unlink: removeFile,
  removeDirectory: removeTree,
  makeDirectory,
  list(path) {
    try {
      return readdirSync(path);
    } catch (error) {
      if (missing(error)) return [];
      throw error;
    }
  },
  readFile(path) {
    try {
      return readFileSync(path);
    } catch (error) {
      if (missing(error)) return undefined;
      throw error;
    }
  },
  size(path) {
    try {
      return statSync(path).size;
    } catch (error) {
      if (missing(error)) return undefined;
      throw error;
    }
  },
};
