import type { TimelineId } from '@zenith/base';
import { withProcessLock } from '../process/process-lock.ts';
import type { Repository } from '../repository/repository.ts';

/** Starting or stopping a compute is bounded by less than this. Unit: milliseconds. */
const LOCK_TIMEOUT_MS = 300_000;

/**
 * Runs `work` while no other command starts or stops a compute of the timeline or elects on its behalf: of two computes on one timeline the quorum would fence the first.
 * @throws ControlPlaneError `busy`, `interrupted`
 */
export function withComputeLock<T>(
  { layout }: Repository,
  timeline: TimelineId,
  work: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  return withProcessLock(
    layout.locks,
    `compute-${timeline}`,
    { timeoutMs: LOCK_TIMEOUT_MS, doing: 'is starting or stopping a compute of this branch', signal },
    work,
  );
}
