import {
  closeSync,
  fstatSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { ControlPlaneError } from '../errors.ts';

/** Makes the entries of a folder durable: what was created, renamed or removed in it. */
export function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function writeWhole(fd: number, bytes: Uint8Array, position: number): void {
  for (let written = 0; written < bytes.length;)
    written += writeSync(fd, bytes, written, bytes.length - written, position + written);
}

/** Writes a file that is not yet known to be durable. Returns a descriptor. */
function writeTemporary(temporary: string, content: string, mode: number): number {
  const fd = openSync(temporary, 'w', mode);
  try {
    writeWhole(fd, Buffer.from(content, 'utf8'), 0);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Removes what was written, and says what is wrong. */
function notReplaced(path: string, temporary: string, error: unknown): ControlPlaneError {
  rmSync(temporary, { force: true });
  return new ControlPlaneError('system', `cannot write ${path}: ${(error as Error).message}`, { cause: error });
}

/**
 * Replaces a file's content in one step: a reader, and whoever looks after a crash, finds all of the old or all of the new. Durable when it returns.
 * Two writers at once must be kept apart by the caller.
 * @throws ControlPlaneError `system` when the disk is full or the folder cannot be written; the old content stands
 */
export function replaceFile(path: string, content: string, mode = 0o600): void {
  const temporary = `${path}.tmp-${process.pid}`;
  try {
    const fd = writeTemporary(temporary, content, mode);
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
    syncFolder(dirname(path));
  } catch (error) {
    throw notReplaced(path, temporary, error);
  }
}

const waitForSync = promisify(fsync);

/** {@link replaceFile} for who has other things to do while the disk works. Durable when it resolves. */
export async function replaceFileMeanwhile(path: string, content: string, mode = 0o600): Promise<void> {
  const temporary = `${path}.tmp-${process.pid}`;
  try {
    const fd = writeTemporary(temporary, content, mode);
    try {
      await waitForSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
    const folder = openSync(dirname(path), 'r');
    try {
      await waitForSync(folder);
    } finally {
      closeSync(folder);
    }
  } catch (error) {
    throw notReplaced(path, temporary, error);
  }
}

/**
 * Writes JSON over that of a file, in the room that the file has: for a disk that is full. It says the same as after {@link replaceFile}, blanks behind it aside. Durable when it returns, but not done in one step: should
 * the power fail in the middle, the file may hold some of both, which is found when it is read.
 * @throws ControlPlaneError `system`; when it is because there is no room, the old content stands
 */
export function overwriteJson(path: string, content: string): void {
  try {
    const fd = openSync(path, 'r+');
    try {
      const bytes = Buffer.from(content, 'utf8');
      const { size } = fstatSync(fd);
      if (bytes.length > size) appendBlanks(fd, size, bytes.length - size);
      writeWhole(fd, Buffer.concat([bytes, Buffer.alloc(Math.max(size - bytes.length, 0), ' ')]), 0);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw new ControlPlaneError('system', `cannot write ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** Before anything else is changed: there may be no room for them. */
function appendBlanks(fd: number, size: number, count: number): void {
  try {
    writeWhole(fd, Buffer.alloc(count, ' '), size);
  } catch (error) {
    ftruncateSync(fd, size);
    throw error;
  }
}
