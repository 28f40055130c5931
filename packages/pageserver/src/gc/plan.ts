import type { Lsn } from '@zenith/base';
import { commitAt } from '../commit-times/find-commit.ts';
import type { CommitTime } from '../commit-times/commit-time.ts';
import type { TimelineState } from '../timeline/timeline-state.ts';

/** After a start leases that were kept before are kept for so long: who has one, on a disk that is lost, asks for it again meanwhile. Unit: ms. */
const LEASES_GRACE_MS = 15 * 60 * 1000;

/** How much history is kept: as much as both say. */
export interface HistoryPolicy {
  /** What was current within this time can be read. Unit: ms. */
  readonly timeMs: number;
  /** So much WAL before the end can be read. Unit: bytes. */
  readonly bytes: number;
}

/** What a collection keeps: everything from the cutoff on, and some points below. */
export interface CollectionPlan {
  readonly cutoff: Lsn;
  readonly points: readonly Lsn[];
}

/**
 * The LSN below which the policy wants nothing kept; 0 when it wants everything. By time: the end of the last commit that is older than that, so that every state that was current since then is there.
 * @param now unit: ms since 1970
 */
function wantedCutoff(state: TimelineState, policy: HistoryPolicy, now: number): Lsn {
  const end = Math.min(state.lastRecordLsn - policy.bytes, state.diskConsistentLsn) as Lsn;
  if (end <= state.initialLsn) return 0 as Lsn;
  const old = commitAt(state, state.lastRecordLsn, ((now - policy.timeMs) * 1000) as CommitTime);
  return old === undefined || old.state !== state ? (0 as Lsn) : (Math.min(old.lsn, end) as Lsn);
}

/** Where leases are read in a timeline's layers: its own, and those of its branches below their own history. @param now unit: ms since 1970 */
export function leasedLsns(state: TimelineState, states: Iterable<TimelineState>, now: number): readonly Lsn[] {
  const found: Lsn[] = [];
  for (const holder of states)
    for (const { lsn } of holder.leases.active(now)) {
      let at = holder;
      while (at !== state && at.ancestor !== undefined && lsn < at.initialLsn) at = at.ancestor.state;
      if (at === state) found.push(lsn);
    }
  return found;
}

/**
 * Decides what a collection keeps, and publishes it: from this turn on a branch or a lease below the cutoff is refused. A cutoff never goes back.
 * @param branchPoints where timelines leave this one, those that are being made or removed included
 * @param leases as {@link leasedLsns} gives them
 * @param now unit: ms since 1970
 */
export function planCollection(
  state: TimelineState,
  policy: HistoryPolicy,
  branchPoints: readonly Lsn[],
  leases: readonly Lsn[],
  now: number,
): CollectionPlan {
  const cutoff = Math.max(state.gcCutoff, wantedCutoff(state, policy, now)) as Lsn;
  const isFresh = state.shared.now() - state.openedAt < LEASES_GRACE_MS;
  // One that had ended, which was not durable yet or by a clock that went back since, may be there again: what it kept is gone.
  const isKept = (lsn: Lsn): boolean => lsn >= state.gcCutoff || state.retained.has(lsn);
  const leased = [...leases, ...(isFresh ? state.retainedBefore : [])].filter((lsn) => lsn < cutoff && isKept(lsn));
  state.gcCutoff = cutoff;
  state.retained = new Set(leased);
  return { cutoff, points: [...new Set([...leased, ...branchPoints.filter((lsn) => lsn < cutoff)])] };
}
