import { setTimeout as sleep } from 'node:timers/promises';
import {
  allMembers,
  hasQuorum,
  isSynced,
  syncPoint,
  type Configuration,
  type ConfiguredReport,
  type NodeId,
  type Term,
  type TimelineIdentity,
} from '@zenith/consensus';
import { SafekeeperClient } from '../clients/safekeeper-client.ts';
import { withComputeLock } from '../endpoints/compute-lock.ts';
import { runningSupervisor } from '../endpoints/endpoint-process.ts';
import { syncQuorum, timelineIdentity } from '../endpoints/quorum-sync.ts';
import { ControlPlaneError, oneLine } from '../errors.ts';
import type { SafekeepersRecord, TimelineRecord } from '../metadata/records.ts';
import type { Repository } from '../repository/repository.ts';
import { nodeOf, votersOf } from './safekeepers.ts';

/** Longest wait until a quorum of the new members has a timeline's WAL. Unit: milliseconds. */
const SYNC_TIMEOUT_MS = 120_000;

/** Between two looks at where the members are. Unit: milliseconds. */
const LOOK_INTERVAL_MS = 50;

/** A safekeeper of this record, over HTTP. */
export function clientOf(repository: Repository, record: SafekeepersRecord, id: NodeId): SafekeeperClient {
  return new SafekeeperClient(repository, id, nodeOf(record, id).httpPort);
}

/** What the members that answer say when they are given a configuration, and why the others did not. */
interface Installed {
  readonly reports: readonly ConfiguredReport[];
  readonly failures: readonly string[];
}

async function installOn(
  repository: Repository,
  record: SafekeepersRecord,
  identity: TimelineIdentity,
  term: Term,
): Promise<Installed> {
  const { configuration } = record;
  const asked = await Promise.allSettled(
    allMembers(configuration).map((id) => clientOf(repository, record, id).configure(identity, configuration, term)),
  );
  return {
    reports: asked.filter((one) => one.status === 'fulfilled').map((one) => one.value),
    failures: asked.filter((one) => one.status === 'rejected').map((one) => oneLine(one.reason)),
  };
}

function noQuorum({ failures }: Installed): ControlPlaneError {
  return new ControlPlaneError(
    'not-running',
    `too few safekeepers take the change of the members (${failures.join('; ')}); give the command again when they do`,
  );
}

/**
 * True when there is something of this timeline to be carried over to other members: a safekeeper knows it, or a compute that may be about to be elected lives. The caller holds the timeline's compute lock: without
 * either, nobody can begin to write in an older configuration any more.
 */
async function isInUse(repository: Repository, record: SafekeepersRecord, timeline: TimelineRecord): Promise<boolean> {
  if ((await runningSupervisor(repository, timeline.id)) !== undefined) return true;
  const asked = await Promise.allSettled(
    votersOf(record).map(async ({ id }) => ({
      id,
      found: await clientOf(repository, record, id).timeline(timeline.id),
    })),
  );
  const answers = asked.filter((one) => one.status === 'fulfilled').map((one) => one.value);
  if (answers.some(({ found }) => found !== undefined)) return true;
  const { members } = record.configuration;
  const old = { generation: record.configuration.generation, members, newMembers: null };
  if (hasQuorum(old, (member) => answers.some(({ id }) => id === member))) return false;
  throw new ControlPlaneError(
    'not-running',
    `${answers.length} of ${members.length} safekeepers answer, but a majority is needed: start them with 'zenith start' and give the command again`,
  );
}

/**
 * Brings a timeline into the joint configuration of `record`, and its WAL to the new members: returns when a quorum of them has everything that was ever committed without them, and so has `added`.
 * @throws ControlPlaneError `not-running`, `service-timeout`; the change can be gone on with
 */
export async function synchronizeTimeline(
  repository: Repository,
  record: SafekeepersRecord,
  timeline: TimelineRecord,
  added: readonly NodeId[],
): Promise<void> {
  await withComputeLock(repository, timeline.id, async () => {
    if (!(await isInUse(repository, record, timeline))) return;
    await tellSupervisor(repository, record, timeline);
    const identity = timelineIdentity(repository, timeline);
    const first = await installOn(repository, record, identity, 0);
    const point = syncPoint(record.configuration, first.reports);
    if (point === null) throw noQuorum(first);
    const deadline = performance.now() + SYNC_TIMEOUT_MS;
    for (;;) {
      const now = await installOn(repository, record, identity, point.term);
      const there = (id: NodeId): boolean => isSynced(onlyMember(record.configuration, id), point, now.reports);
      if (isSynced(record.configuration, point, now.reports) && added.every(there)) return;
      if (performance.now() > deadline)
        throw new ControlPlaneError(
          'service-timeout',
          `the new members did not get the WAL of timeline ${timeline.id} within ${SYNC_TIMEOUT_MS / 1000} s; see 'zenith status', then give the command again`,
        );
      // A compute brings the WAL by itself; without one an election does.
      if ((await runningSupervisor(repository, timeline.id)) === undefined) await syncQuorum(repository, timeline);
      await sleep(LOOK_INTERVAL_MS);
    }
  });
}

/** The question whether one of the new members is synchronized, as a configuration. */
function onlyMember(joint: Configuration, id: NodeId): Configuration {
  return { ...joint, newMembers: [id] };
}

/** Tells the safekeepers of a timeline that the change is over; a quorum must hear it, a compute and a later start hear it from them. @throws ControlPlaneError `not-running` */
export async function installFinal(
  repository: Repository,
  record: SafekeepersRecord,
  timeline: TimelineRecord,
): Promise<void> {
  await withComputeLock(repository, timeline.id, async () => {
    if (!(await isInUse(repository, record, timeline))) return;
    await tellSupervisor(repository, record, timeline);
    const installed = await installOn(repository, record, timelineIdentity(repository, timeline), 0);
    const { generation } = record.configuration;
    const inside = (id: NodeId): boolean =>
      installed.reports.some((report) => report.node === id && report.configuration.generation >= generation);
    if (!hasQuorum(record.configuration, inside)) throw noQuorum(installed);
  });
}

/** A compute can only go on with members whose addresses it knows. */
async function tellSupervisor(
  repository: Repository,
  { nodes }: SafekeepersRecord,
  timeline: TimelineRecord,
): Promise<void> {
  const supervisor = await runningSupervisor(repository, timeline.id);
  const { host } = repository.config;
  await supervisor?.learnSafekeepers(nodes.map(({ id, port }) => ({ id, host, port })));
}
