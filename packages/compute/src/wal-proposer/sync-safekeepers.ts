import { WalProposer, type ElectionResult, type WalProposerOptions } from './wal-proposer.ts';

/** Longest wait for a quorum by default. Unit: milliseconds. */
const SYNC_TIMEOUT_MS = 30_000;

/** Bound on waiting until the safekeepers know of the commit point; it is committed whether they know or not. Unit: milliseconds. */
const COMMIT_KNOWN_TIMEOUT_MS = 2_000;

/**
 * Finds where a branch's WAL ends, and makes it durable on a quorum up to there: an election without new WAL. It fences a compute that runs on the branch, so it is
 * for branches without one.
 * @throws ComputeError `safekeepers-unreachable`
 */
export async function syncSafekeepers(
  options: WalProposerOptions,
  timeoutMs: number = SYNC_TIMEOUT_MS,
): Promise<ElectionResult> {
  const proposer = new WalProposer(options);
  try {
    const result = await proposer.elect(timeoutMs);
    await proposer.commitKnown(result.startLsn, COMMIT_KNOWN_TIMEOUT_MS);
    return result;
  } finally {
    proposer.close();
  }
}
