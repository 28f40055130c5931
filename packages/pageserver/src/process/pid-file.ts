import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { PageserverError } from '../errors.ts';

/** Attempts to take over a file that a dead process left. */
const ATTEMPTS_MAX = 3;

/**
 * Holds a data directory for this process: a file with its pid and when it started (clock ticks since boot), by which a pid that was given out again is told apart.
 */
export class PidFile {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** @throws PageserverError `already-running` when the process that is named there is alive */
  static acquire(path: string): PidFile {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      try {
        writeFileSync(path, `${process.pid} ${startTicks(process.pid) ?? ''}\n`, { flag: 'wx', mode: 0o600 });
        return new PidFile(path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const holder = liveHolder(path);
      if (holder !== undefined)
        throw new PageserverError(
          'already-running',
          `process ${holder} uses this data directory (${path}): stop it first`,
        );
      rmSync(path, { force: true });
    }
    throw new PageserverError('already-running', `another process is about to use this data directory (${path})`);
  }

  /** Gives the data directory up. */
  release(): void {
    rmSync(this.#path, { force: true });
  }
}

function liveHolder(path: string): number | undefined {
  let words: string[];
  try {
    words = readFileSync(path, 'utf8').trim().split(/\s+/);
  } catch {
    return undefined; // it went away in between
  }
  const pid = Number(words[0]);
  if (!Number.isSafeInteger(pid) || pid <= 0 || pid === process.pid) return undefined;
  const ticks = startTicks(pid);
  return ticks !== undefined && (words[1] === undefined || Number(words[1]) === ticks) ? pid : undefined;
}

/** When a process started; undefined when there is none. proc(5): /proc/pid/stat, field 22. */
function startTicks(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : Number(fields[19]);
  } catch {
    return undefined;
  }
}
