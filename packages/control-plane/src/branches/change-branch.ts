import type { TimelineId } from '@zenith/base';
import { removeComputeFiles } from '../endpoints/compute-files.ts';
import { withComputeLock } from '../endpoints/compute-lock.ts';
import { endpointProcess, endpointsOf } from '../endpoints/endpoint-process.ts';
import { ControlPlaneError } from '../errors.ts';
import type { BranchesChange, BranchesView } from '../metadata/branches-change.ts';
import type { BranchRecord } from '../metadata/records.ts';
import { requireNodes } from '../nodes/start-stop.ts';
import { withProcessLock } from '../process/process-lock.ts';
import type { Repository } from '../repository/repository.ts';
import { checkNewBranchName } from './branch-name.ts';
import { resolvePosition, type Branch } from './create-branch.ts';
import { finishTimelines, withNewTimeline, type Origin } from './new-timeline.ts';
import type { Position } from './start-point.ts';

/** Longest wait for another command that creates an endpoint. Unit: milliseconds. */
const ENDPOINTS_TIMEOUT_MS = 30_000;

/** What came of a change that leaves something for storage to remove. */
export interface Removal {
  /** Why some of it is not removed yet; the next command that changes branches, or `zenith start`, goes on. */
  readonly pending: readonly Error[];
}

/** No compute starts or stops on the timeline and no endpoint is made while `work` runs; none runs. @throws ControlPlaneError `endpoint-running` */
async function whileStill<T>(repository: Repository, branch: BranchRecord, work: () => Promise<T>): Promise<T> {
  return withComputeLock(repository, branch.timeline, async () => {
    const running = (await endpointsOf(repository, branch.timeline)).find(
      ({ name }) => endpointProcess(repository, name) !== undefined,
    );
    if (running !== undefined)
      throw new ControlPlaneError(
        'endpoint-running',
        `endpoint '${running.name}' is running on branch '${branch.name}': stop it with 'zenith pg stop ${running.name}'`,
      );
    return withEndpointsLock(repository, work);
  });
}

function withEndpointsLock<T>({ layout }: Repository, work: () => Promise<T>): Promise<T> {
  const options = { timeoutMs: ENDPOINTS_TIMEOUT_MS, doing: 'is creating an endpoint or changing a branch' };
  return withProcessLock(layout.locks, 'endpoints', options, work);
}

/** The branch as it is, if it still names the timeline. @throws ControlPlaneError `no-such-branch`, `conflict`, `branch-protected` */
function requireUnchanged({ branches }: BranchesView, { name, timeline }: BranchRecord): BranchRecord {
  const now = branches.get(name);
  if (now === undefined)
    throw new ControlPlaneError('no-such-branch', `no branch '${name}'; 'zenith branch' lists those there are`);
  if (now.timeline !== timeline)
    throw new ControlPlaneError('conflict', `branch '${name}' was changed by another command; try again`);
  if (now.isProtected)
    throw new ControlPlaneError(
      'branch-protected',
      `branch '${name}' is protected: 'zenith branch unprotect ${name}' first`,
    );
  return now;
}

/** @throws ControlPlaneError `branch-has-branches` */
function requireChildless({ branches, timelines }: BranchesView, { name, timeline }: BranchRecord, hint: string): void {
  const child = [...branches.values()].find((one) => timelines.get(one.timeline)?.ancestor === timeline);
  if (child !== undefined)
    throw new ControlPlaneError('branch-has-branches', `branch '${child.name}' was made from '${name}': ${hint}`);
}

/**
 * Deletes a branch, its endpoints and its data. One transaction: afterwards the branch is gone, whatever dies; its data go then, or with the next command that changes branches.
 * @throws ControlPlaneError `no-such-branch`, `branch-protected`, `branch-has-branches`, `endpoint-running`; nothing has changed then
 */
export async function deleteBranch(repository: Repository, name: string): Promise<Removal> {
  const { catalog } = repository;
  const branch = await catalog.branch(name);
  await whileStill(repository, branch, async () => {
    const endpointsOfIt = (view: BranchesView): string[] => {
      requireUnchanged(view, branch);
      requireChildless(view, branch, 'delete that one first');
      return [...view.endpoints.values()].filter((one) => one.branch === name).map((one) => one.name);
    };
    // Files before entries: when this is killed in between, the entries still say what there is to remove.
    for (const endpoint of endpointsOfIt(await catalog.branchesView())) await removeComputeFiles(repository, endpoint);
    await catalog.changeBranches((view) => ({
      removeEndpoints: endpointsOfIt(view),
      removeBranches: [name],
      removeTimelines: [branch.timeline],
    }));
  });
  return { pending: await finishTimelines(repository) };
}

/**
 * Gives a branch another name. Its endpoints stay on it; one that has the branch's name and does not run gets the new name as well.
 * @throws ControlPlaneError `no-such-branch`, `branch-exists`, `invalid-name`; nothing has changed then
 */
export async function renameBranch(repository: Repository, name: string, to: string): Promise<void> {
  checkNewBranchName(to);
  const { catalog } = repository;
  const { timeline } = await catalog.branch(name);
  await withComputeLock(repository, timeline, () =>
    withEndpointsLock(repository, async () => {
      const isStill = endpointProcess(repository, name) === undefined;
      const renaming = ({ branches, endpoints }: BranchesView): BranchesChange & { readonly renamed: boolean } => {
        const branch = branches.get(name);
        if (branch === undefined)
          throw new ControlPlaneError('no-such-branch', `no branch '${name}'; 'zenith branch' lists those there are`);
        if (branches.has(to)) throw new ControlPlaneError('branch-exists', `a branch '${to}' exists already`);
        const own = [...endpoints.values()].filter((one) => one.branch === name);
        const renamed = isStill && !endpoints.has(to) && own.some((one) => one.name === name);
        return {
          renamed,
          putBranches: [{ ...branch, name: to }],
          removeBranches: [name],
          putEndpoints: own.map((one) => ({ ...one, branch: to, name: renamed && one.name === name ? to : one.name })),
          removeEndpoints: renamed ? [name] : [],
        };
      };
      // Files before entries, as in deleteBranch().
      if (renaming(await catalog.branchesView()).renamed) await removeComputeFiles(repository, name);
      await catalog.changeBranches(renaming);
    }),
  );
}

