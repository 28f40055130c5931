import { setTimeout as sleep } from 'node:timers/promises';
import { ProcessFlag } from '@zenith/service';
import { ControlPlaneError, throwIfInterrupted } from '../errors.ts';

/**
 * Mutual exclusion between processes (and between tasks of one process), without a stale lock to break.
 *
 * Whoever wants the lock raises its flag (see {@link ProcessFlag}) and *then* looks. It holds the lock when nobody else who is alive has one up; otherwise it takes its own down and tries again after a random pause.
 */
const PAUSE_MIN_MS = 1;
const PAUSE_MAX_MS = 25;

/** How a lock is waited for. */
export interface LockOptions {
  /** Give up after this long. Unit: milliseconds. */
  readonly timeoutMs: number;
  /** What the holder is doing, for the message of who gives up: "another zenith command (pid 7) <doing>". */
  readonly doing: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs `work` while it alone, of everyone who uses the same folder and name, holds the lock. The lock ends with `work`, or with the process.
 * @param folder where the lock's files go; made when it is missing
 * @param lockName letters, digits, `.`, `_` and `-`
 * @throws ControlPlaneError `busy` when somebody else held it for `timeoutMs`; `interrupted`
 */
export async function withProcessLock<T>(
  folder: string,
  lockName: string,
  options: LockOptions,
  work: () => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + options.timeoutMs;
  for (;;) {
    const flag = ProcessFlag.raise(folder, lockName);
    try {
      const rivals = flag.rivals();
      if (rivals.length === 0) return await work();
      if (performance.now() >= deadline) {
        throw new ControlPlaneError(
          'busy',
          `another zenith command (pid ${rivals[0]?.pid}) ${options.doing}; try again when it has finished`,
        );
      }
      throwIfInterrupted(options.signal);
    } finally {
      flag.lower();
    }
    await sleep(PAUSE_MIN_MS + Math.random() * (PAUSE_MAX_MS - PAUSE_MIN_MS));
  }
}
