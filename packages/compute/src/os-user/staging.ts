import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { ComputeError, messageOf, systemCodeOf } from '../errors.ts';
import type { Installation } from '../installation/installation.ts';
import type { OsUser } from './os-user.ts';
import { firstUnreachable } from './reachability.ts';

/** Where root puts what PostgreSQL's OS user could not get to where it lies. */
export const STAGING_ROOT = '/var/lib/zenith';

/**
 * Copies of things that PostgreSQL's OS user could not get to: a clone below a folder that only root may enter cannot be run from in place. What is asked for is given back unchanged when
 * the user can get to it, else it is made available below the staging root, hard-linked where that gives access, else copied. Repeating a call is cheap.
 */
export class Staging {
  readonly #user: OsUser;
  readonly #root: string;
  readonly #onStaged: (message: string) => void;

  /**
   * @param onStaged told what is staged and why, for the log
   * @param root another folder than {@link STAGING_ROOT}, for tests
   */
  constructor(user: OsUser, onStaged: (message: string) => void = () => undefined, root: string = STAGING_ROOT) {
    this.#user = user;
    this.#onStaged = onStaged;
    this.#root = root;
  }

  /** A folder the user can get to for what belongs to `directory`: that folder itself, or one below the staging root. It exists. @throws ComputeError `unreachable-directory` */
  directory(directory: string): string {
    return this.#guard(() => {
      if (!this.#mustStage('the compute directory', directory)) {
        mkdirSync(directory, { recursive: true });
        return resolve(directory);
      }
      return this.#folder(keyOf(directory));
    });
  }

  /** An installation the user can get to. @throws ComputeError `unreachable-directory`, for one that is not relocatable too */
  installation(installation: Installation): Installation {
    return this.#guard(() => {
      if (installation.root === undefined) {
        const blocked = firstUnreachable(installation.binDir, this.#user);
        if (blocked === undefined) return installation;
        throw new ComputeError(
          'unreachable-directory',
          `the OS user '${this.#user.name}' may not enter '${blocked}', below which PostgreSQL lies: make it accessible, or choose another OS user`,
        );
      }
      if (!this.#mustStage(`PostgreSQL ${installation.major}`, installation.binDir)) return installation;
      const root = stageTree(installation.root, this.#folder(keyOf(installation.root)));
      return { ...installation, root, binDir: join(root, 'bin') };
    });
  }

  /** A shared library the user can get to. @throws ComputeError `postgres-unusable` when there is none at `path`, `unreachable-directory` */
  library(path: string): string {
    if (!existsSync(path))
      throw new ComputeError('postgres-unusable', `the preload library '${path}' is missing: run 'npm run build'`);
    return this.#guard(() =>
      this.#mustStage('the preload library', dirname(path))
        ? stageFile(path, this.#folder(keyOf(path)))
        : resolve(path),
    );
  }

  #mustStage(what: string, path: string): boolean {
    const folder = firstUnreachable(path, this.#user);
    if (folder === undefined) return false;
    this.#onStaged(`${what} is staged below ${this.#root}: the OS user '${this.#user.name}' may not enter '${folder}'`);
    return true;
  }

  /** Makes the staging root and the folders below it, enterable whatever the umask. */
  #folder(...names: readonly string[]): string {
    let folder = this.#root;
    for (const name of ['', ...names]) {
      folder = join(folder, name);
      mkdirSync(folder, { recursive: true });
      chmodSync(folder, 0o755);
    }
    return folder;
  }

  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      if (error instanceof ComputeError) throw error;
      throw new ComputeError(
        'unreachable-directory',
        `cannot stage files for the OS user '${this.#user.name}' below '${this.#root}': ${messageOf(error)}`,
        { cause: error },
      );
    }
  }
}

/** Names what is staged after where it came from, so that two repositories never share. */
function keyOf(path: string): string {
  return createHash('sha256').update(resolve(path)).digest('hex').slice(0, 16);
}

/** Tells two builds of a file apart, so that one in use is never replaced under its user. */
function versionOf(file: string): string {
  const { mtimeMs, size } = statSync(file);
  return `${Math.trunc(mtimeMs)}-${size}`;
}

function stageFile(source: string, folder: string): string {
  const target = join(folder, `${versionOf(source)}.so`);
  if (existsSync(target)) return target;
  const temporary = `${target}.${process.pid}`;
  copyFileSync(source, temporary);
  chmodSync(temporary, 0o755);
  renameSync(temporary, target);
  return target;
}

/** Links or copies a whole installation. It appears by a rename: complete or not there. */
function stageTree(source: string, folder: string): string {
  const target = join(folder, `postgres-${versionOf(join(source, 'bin', 'postgres'))}`);
  if (existsSync(target)) return target;
  const temporary = `${target}.${process.pid}`;
  rmSync(temporary, { recursive: true, force: true });
  linkTree(source, temporary);
  try {
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    if (!existsSync(target)) throw error; // else another process was faster
  }
  return target;
}

function linkTree(source: string, target: string): void {
  mkdirSync(target);
  chmodSync(target, 0o755);
  for (const entry of readdirSync(source, { withFileTypes: true })) {
    const from = join(source, entry.name);
    const to = join(target, entry.name);
    if (entry.isDirectory()) linkTree(from, to);
    else if (entry.isSymbolicLink()) symlinkSync(readlinkSync(from), to);
    else linkOrCopy(from, to);
  }
}

/** A hard link shares the mode, so it only helps where everybody may read the file. */
function linkOrCopy(from: string, to: string): void {
  const { mode } = lstatSync(from);
  if ((mode & 0o004) !== 0) {
    try {
      linkSync(from, to);
      return;
    } catch (error) {
      const code = systemCodeOf(error);
      if (code !== 'EXDEV' && code !== 'EPERM' && code !== 'EMLINK') throw error;
    }
  }
  copyFileSync(from, to);
  chmodSync(to, (mode & 0o111) === 0 ? 0o644 : 0o755);
}