/** Protects a branch from being deleted, reset or restored, or does so no longer. Harmless to repeat. @throws ControlPlaneError `no-such-branch` */
export async function protectBranch({ catalog }: Repository, name: string, isProtected: boolean): Promise<void> {
  await catalog.changeBranches(({ branches }) => {
    const branch = branches.get(name);
    if (branch === undefined)
      throw new ControlPlaneError('no-such-branch', `no branch '${name}'; 'zenith branch' lists those there are`);
    return branch.isProtected === isProtected ? undefined : { putBranches: [{ ...branch, isProtected }] };
  });
}

/**
 * Makes a branch what its parent is now: its name stands for a new timeline from the parent's present end. What was committed on it is deleted, unless it is kept under another name.
 * @param keepAs a name for the state before
 * @throws ControlPlaneError `branch-has-no-parent`, `branch-protected`, `branch-has-branches`, `branch-exists`, `endpoint-running`, `not-running`, …; nothing has changed then
 */
export async function resetBranch(
  repository: Repository,
  name: string,
  keepAs: string | undefined,
): Promise<Branch & Removal> {
  const { catalog } = repository;
  const branch = await catalog.branch(name);
  const { ancestor } = await catalog.timeline(branch.timeline);
  if (ancestor === undefined)
    throw new ControlPlaneError(
      'branch-has-no-parent',
      `branch '${name}' was made from no other: there is nothing to reset it to`,
    );
  await requireNodes(repository);
  const parent = await catalog.timeline(ancestor);
  const end = { lsn: undefined, time: undefined };
  const origin = await resolvePosition(repository, parent, end, `timeline ${ancestor}`);
  return replaceTimeline(repository, branch, origin, keepAs);
}

/**
 * Takes a branch back to a position of its history. The state before stays, under another name, and branches that were made from it stay its branches. Repeating it with the same name to keep is harmless.
 * @param keepAs the name for the state before
 * @throws ControlPlaneError `branch-exists`, `branch-protected`, `endpoint-running`, `lsn-in-future`, `lsn-before-start`, `time-before-history`, …; nothing has changed then
 */
export async function restoreBranch(
  repository: Repository,
  name: string,
  to: Position,
  keepAs: string,
): Promise<Branch & Removal> {
  const { catalog } = repository;
  await requireNodes(repository);
  const branch = await catalog.branch(name);
  const record = await catalog.timeline(branch.timeline);
  const kept = (await catalog.branches()).find((one) => one.name === keepAs);
  if (kept !== undefined) {
    const before = await locatePosition(repository, kept.timeline, to, keepAs);
    if (before.timeline.id === record.ancestor && before.lsn === record.startLsn)
      return { ...branch, record, pending: [] };
    throw new ControlPlaneError(
      'branch-exists',
      `a branch '${keepAs}' exists already: choose another name for --keep-as`,
    );
  }
  const origin = await locatePosition(repository, branch.timeline, to, name);
  return replaceTimeline(repository, branch, origin, keepAs);
}

/** A position in the history of a timeline or in what it shares with its ancestors. */
async function locatePosition(
  repository: Repository,
  timeline: TimelineId,
  to: Position,
  name: string,
): Promise<Origin> {
  const { catalog } = repository;
  let at = await catalog.timeline(timeline);
  while (to.lsn !== undefined && to.lsn < at.startLsn && at.ancestor !== undefined)
    at = await catalog.timeline(at.ancestor);
  return resolvePosition(repository, at, to, at.id === timeline ? `branch '${name}'` : `timeline ${at.id}`);
}

/** Lets a branch's name stand for a new timeline, in one transaction. */
async function replaceTimeline(
  repository: Repository,
  branch: BranchRecord,
  origin: Origin,
  keepAs: string | undefined,
): Promise<Branch & Removal> {
  const { catalog } = repository;
  if (keepAs !== undefined) checkNewBranchName(keepAs);
  const record = await whileStill(repository, branch, () =>
    withNewTimeline(
      repository,
      () => Promise.resolve(origin),
      async (made) => {
        await catalog.changeBranches((view) => {
          const old = requireUnchanged(view, branch);
          if (!view.timelines.has(origin.timeline.id))
            throw new ControlPlaneError(
              'conflict',
              `timeline ${origin.timeline.id} was removed by another command; try again`,
            );
          if (keepAs === undefined) requireChildless(view, branch, 'give the present state a name with --keep-as');
          else if (view.branches.has(keepAs))
            throw new ControlPlaneError(
              'branch-exists',
              `a branch '${keepAs}' exists already: choose another name for --keep-as`,
            );
          return {
            putTimelines: [made],
            putBranches: [
              { ...old, timeline: made.id },
              ...(keepAs === undefined ? [] : [{ ...old, name: keepAs, isProtected: false }]),
            ],
            removeTimelines: keepAs === undefined ? [old.timeline] : [],
            finished: [made.id],
          };
        });
        return made;
      },
    ),
  );
  return { ...branch, timeline: record.id, record, pending: await finishTimelines(repository) };
}
