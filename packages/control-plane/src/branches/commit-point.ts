import type { Lsn } from '@zenith/base';
import { hasQuorum } from '@zenith/consensus';
import type { SafekeeperTimeline } from '../clients/answers.ts';
import { SafekeeperClient } from '../clients/safekeeper-client.ts';
import { runningSupervisor } from '../endpoints/endpoint-process.ts';
import { withComputeLock } from '../endpoints/compute-lock.ts';
import { syncQuorum } from '../endpoints/quorum-sync.ts';
import { ControlPlaneError } from '../errors.ts';
import type { TimelineRecord } from '../metadata/records.ts';
import type { Repository } from '../repository/repository.ts';
import { safekeepersOf, votersOf } from '../safekeepers/safekeepers.ts';

/** What a quorum's answers say about the end of what is committed. */
export type QuorumReading =
  /** No WAL was ever written: the end is where the timeline starts. */
  | { readonly kind: 'no-wal' }
  /** Everything that any commit could have been acknowledged for is known to be committed. */
  | { readonly kind: 'exact'; readonly lsn: Lsn }
  /** There is WAL that may or may not have been acknowledged; only an election can tell. */
  | { readonly kind: 'unknown' };

/**
 * Finds the commit point without an election, where that is possible. An acknowledged commit is on a quorum, so at least one of any quorum that answers has it: nothing beyond the
 * largest flush LSN among the answers was ever acknowledged. When that is committed itself, it is the commit point.
 * @param answers of at least a quorum of the safekeepers; undefined for one that has no WAL of the timeline
 */
export function readQuorum(answers: readonly (SafekeeperTimeline | undefined)[]): QuorumReading {
  const known = answers.filter((answer) => answer !== undefined);
  if (known.length === 0) return { kind: 'no-wal' };
  const flushed = Math.max(...known.map((answer) => answer.flushLsn)) as Lsn;
  const committed = Math.max(...known.map((answer) => answer.commitLsn)) as Lsn;
  return flushed === committed ? { kind: 'exact', lsn: committed } : { kind: 'unknown' };
}

/** Asks all safekeepers that vote about a timeline. @throws ControlPlaneError `not-running` when fewer than a quorum answer */
async function askQuorum(
  repository: Repository,
  timeline: TimelineRecord,
): Promise<(SafekeeperTimeline | undefined)[]> {
  const safekeepers = await safekeepersOf(repository);
  const voters = votersOf(safekeepers);
  const asked = await Promise.allSettled(
    voters.map(({ id, httpPort }) => new SafekeeperClient(repository, id, httpPort).timeline(timeline.id)),
  );
  const answered = new Set(voters.filter((_, i) => asked[i]?.status === 'fulfilled').map(({ id }) => id));
  if (!hasQuorum(safekeepers.configuration, (id) => answered.has(id))) {
    throw new ControlPlaneError(
      'not-running',
      `${answered.size} of ${voters.length} safekeepers answer, but a majority is needed: see 'zenith status', start them with 'zenith start'`,
    );
  }
  return asked.filter((one) => one.status === 'fulfilled').map((one) => one.value);
}

/** The running compute's own commit LSN; undefined when no compute runs on the timeline. */
async function commitOfCompute(repository: Repository, timeline: TimelineRecord): Promise<Lsn | undefined> {
  const supervisor = await runningSupervisor(repository, timeline.id);
  if (supervisor === undefined) return undefined;
  const { commitLsn } = await supervisor.status();
  return commitLsn ?? undefined;
}

async function commitOfSafekeepers(repository: Repository, timeline: TimelineRecord): Promise<Lsn | undefined> {
  const reading = readQuorum(await askQuorum(repository, timeline));
  if (reading.kind === 'no-wal') return timeline.startLsn;
  return reading.kind === 'exact' ? reading.lsn : undefined;
}

/**
 * The end of what is committed on a timeline: at or beyond every commit that was acknowledged before the call. The running compute knows it; without one
 * the safekeepers do, if need be after an election, which the lock keeps apart from a compute that is being started.
 * @throws ControlPlaneError `not-running` without a quorum of safekeepers, `service-failed`
 */
export async function commitPoint(repository: Repository, timeline: TimelineRecord): Promise<Lsn> {
  const known = (await commitOfCompute(repository, timeline)) ?? (await commitOfSafekeepers(repository, timeline));
  if (known !== undefined) return known;
  return withComputeLock(
    repository,
    timeline.id,
    async () => (await commitOfCompute(repository, timeline)) ?? syncQuorum(repository, timeline),
  );
}
