import { close, constants, lstatSync, openSync, readdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Takes a file's name away, and leaves it to another thread to give its room back, by closing the last that has it: the pages that the kernel keeps of it go then, which takes 0.2 ms a MiB. For 25 ms of a file of 128 MiB this
 * thread would serve nobody.
 * @throws the system's error, as unlink does
 */
export function removeFile(path: string): void {
  let fd;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    // It is not there, which unlinking says as well; or it cannot be opened, and going takes its time.
  }
  try {
    unlinkSync(path);
  } finally {
    if (fd !== undefined) close(fd, () => undefined); // nothing was written by it: there is nothing to fail
  }
}

/** Removes a file, or a folder with everything in it, each file as {@link removeFile} does; nothing when there is none. @throws the system's error */
export function removeTree(path: string): void {
  try {
    if (!lstatSync(path).isDirectory()) return removeFile(path);
    for (const name of readdirSync(path)) removeTree(join(path, name));
    rmdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
