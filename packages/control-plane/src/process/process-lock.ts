import { randomBytes } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { assert } from '@zenith/base';
import { ControlPlaneError, throwIfInterrupted } from '../errors.ts';
import { identifyProcess, isAlive, type ProcessIdentity } from '@zenith/service';

/**
 * Mutual exclusion between processes (and between tasks of one process), without a stale lock to break.
 *
 * Whoever wants the lock creates a file of its own, `<lock>.<pid>-<start ticks>-<nonce>`, and *then* looks at the folder. It holds the lock when
 * nobody else who is alive has a file there; otherwise it takes its file away and tries again after a random pause. Of two that overlap at least
 * one sees the other, as each raises its flag before it looks. A file of a dead process is ignored and removed by anyone: its name will never
 * be used again, so that removing it can hurt nobody, which is what a single lock file with a pid in it cannot promise.
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

function parseHolder(lockName: string, fileName: string): ProcessIdentity | undefined {
  if (!fileName.startsWith(`${lockName}.`)) return undefined;
  const match = /^(\d+)-(\d+)-[0-9a-f]+$/.exec(fileName.slice(lockName.length + 1));
  return match === null ? undefined : { pid: Number(match[1]), startTicks: Number(match[2]) };
}

/** The processes other than the owner of `ownFile` that want or hold the lock; removes the files of the dead. */
function others(folder: string, lockName: string, ownFile: string): ProcessIdentity[] {
  const alive: ProcessIdentity[] = [];
  for (const fileName of readdirSync(folder)) {
    const holder = fileName === ownFile ? undefined : parseHolder(lockName, fileName);
    if (holder === undefined) continue;
    if (isAlive(holder)) alive.push(holder);
    else rmSync(join(folder, fileName), { force: true });
  }
  return alive;
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
  const self = identifyProcess(process.pid);
  assert(self !== undefined, 'a running process finds itself in /proc');
  mkdirSync(folder, { recursive: true });
  const deadline = performance.now() + options.timeoutMs;
  for (;;) {
    const ownFile = `${lockName}.${self.pid}-${self.startTicks}-${randomBytes(6).toString('hex')}`;
    const ownPath = join(folder, ownFile);
    closeSync(openSync(ownPath, 'wx'));
    try {
      const rivals = others(folder, lockName, ownFile);
      if (rivals.length === 0) return await work();
      if (performance.now() >= deadline) {
        throw new ControlPlaneError(
          'busy',
          `another zenith command (pid ${rivals[0]?.pid}) ${options.doing}; try again when it has finished`,
        );
      }
      throwIfInterrupted(options.signal);
    } finally {
      rmSync(ownPath, { force: true });
    }
    await sleep(PAUSE_MIN_MS + Math.random() * (PAUSE_MAX_MS - PAUSE_MIN_MS));
  }
}
