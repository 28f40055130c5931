import { execFileSync } from 'node:child_process';
import { closeSync, cpSync, mkdirSync, mkdtempSync, openSync, rmSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What fills the disk. */
const BALLAST = 'ballast';

/** A layer is written in less time; a disk is read-only as soon as nobody writes to it. Unit: attempts, 20 ms apart. */
const REMOUNT_ATTEMPTS_MAX = 1500;

/** Why disks cannot be made here: mounting takes root, and a container that lets it. Undefined when they can. */
export function whyNoSmallDisks(): string | undefined {
  const probe = mkdtempSync(join(tmpdir(), 'zenith-mount-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', probe], { stdio: 'pipe' });
    execFileSync('umount', [probe]);
    return undefined;
  } catch (error) {
    return `mounting a disk is not allowed: ${(error as Error).message.trim().split('\n').at(-1)}`;
  } finally {
    rmSync(probe, { recursive: true, force: true });
  }
}

/** A real disk of a few megabytes in the place of a folder: it can be filled up and made read-only. */
export class SmallDisk {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Mounts it over a folder and takes over what is there. @param bytes its size */
  static mount(path: string, bytes: number): SmallDisk {
    mkdirSync(path, { recursive: true });
    const before = mkdtempSync(join(tmpdir(), 'zenith-before-'));
    try {
      cpSync(path, before, { recursive: true });
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path], { stdio: 'pipe' });
      cpSync(before, path, { recursive: true });
    } finally {
      rmSync(before, { recursive: true, force: true });
    }
    return new SmallDisk(path);
  }

  /** Leaves not a byte: writes until there is no space left. */
  fill(): void {
    const fd = openSync(join(this.path, BALLAST), 'a');
    try {
      for (let bytes = 1024 * 1024; bytes >= 1; bytes = bytes > 4096 ? bytes / 2 : 0) while (tryToWrite(fd, bytes));
    } finally {
      closeSync(fd);
    }
  }

  /** Gives the space back. */
  free(): void {
    unlinkSync(join(this.path, BALLAST));
  }

  /** Makes it read-only as soon as no file on it is being written. */
  async makeReadOnly(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        execFileSync('mount', ['-o', 'remount,ro', this.path], { stdio: 'pipe' });
        return;
      } catch (error) {
        if (attempt === REMOUNT_ATTEMPTS_MAX) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20)); // nothing tells when the last writer has closed its file
      }
    }
  }

  /** Makes it as it was. */
  makeWritable(): void {
    execFileSync('mount', ['-o', 'remount,rw', this.path], { stdio: 'pipe' });
  }

  /** Takes it away with what is on it, even from those who have files open there. */
  unmount(): void {
    execFileSync('umount', ['--lazy', this.path], { stdio: 'pipe' });
  }
}

function tryToWrite(fd: number, bytes: number): boolean {
  try {
    return writeSync(fd, new Uint8Array(bytes)) === bytes;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    return false;
  }
}
