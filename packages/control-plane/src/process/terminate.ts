import { setTimeout as sleep } from 'node:timers/promises';
import { ControlPlaneError, isSystemError } from '../errors.ts';
import { isAlive, type ProcessIdentity } from '@zenith/service';

const POLL_MS = 10;

/** After SIGKILL a process is gone as soon as the kernel gets to it, unless it hangs in a system call. Unit: milliseconds. */
const KILL_WAIT_MS = 10_000;

/** Waits until the process is gone. @returns false when it still lives after `timeoutMs` */
export async function waitForExit(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(identity)) {
    if (performance.now() >= deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** Sends a signal to exactly this process; nothing when it is gone. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isAlive(identity)) return;
  try {
    process.kill(identity.pid, signal);
  } catch (error) {
    if (isSystemError(error, 'ESRCH')) return;
    throw new ControlPlaneError(
      'system',
      `cannot stop process ${identity.pid}: ${(error as Error).message}; it may belong to another user`,
      { cause: error },
    );
  }
}

/** How a process ended: by itself after SIGTERM, or only by SIGKILL. */
export type Termination = 'clean' | 'killed';

/**
 * Ends a process: SIGTERM, and SIGKILL when it has not gone after `graceMs`.
 * @throws ControlPlaneError `service-timeout` when even that did not end it
 */
export async function terminate(identity: ProcessIdentity, graceMs: number): Promise<Termination> {
  signalProcess(identity, 'SIGTERM');
  if (await waitForExit(identity, graceMs)) return 'clean';
  signalProcess(identity, 'SIGKILL');
  if (await waitForExit(identity, KILL_WAIT_MS)) return 'killed';
  throw new ControlPlaneError(
    'service-timeout',
    `process ${identity.pid} did not end, not even on SIGKILL: the machine's disk may hang`,
  );
}
