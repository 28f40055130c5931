import { formatLsn, type Lsn } from '@zenith/base';
import { PageserverClient } from '../clients/pageserver-client.ts';
import { ControlPlaneError } from '../errors.ts';
import type { BranchRecord, TimelineRecord } from '../metadata/records.ts';
import { requireNodes } from '../nodes/start-stop.ts';
import { withProcessLock } from '../process/process-lock.ts';
import type { Repository } from '../repository/repository.ts';
import { findLsn } from '../history/find-lsn.ts';
import { checkNewBranchName } from './branch-name.ts';
import { commitPoint } from './commit-point.ts';
import { withNewTimeline, type Origin } from './new-timeline.ts';
import { alignLsn, parseStartPoint, type Position, type StartPoint } from './start-point.ts';

/** A branch with the timeline it names. */
export interface Branch extends BranchRecord {
  readonly record: TimelineRecord;
}

/** The branch a start point is taken from when none is named. */
export const MAIN_BRANCH = 'main';

/** Longest wait for another command that makes a branch of the same name. Unit: milliseconds. */
const LOCK_TIMEOUT_MS = 30_000;

/** The timeline that a start point names, and its name for messages. @throws ControlPlaneError `no-such-branch`, `no-such-timeline` */
export async function findOrigin(
  { catalog }: Repository,
  start: StartPoint,
): Promise<{ timeline: TimelineRecord; named: string }> {
  if ('timeline' in start)
    return { timeline: await catalog.timeline(start.timeline), named: `timeline ${start.timeline}` };
  const branch = await catalog.branch(start.branch);
  return { timeline: await catalog.timeline(branch.timeline), named: `branch '${branch.name}'` };
}

/**
 * Checks that an LSN lies in the timeline's own history.
 * @param named the timeline, for messages
 * @param end the commit point
 * @throws ControlPlaneError `lsn-before-start`, `lsn-in-future`
 */
export function checkStartLsn(at: Lsn, timeline: Pick<TimelineRecord, 'startLsn'>, end: Lsn, named: string): void {
  if (at < timeline.startLsn) {
    throw new ControlPlaneError(
      'lsn-before-start',
      `${formatLsn(at)} lies before ${named}, which begins at ${formatLsn(timeline.startLsn)}; for an earlier state start from its parent`,
    );
  }
  if (at > end)
    throw new ControlPlaneError(
      'lsn-in-future',
      `${formatLsn(at)} lies in the future of ${named}, which ends at ${formatLsn(end)}`,
    );
}

/**
 * Finds a position in the history of a timeline. A time may lie in what it shares with its ancestors: then the branch is an ancestor's.
 * @param named the timeline, for messages
 * @throws ControlPlaneError `lsn-before-start`, `lsn-in-future`, `time-before-history`, `time-after-last-commit`, `not-running`, …
 */
export async function resolvePosition(
  repository: Repository,
  timeline: TimelineRecord,
  position: Position,
  named: string,
): Promise<Origin> {
  const end = await commitPoint(repository, timeline);
  if (position.time !== undefined) {
    const found = await findLsn(repository, timeline, end, position.time);
    return { timeline: found.timeline, lsn: alignLsn(found.lsn) };
  }
  const lsn = position.lsn ?? end;
  // What a pageserver has ingested was committed, also when the safekeepers have lost it: from there a branch goes on.
  const ingested = lsn > end ? await new PageserverClient(repository).timeline(timeline.id) : undefined;
  checkStartLsn(lsn, timeline, Math.max(end, ingested?.lastRecordLsn ?? end) as Lsn, named);
  return { timeline, lsn };
}

/**
 * Creates a branch: a timeline that shares all history of another one up to an LSN. Copies nothing; takes as long on a large database as on an empty one.
 * @param start as {@link parseStartPoint} reads it. Without an LSN the branch holds every commit that was acknowledged before the call
 * @throws ControlPlaneError `invalid-name`, `branch-exists`, `invalid-start`, `no-such-branch`, `no-such-timeline`, `lsn-before-start`, `lsn-in-future`,
 *   `invalid-time`, `time-before-history`, `time-after-last-commit`, `not-running`, `service-refused`, …; no branch exists then
 */
export async function createBranch(repository: Repository, name: string, start: string = MAIN_BRANCH): Promise<Branch> {
  checkNewBranchName(name);
  const startPoint = parseStartPoint(start);
  return withProcessLock(
    repository.layout.locks,
    `branch-${name}`,
    { timeoutMs: LOCK_TIMEOUT_MS, doing: `is creating the branch '${name}'` },
    async () => {
      const { catalog } = repository;
      if (await catalog.hasBranch(name))
        throw new ControlPlaneError('branch-exists', `a branch '${name}' exists already`);
      const { timeline, named } = await findOrigin(repository, startPoint);
      await requireNodes(repository);
      const find = (): Promise<Origin> => resolvePosition(repository, timeline, startPoint, named);
      return withNewTimeline(repository, find, async (record) => ({
        ...(await catalog.addBranch(name, record)),
        record,
      }));
    },
  );
}

/** All branches with their timelines, by name. */
export async function listBranches({ catalog }: Repository): Promise<Branch[]> {
  const timelines = new Map((await catalog.timelines()).map((timeline) => [timeline.id, timeline]));
  const branches: Branch[] = [];
  for (const branch of await catalog.branches()) {
    const record = timelines.get(branch.timeline);
    // A branch and its timeline are written together; one that came between the two reads is left for the next listing.
    if (record !== undefined) branches.push({ ...branch, record });
  }
  return branches;
}
