import { assert, formatLsn, unreachable, type Lsn, type TimelineId } from '@zenith/base';
import { hasQuorum, nodeId } from '@zenith/consensus';
import { PageserverClient } from '../clients/pageserver-client.ts';
import { withComputeLock } from '../endpoints/compute-lock.ts';
import { runningSupervisor } from '../endpoints/endpoint-process.ts';
import { timelineIdentity } from '../endpoints/quorum-sync.ts';
import { ControlPlaneError } from '../errors.ts';
import { listBranches, type Branch } from '../branches/create-branch.ts';
import type { SafekeepersRecord } from '../metadata/records.ts';
import { safekeeperAddresses } from '../nodes/service-config.ts';
import { withProcessLock } from '../process/process-lock.ts';
import type { Repository } from '../repository/repository.ts';
import { clientOf } from './install.ts';
import { shareRemoved } from './removed-timelines.ts';
import { readSafekeepers } from './safekeepers.ts';

/** Longest wait for another command that changes the safekeepers. Unit: milliseconds. */
const LOCK_TIMEOUT_MS = 300_000;

/** What came of one branch. */
export interface RestoredBranch {
  readonly branch: string;
  /**
   * - `present` a majority of the safekeepers has its WAL: nothing was to be done
   * - `restored` it ends at `endLsn` now
   * - `behind` the archive ends at `endLsn`, but the pageserver has taken in more: a new branch can begin where it ends
   * - `readable` it ends at `endLsn`, before other branches begin: everything up to there can be read, but no compute goes on while they exist, since its WAL would become theirs
   * - `lost` it begins after the end of what is left of its parent, which is at `endLsn`: its pages cannot be rebuilt
   * - `empty` the archive has no WAL of it, and the pageserver neither
   */
  readonly outcome: 'present' | 'restored' | 'behind' | 'readable' | 'lost' | 'empty';
  /** Where the archived WAL ends; undefined when there is none, or it was not looked at. */
  readonly endLsn: Lsn | undefined;
  /** What the pageserver has taken in. */
  readonly ingestedLsn: Lsn;
}

/**
 * Makes the timelines that a majority of the safekeepers has lost out of the archive, or out of what the others still have when that is more. A command that died on the way is given again and goes on. All members must run, so that nothing is taken for lost that is only away; they get a newer configuration, which whoever comes from before has to meet first.
 * @throws ControlPlaneError `members-changing`, `not-running`, `branch-in-use`, `service-refused`
 */
export function restoreSafekeepers(repository: Repository): Promise<RestoredBranch[]> {
  return withProcessLock(
    repository.layout.locks,
    'safekeepers',
    { timeoutMs: LOCK_TIMEOUT_MS, doing: 'is changing the safekeepers' },
    async () => {
      const { record, revision } = await readSafekeepers(repository);
      const { configuration } = record;
      if (configuration.newMembers !== null)
        throw new ControlPlaneError(
          'members-changing',
          "the members are being changed: end that first, see 'zenith safekeeper list'",
        );
      const newer: SafekeepersRecord = {
        ...record,
        configuration: { ...configuration, generation: configuration.generation + 1 },
      };
      await repository.catalog.replaceSafekeepers(newer, revision);
      await shareRemoved(repository, newer, configuration.members, configuration.members);
      const restored: RestoredBranch[] = [];
      const left = new Map<TimelineId, History>();
      const branches = await listBranches(repository);
      for (const branch of parentsFirst(branches)) {
        const { ancestor, startLsn } = branch.record;
        const parent = ancestor === undefined ? undefined : left.get(ancestor);
        const isLost = parent !== undefined && (parent.isLost || parent.endLsn < startLsn);
        const one = isLost
          ? { outcome: 'lost' as const, endLsn: parent.endLsn, reachedLsn: parent.endLsn, ingestedLsn: startLsn }
          : await withComputeLock(repository, branch.timeline, () => restoreBranch(repository, newer, branch));
        left.set(branch.timeline, { endLsn: one.reachedLsn, isLost });
        const isCut = branches.some(
          ({ record: of }) => of.ancestor === branch.timeline && of.startLsn > one.reachedLsn,
        );
        const { outcome, ingestedLsn } = one;
        restored.push(
          isCut && (outcome === 'restored' || outcome === 'present')
            ? { branch: branch.name, outcome: 'readable', endLsn: one.reachedLsn, ingestedLsn }
            : { branch: branch.name, outcome, endLsn: one.endLsn, ingestedLsn },
        );
      }
      return restored;
    },
  );
}

/** What is left of a branch. */
interface History {
  /** Where it ends, for branches that begin on it. */
  readonly endLsn: Lsn;
  /** It cannot be read. */
  readonly isLost: boolean;
}

