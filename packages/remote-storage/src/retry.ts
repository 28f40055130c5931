import { setTimeout as sleep } from 'node:timers/promises';
import { RemoteStorageError } from './errors.ts';

/** How often and how soon something is tried again. */
export interface RetryPolicy {
  /** Tries in all. */
  readonly attemptsMax: number;
  /** Pause after the first failure; doubled after each. Unit: ms. */
  readonly backoffMinMs: number;
  /** Longest pause. Unit: ms. */
  readonly backoffMaxMs: number;
}

/** For one operation: some 6 seconds of pauses. */
export const OPERATION_RETRIES: RetryPolicy = { attemptsMax: 6, backoffMinMs: 100, backoffMaxMs: 3000 };

/** The pause after failure number `failures` (from 1), shortened at random by up to half, so that many who failed together do not come back together. Unit: ms. */
export function backoffMs(policy: RetryPolicy, failures: number): number {
  const full = Math.min(policy.backoffMaxMs, policy.backoffMinMs * 2 ** Math.min(failures - 1, 30));
  return full * (0.5 + Math.random() / 2);
}

/** Runs `attempt` until it does not throw RemoteStorageError `unavailable`, as the policy allows. @throws its last error; the signal's reason */
export async function withRetries<T>(
  policy: RetryPolicy,
  signal: AbortSignal | undefined,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof RemoteStorageError) || error.code !== 'unavailable' || failures >= policy.attemptsMax)
        throw error;
      await sleep(backoffMs(policy, failures), undefined, signal === undefined ? {} : { signal }).catch(() =>
        signal?.throwIfAborted(),
      );
    }
  }
}
