import { closeSync, constants, fstatSync, openSync, writeSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { ServiceError } from './errors.ts';
import { ProcessFlag } from './process-flag.ts';
import { identifyProcess } from './process-identity.ts';
import { readIfThere } from './read-if-there.ts';

/** Longest wait for another process that looks whether the data directory is free; none takes longer than reading one file. Unit: milliseconds. */
const RIVAL_TIMEOUT_MS = 2_000;

/** Two that see each other try again after different pauses. Unit: milliseconds. */
const PAUSE_MIN_MS = 1;
const PAUSE_MAX_MS = 25;

/**
 * Holds a data directory for this process: a file with its pid and when it started (clock ticks since boot), by which a pid that was given out again is told apart. Of any number of processes that come at once, one gets it.
 *
 * The file stays when the directory is given up, and names nobody then: whoever takes it next writes over its bytes, for which there is room on a full disk, too.
 */
export class PidFile {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** @throws ServiceError `data-directory-in-use` when the process that is named there is alive; what the file system throws */
  static acquire(path: string): PidFile {
    const deadline = performance.now() + RIVAL_TIMEOUT_MS;
    for (;;) {
      const flag = ProcessFlag.raise(dirname(path), basename(path));
      try {
        const [rival] = flag.rivals();
        if (rival === undefined) {
          takeOver(path);
          return new PidFile(path);
        }
        if (performance.now() >= deadline)
          throw new ServiceError(
            'data-directory-in-use',
            `process ${rival.pid} is about to use this data directory (${path}): stop it first`,
          );
      } finally {
        flag.lower();
      }
      pause();
    }
  }

  /** Gives the data directory up. */
  release(): void {
    try {
      overwrite(openSync(this.#path, 'r+'), '');
    } catch (error) {
      // Who removes a data directory under a process leaves nothing to give up.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

/** The caller alone does so now. */
function takeOver(path: string): void {
  const holder = liveHolder(path);
  if (holder !== undefined)
    throw new ServiceError(
      'data-directory-in-use',
      `process ${holder} uses this data directory (${path}): stop it first`,
    );
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT, 0o600);
  overwrite(fd, `${process.pid} ${identifyProcess(process.pid)?.startTicks ?? ''}`);
}

/** Writes one line over a file's bytes, so many at least as there are: nothing is freed that another could take. One write, so that a reader sees all of it or none. Closes the file. */
function overwrite(fd: number, text: string): void {
  try {
    const line = Buffer.from(`${text.padEnd(fstatSync(fd).size - 1)}\n`);
    if (writeSync(fd, line, 0, line.length, 0) !== line.length) throw new Error('a pid file was not written whole');
  } finally {
    closeSync(fd);
  }
}

/** Waits without giving up the thread: nothing else of a process goes on before it has its data directory. */
function pause(): void {
  const pauseMs = PAUSE_MIN_MS + Math.random() * (PAUSE_MAX_MS - PAUSE_MIN_MS);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, pauseMs);
}

function liveHolder(path: string): number | undefined {
  const [pid = '', startTicks] = (readIfThere(path) ?? '').trim().split(/\s+/);
  if (!/^[1-9]\d*$/.test(pid) || Number(pid) === process.pid) return undefined;
  const identity = identifyProcess(Number(pid));
  return identity !== undefined && (startTicks === undefined || Number(startTicks) === identity.startTicks)
    ? identity.pid
    : undefined;
}
