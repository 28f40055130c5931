import { rmSync, writeFileSync } from 'node:fs';
import { ServiceError } from './errors.ts';
import { identifyProcess } from './process-identity.ts';
import { readIfThere } from './read-if-there.ts';

/** Attempts to take over a file that a dead process left. */
const ATTEMPTS_MAX = 3;

/**
 * Holds a data directory for this process: a file with its pid and when it started (clock ticks since boot), by which a pid that was given out again is told apart.
 * Whoever starts services lets one at a time begin: two that find the same leftover at the same moment are not told apart.
 */
export class PidFile {
  readonly #path: string;

  private constructor(path: string) {
    this.#path = path;
  }

  /** @throws ServiceError `data-directory-in-use` when the process that is named there is alive; what the file system throws */
  static acquire(path: string): PidFile {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      try {
        writeFileSync(path, `${process.pid} ${identifyProcess(process.pid)?.startTicks ?? ''}\n`, {
          flag: 'wx',
          mode: 0o600,
        });
        return new PidFile(path);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      const holder = liveHolder(path);
      if (holder !== undefined)
        throw new ServiceError(
          'data-directory-in-use',
          `process ${holder} uses this data directory (${path}): stop it first`,
        );
      rmSync(path, { force: true });
    }
    throw new ServiceError('data-directory-in-use', `another process is about to use this data directory (${path})`);
  }

  /** Gives the data directory up. */
  release(): void {
    rmSync(this.#path, { force: true });
  }
}

function liveHolder(path: string): number | undefined {
  const [pid = '', startTicks] = (readIfThere(path) ?? '').trim().split(/\s+/);
  if (!/^[1-9]\d*$/.test(pid) || Number(pid) === process.pid) return undefined;
  const identity = identifyProcess(Number(pid));
  return identity !== undefined && (startTicks === undefined || Number(startTicks) === identity.startTicks)
    ? identity.pid
    : undefined;
}
