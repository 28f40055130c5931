import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { assert } from '@zenith/base';
import { identifyProcess, isAlive, type ProcessIdentity } from './process-identity.ts';

/**
 * What a process raises before it looks whether others are there, so that of two that come at once at least one sees the other.
 *
 * It is an empty file of its own, `<name>.<pid>-<start ticks>-<nonce>`, which takes no room on the disk but its entry. One of a dead process is ignored and removed by anyone: its name will never be used again, so that removing it
 * can hurt nobody, which is what a single file with a pid in it cannot promise.
 */
export class ProcessFlag {
  readonly #folder: string;
  readonly #name: string;
  readonly #file: string;

  private constructor(folder: string, name: string, file: string) {
    this.#folder = folder;
    this.#name = name;
    this.#file = file;
  }

  /**
   * @param folder where flags of this name are; made when it is missing
   * @param name letters, digits, `.`, `_` and `-`
   * @throws what the file system throws
   */
  static raise(folder: string, name: string): ProcessFlag {
    const self = identifyProcess(process.pid);
    assert(self !== undefined, 'a running process finds itself in /proc');
    mkdirSync(folder, { recursive: true });
    const file = `${name}.${self.pid}-${self.startTicks}-${randomBytes(6).toString('hex')}`;
    closeSync(openSync(join(folder, file), 'wx', 0o600));
    return new ProcessFlag(folder, name, file);
  }

  /** True when a process that is dead has left one up: whatever it was about to do, it has not said that it is done. */
  static isAbandoned(folder: string, name: string): boolean {
    return abandonedIn(folder, name).length > 0;
  }

  /** Takes down what {@link isAbandoned} found. */
  static removeAbandoned(folder: string, name: string): void {
    for (const file of abandonedIn(folder, name)) rmSync(join(folder, file), { force: true });
  }

  /** Who else has raised one and lives; another task of this process, too. Removes the flags of the dead. */
  rivals(): ProcessIdentity[] {
    const alive: ProcessIdentity[] = [];
    for (const file of readdirSync(this.#folder)) {
      const owner = file === this.#file ? undefined : ownerOf(this.#name, file);
      if (owner === undefined) continue;
      if (isAlive(owner)) alive.push(owner);
      else rmSync(join(this.#folder, file), { force: true });
    }
    return alive;
  }

  lower(): void {
    rmSync(join(this.#folder, this.#file), { force: true });
  }
}

/** The files of flags of the dead; none when there is no such folder. */
function abandonedIn(folder: string, name: string): string[] {
  let files: string[];
  try {
    files = readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return files.filter((file) => {
    const owner = ownerOf(name, file);
    return owner !== undefined && !isAlive(owner);
  });
}

function ownerOf(name: string, file: string): ProcessIdentity | undefined {
  if (!file.startsWith(`${name}.`)) return undefined;
  const match = /^(\d+)-(\d+)-[0-9a-f]+$/.exec(file.slice(name.length + 1));
  return match === null ? undefined : { pid: Number(match[1]), startTicks: Number(match[2]) };
}
