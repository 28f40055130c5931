import { spawnSync } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PG_MAJORS, type PgMajor } from '@zenith/pg-format';
import { ComputeError } from '../errors.ts';
import { hydrateSymlinks } from './hydrate-symlinks.ts';
import { packageFolder } from './package-folder.ts';

/** A PostgreSQL that can be run: stock binaries, never written to. */
export interface Installation {
  readonly major: PgMajor;
  /** Absolute folder with `postgres` and `initdb`. */
  readonly binDir: string;
  /**
   * The root of a relocatable installation (npm's: `bin`, `lib`, `share` below it); undefined for a distribution's, whose folders are fixed and readable
   * by everybody.
   */
  readonly root: string | undefined;
}

/** Longest wait for `postgres --version`. Unit: milliseconds. */
const VERSION_TIMEOUT_MS = 10_000;

/**
 * Finds the PostgreSQL of `major` that npm installed: the package `postgres-<major>-linux-<arch>` in the nearest `node_modules` from `from` upwards. Makes the
 * shared libraries' symbolic links when npm did not run the package's install script; no file is changed.
 * @throws ComputeError `postgres-not-found`, `postgres-unusable`
 */
export function findInstallation(major: PgMajor, from: string = packageFolder()): Installation {
  const name = `postgres-${major}-${process.platform}-${process.arch}`;
  for (let folder = from; ; folder = dirname(folder)) {
    const packageDir = join(folder, 'node_modules', name);
    if (existsSync(join(packageDir, 'native', 'bin', 'postgres'))) {
      hydrateSymlinks(packageDir);
      const root = realpathSync(join(packageDir, 'native'));
      return { major, binDir: join(root, 'bin'), root };
    }
    if (dirname(folder) === folder) break;
  }
  throw new ComputeError(
    'postgres-not-found',
    `PostgreSQL ${major} for ${process.platform}-${process.arch} is not installed: run 'npm install', or name a distribution's with --pg-bin DIR`,
  );
}

/**
 * The PostgreSQL whose programs lie in `binDir`, a distribution's for one. Runs `postgres --version` to learn its major version.
 * @throws ComputeError `postgres-not-found`, `postgres-unusable` (does not run, or a version this build does not know)
 */
export function installationAt(binDir: string): Installation {
  for (const program of ['postgres', 'initdb']) {
    if (!existsSync(join(binDir, program)))
      throw new ComputeError(
        'postgres-not-found',
        `there is no program '${program}' in '${binDir}': name the folder that holds PostgreSQL's server programs`,
      );
  }
  const resolved = realpathSync(binDir);
  const result = spawnSync(join(resolved, 'postgres'), ['--version'], {
    encoding: 'utf8',
    env: { LC_ALL: 'C' },
    timeout: VERSION_TIMEOUT_MS,
  });
  if (result.error !== undefined || result.status !== 0) {
    throw new ComputeError(
      'postgres-unusable',
      `'${join(resolved, 'postgres')} --version' failed: ${result.error?.message ?? result.stderr.trim()}`,
      { cause: result.error },
    );
  }
  const number = majorOf(result.stdout);
  const major = PG_MAJORS.find((known) => known === number);
  if (major === undefined)
    throw new ComputeError(
      'postgres-unusable',
      `'${resolved}' holds '${result.stdout.trim()}': this build runs PostgreSQL ${PG_MAJORS.join(', ')}`,
    );
  return { major, binDir: resolved, root: undefined };
}

/**
 * The installation a compute or `zenith init` is to use: that in `binDir` when it is given, else npm's.
 * @throws ComputeError `postgres-not-found`, `postgres-unusable` (also when `binDir` holds another major version)
 */
export function resolveInstallation(major: PgMajor, binDir: string | undefined): Installation {
  if (binDir === undefined) return findInstallation(major);
  const installation = installationAt(binDir);
  if (installation.major !== major)
    throw new ComputeError(
      'postgres-unusable',
      `'${binDir}' holds PostgreSQL ${installation.major}, but version ${major} is needed`,
    );
  return installation;
}

/** The major version in the output of `postgres --version`, `postgres (PostgreSQL) 18.4 (Debian …)`; undefined when it is not there. */
export function majorOf(versionOutput: string): number | undefined {
  const match = /\(PostgreSQL\) (\d+)(?:\.|devel|beta|rc|\s|$)/.exec(versionOutput);
  return match === null ? undefined : Number(match[1]);
}