/** Branches after those they begin on. */
function parentsFirst(branches: readonly Branch[]): Branch[] {
  const sorted: Branch[] = [];
  let waiting = branches;
  while (waiting.length > 0) {
    const blocked = new Set(waiting.map(({ timeline }) => timeline));
    const ready = waiting.filter(({ record: { ancestor } }) => ancestor === undefined || !blocked.has(ancestor));
    assert(ready.length > 0, 'no timeline is its own ancestor');
    sorted.push(...ready);
    const done = new Set(ready);
    waiting = waiting.filter((branch) => !done.has(branch));
  }
  return sorted;
}

/** What came of a branch by itself, and up to where pages of it can be rebuilt. */
interface RestoredTimeline extends Omit<RestoredBranch, 'branch' | 'outcome'> {
  readonly outcome: Exclude<RestoredBranch['outcome'], 'readable' | 'lost'>;
  readonly reachedLsn: Lsn;
}

async function restoreBranch(
  repository: Repository,
  record: SafekeepersRecord,
  branch: Branch,
): Promise<RestoredTimeline> {
  const { timeline, name } = branch;
  const pageserver = await new PageserverClient(repository).timeline(timeline);
  const ingestedLsn = pageserver?.lastRecordLsn ?? branch.record.startLsn;
  const { configuration } = record;
  const asked = await Promise.all(
    configuration.members.map(async (id) => ({ id, found: await clientOf(repository, record, id).timeline(timeline) })),
  );
  // One without WAL was made by an election after the loss.
  const found = asked.flatMap((one) =>
    one.found !== undefined && one.found.flushLsn > branch.record.startLsn ? [{ id: one.id, ...one.found }] : [],
  );
  const having = new Map(found.map(({ id, commitLsn }) => [id, commitLsn]));
  if (hasQuorum(configuration, (id) => having.has(id))) {
    // Of what was committed up to a branch point at least one of a majority has flushed all.
    const reachedLsn = Math.max(ingestedLsn, ...found.map(({ flushLsn }) => flushLsn)) as Lsn;
    return { outcome: 'present', endLsn: undefined, ingestedLsn, reachedLsn };
  }
  if ((await runningSupervisor(repository, timeline)) !== undefined)
    throw new ControlPlaneError(
      'branch-in-use',
      `a compute runs on branch '${name}': stop it first with 'zenith pg stop'`,
    );
  const identity = timelineIdentity(repository, branch.record);
  const lacking = configuration.members.filter((id) => !having.has(id));
  // What a few have is what was not lost, or what a command restored that died before it came to the others.
  const survivingLsn = Math.max(0, ...having.values()) as Lsn;
  const atLeastLsn = Math.max(ingestedLsn, survivingLsn) as Lsn;
  // Each makes it for itself: the archive says the same to all.
  const made = await Promise.all(
    lacking.map((id) => clientOf(repository, record, id).restore(identity, configuration, atLeastLsn)),
  );
  let endLsn = made[0]?.endLsn;
  let isRestored = made.every(({ restored }) => restored);
  if (!isRestored && survivingLsn >= ingestedLsn && having.size > 0) {
    // Nobody has more than the survivors: the others copy it.
    const donors = safekeeperAddresses(repository.config, record).filter(({ id }) => having.has(nodeId(id)));
    for (const id of lacking) await clientOf(repository, record, id).pull(timeline, donors);
    endLsn = survivingLsn;
    isRestored = true;
  }
  if (endLsn === undefined && ingestedLsn <= branch.record.startLsn)
    return { outcome: 'empty', endLsn, ingestedLsn, reachedLsn: ingestedLsn };
  // Whoever had it before has to meet the newer configuration, too.
  if (isRestored)
    await Promise.all(
      configuration.members.map((id) => clientOf(repository, record, id).configure(identity, configuration, 0)),
    );
  return isRestored && endLsn !== undefined
    ? { outcome: 'restored', endLsn, ingestedLsn, reachedLsn: endLsn }
    : { outcome: 'behind', endLsn, ingestedLsn, reachedLsn: ingestedLsn };
}

/** One line for a person. */
export function describeRestored({ branch, outcome, endLsn, ingestedLsn }: RestoredBranch): string {
  const end = endLsn === undefined ? 'nowhere' : formatLsn(endLsn);
  switch (outcome) {
    case 'present':
      return `${branch}: the safekeepers have its WAL`;
    case 'empty':
      return `${branch}: no WAL of it was archived; it begins at its start again`;
    case 'restored':
      return `${branch}: restored, it ends at ${end}; what was committed after that is lost`;
    case 'readable':
      return `${branch}: it ends at ${end}, what was committed after that is lost; branches that begin later are lost, too, and as long as they exist no compute goes on here: delete them, or go on with 'zenith branch NAME ${branch}@${end}'`;
    case 'lost':
      return `${branch}: it cannot be read, since what is left of its parent ends at ${end}, before it begins: delete it`;
    case 'behind':
      return `${branch}: ${endLsn === undefined ? 'nothing of its WAL was archived' : `the archived WAL ends at ${end}`}, but the pageserver has everything up to ${formatLsn(ingestedLsn)}: go on from there with 'zenith branch NAME ${branch}@${formatLsn(ingestedLsn)}'`;
    default:
      return unreachable(outcome);
  }
}
