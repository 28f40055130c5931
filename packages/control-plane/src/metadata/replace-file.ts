import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
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

/**
 * Replaces a file's content in one step: a reader, and whoever looks after a crash, finds all of the old or all of the new. Durable when it returns.
 * Two writers at once must be kept apart by the caller.
 * @throws ControlPlaneError `system` when the disk is full or the folder cannot be written; the old content stands
 */
export function replaceFile(path: string, content: string, mode = 0o600): void {
  const temporary = `${path}.tmp-${process.pid}`;
  try {
    const fd = openSync(temporary, 'w', mode);
    try {
      const bytes = Buffer.from(content, 'utf8');
      for (let written = 0; written < bytes.length;) written += writeSync(fd, bytes, written);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, path);
    syncFolder(dirname(path));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new ControlPlaneError('system', `cannot write ${path}: ${(error as Error).message}`, { cause: error });
  }
}
