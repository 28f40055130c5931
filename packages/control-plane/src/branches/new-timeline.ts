import { assert, newTimelineId, type Lsn, type TimelineId } from '@zenith/base';
import { PageserverClient } from '../clients/pageserver-client.ts';
import { SafekeeperClient } from '../clients/safekeeper-client.ts';
import type { TimelineRecord } from '../metadata/records.ts';
import { identifyProcess, isAlive } from '@zenith/service';
import type { Repository } from '../repository/repository.ts';
import { safekeepersOf } from '../safekeepers/safekeepers.ts';

/**
 * Makes a timeline on the pageserver and has `name` give it a name, in that order: a name never stands for a timeline that does not exist. Whatever dies in between, the timeline that nobody names is
 * removed, by this call or by the next {@link finishTimelines}.
 * @param name resolves when a branch names the timeline; what it throws is thrown
 */
export async function withNewTimeline<T>(
  repository: Repository,
  origin: TimelineRecord,
  startLsn: Lsn,
  name: (record: TimelineRecord) => Promise<T>,
): Promise<T> {
  const { catalog } = repository;
  const record: TimelineRecord = {
    ...origin,
    id: newTimelineId(),
    ancestor: origin.id,
    startLsn,
    createdAt: new Date().toISOString(),
  };
  const self = identifyProcess(process.pid);
  assert(self !== undefined, 'a running process finds itself in /proc');
  await catalog.beginTimeline(record.id, self);
  try {
    await new PageserverClient(repository).createTimeline({
      timelineId: record.id,
      ancestorTimelineId: origin.id,
      ancestorLsn: startLsn,
    });
    return await name(record);
  } catch (error) {
    // What cannot be removed now stays noted; what was wrong is the caller's news.
    await finish(repository, record.id).catch(() => undefined);
    throw error;
  }
}

/**
 * Removes from pageserver, remote storage and safekeepers every timeline that is to be removed and those that a process began to make and died. Harmless to repeat and to do twice at once.
 * @returns what kept some from being removed; the next call tries again. Empty when nothing is left
 */
export async function finishTimelines(repository: Repository): Promise<Error[]> {
  let failures: Error[] = [];
  // A timeline goes after those that were made of it.
  for (let left = Number.POSITIVE_INFINITY; ; left = failures.length) {
    failures = [];
    for (const { id, maker } of await repository.catalog.unfinished()) {
      if (maker !== undefined && isAlive(maker)) continue;
      await finish(repository, id).catch((error: unknown) => failures.push(error as Error));
    }
    if (failures.length === 0 || failures.length >= left) return failures;
  }
}

async function finish(repository: Repository, id: TimelineId): Promise<void> {
  const { catalog } = repository;
  const isNamed = (await catalog.timelines()).some((timeline) => timeline.id === id);
  if (!isNamed) {
    await new PageserverClient(repository).removeTimeline(id);
    const { nodes } = await safekeepersOf(repository);
    await Promise.all(nodes.map((node) => new SafekeeperClient(repository, node.id, node.httpPort).removeTimeline(id)));
  }
  await catalog.changeBranches(({ unfinished }) => (unfinished.has(id) ? { finished: [id] } : undefined));
}
