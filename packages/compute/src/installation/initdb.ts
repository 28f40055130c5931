import { spawn } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { formatOf } from '@zenith/pg-format';
import { identifyProcess, isAlive } from '@zenith/service';
import { ComputeError } from '../errors.ts';
import type { OsUser } from '../os-user/os-user.ts';
import { Staging } from '../os-user/staging.ts';
import { serverEnvironment } from '../postgres/environment.ts';
import type { Installation } from './installation.ts';

/** What {@link initdb} is to make. */
export interface InitdbOptions {
  readonly installation: Installation;
  /** The OS user that runs it and owns the result. An installation that user cannot get to is staged first. */
  readonly user: OsUser;
  /** Name of the database superuser. */
  readonly superuser: string;
  /** Whether pages carry checksums. */
  readonly dataChecksums: boolean;
  /** Called with each line of progress initdb prints. */
  readonly onProgress?: (line: string) => void;
  /** Where the temporary directory is made; the system's by default. */
  readonly temporaryRoot?: string;
}

/** A freshly made data directory, shut down cleanly. The caller owns it and removes it. */
export interface InitializedDirectory {
  /** Absolute path of the data directory. */
  readonly pgdata: string;
  /** Removes it. */
  remove(): void;
}

/** initdb takes 1 to 10 s on slow machines; one that hangs is stopped. Unit: milliseconds. */
const INITDB_TIMEOUT_MS = 300_000;

/** How often a folder in which files are still being made is tried again, after pauses that grow by 100 ms. */
const REMOVAL_TRIES_MAX = 10;

/** How much of initdb's output is kept for the error message. Unit: characters. */
const OUTPUT_KEPT_MAX = 8192;

/**
 * Runs initdb into a temporary directory owned by `user`: C locale, UTF-8, trust authentication, no fsync (the
 * directory is imported and thrown away).
 * @throws ComputeError `initdb-failed` with initdb's own words; nothing is left behind then
 */
export async function initdb(options: InitdbOptions): Promise<InitializedDirectory> {
  const { user } = options;
  const installation = new Staging(user, options.onProgress).installation(options.installation);
  const temporaryRoot = options.temporaryRoot ?? tmpdir();
  removeAbandoned(temporaryRoot, user);
  const self = identifyProcess(process.pid);
  const folder = mkdtempSync(join(temporaryRoot, `zenith-initdb-${self?.pid}-${self?.startTicks}-`));
  const remove = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  try {
    chmodSync(folder, 0o700);
    if (user.spawnAs.uid !== undefined) chownSync(folder, user.uid, user.gid);
    const pgdata = join(folder, 'pgdata');
    await run({ ...options, installation }, [
      '-D',
      pgdata,
      '-U',
      options.superuser,
      '-E',
      'UTF8',
      '--no-locale',
      '--auth=trust',
      '--no-sync',
      '--no-instructions',
      ...checksumArguments(installation, options.dataChecksums),
    ]);
    return { pgdata, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Removes the folders of this user's whose process was killed, as their names and owners tell: each holds a whole cluster, and nobody else would remove it. */
function removeAbandoned(temporaryRoot: string, user: OsUser): void {
  const owners = [process.getuid?.(), user.spawnAs.uid];
  for (const name of readdirSync(temporaryRoot)) {
    const [, pid, startTicks] = /^zenith-initdb-(\d+)-(\d+)-/.exec(name) ?? [];
    if (pid === undefined || isAlive({ pid: Number(pid), startTicks: Number(startTicks) })) continue;
    const folder = join(temporaryRoot, name);
    const owner = lstatSync(folder, { throwIfNoEntry: false })?.uid;
    // Its initdb may still be at work, and fails now.
    if (owners.includes(owner)) rmSync(folder, { recursive: true, force: true, maxRetries: REMOVAL_TRIES_MAX });
  }
}

/** The option that initdb's default makes necessary; none exists for what it does by itself before 18. */
function checksumArguments({ major }: Installation, wanted: boolean): readonly string[] {
  if (wanted === formatOf(major).dataChecksumsByDefault) return [];
  return [wanted ? '--data-checksums' : '--no-data-checksums'];
}

function run({ installation, user, onProgress }: InitdbOptions, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(join(installation.binDir, 'initdb'), args, {
      ...user.spawnAs,
      cwd: '/',
      env: serverEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: INITDB_TIMEOUT_MS,
      killSignal: 'SIGKILL',
    });
    let output = '';
    const keep = (text: string): void => {
      output = (output + text).slice(-OUTPUT_KEPT_MAX);
    };
    createInterface({ input: child.stdout }).on('line', (line) => {
      keep(`${line}\n`);
      if (line.trim() !== '') onProgress?.(line.trim());
    });
    child.stderr.setEncoding('utf8').on('data', keep);
    child.once('error', (error) =>
      reject(
        new ComputeError(
          'initdb-failed',
          `cannot run '${join(installation.binDir, 'initdb')}' as the OS user '${user.name}': ${error.message}`,
          { cause: error },
        ),
      ),
    );
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else
        reject(
          new ComputeError(
            'initdb-failed',
            `initdb ${signal === null ? `exited with ${code}` : `was ended by ${signal}`}: ${lastError(output)}`,
          ),
        );
    });
  });
}

/** The line of initdb's output that says what went wrong, or all that was kept. */
function lastError(output: string): string {
  const lines = output.split('\n').filter((line) => /error|fatal|could not|cannot|invalid/i.test(line));
  return (lines.at(-1) ?? output).trim();
}
