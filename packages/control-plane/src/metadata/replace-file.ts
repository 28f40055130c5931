import { closeSync, fsync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
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

/** Writes a file that is not yet known to be durable. Returns a descriptor. */
function writeTemporary(temporary: string, content: string, mode: number): number {
  const fd = openSync(temporary, 'w', mode);
  try {
    const bytes = Buffer.from(content, 'utf8');
    for (let written = 0; written < bytes.length;) written += writeSync(fd, bytes, written);
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
