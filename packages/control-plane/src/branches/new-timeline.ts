import { assert, newTimelineId, type Lsn, type TimelineId } from '@zenith/base';
import { PageserverClient } from '../clients/pageserver-client.ts';
import { SafekeeperClient } from '../clients/safekeeper-client.ts';
import type { TimelineRecord } from '../metadata/records.ts';
import { identifyProcess, isAlive } from '@zenith/service';
import type { Repository } from '../repository/repository.ts';
import { safekeepersOf } from '../safekeepers/safekeepers.ts';

/** Where a timeline begins: a position in another one's history. */
export interface Origin {
  readonly timeline: TimelineRecord;
  readonly lsn: Lsn;
}

/**
 * Makes a timeline on the pageserver and has `name` give it a name, in that order: a name never stands for a timeline that does not exist. Whatever dies in between, the timeline that nobody names is
 * removed, by this call or by the next {@link finishTimelines}.
 * @param find finds where it begins. The note that the timeline is in the making becomes durable meanwhile
 * @param name resolves when a branch names the timeline; what it throws is thrown
 */
export async function withNewTimeline<T>(
  repository: Repository,
  find: () => Promise<Origin>,
  name: (record: TimelineRecord) => Promise<T>,
): Promise<T> {
  const { catalog } = repository;
  const id = newTimelineId();
  const self = identifyProcess(process.pid);
  assert(self !== undefined, 'a running process finds itself in /proc');
  const [begun, found] = await Promise.allSettled([catalog.beginTimeline(id, self), find()]);
  if (found.status === 'rejected') {
    // Nobody was asked to make anything. A note that stays does no harm.
    if (begun.status === 'fulfilled') await forget(repository, id).catch(() => undefined);
    throw found.reason;
  }
  if (begun.status === 'rejected') throw begun.reason;
  const { timeline: origin, lsn: startLsn } = found.value;
  try {
    await new PageserverClient(repository).createTimeline({
      timelineId: id,
      ancestorTimelineId: origin.id,
      ancestorLsn: startLsn,
    });
    return await name({ ...origin, id, ancestor: origin.id, startLsn, createdAt: new Date().toISOString() });
  } catch (error) {
    // What cannot be removed now stays noted; what was wrong is the caller's news.
    await finish(repository, id).catch(() => undefined);
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
  const isNamed = (await repository.catalog.timelines()).some((timeline) => timeline.id === id);
  if (!isNamed) {
    await new PageserverClient(repository).removeTimeline(id);
    const told = new Set<number>();
    // One that was added meanwhile has perhaps asked the others before they were told.
    for (;;) {
      const { nodes } = await safekeepersOf(repository);
      const untold = nodes.filter((node) => !told.has(node.id));
      if (untold.length === 0) break;
      await Promise.all(
        untold.map((node) => new SafekeeperClient(repository, node.id, node.httpPort).removeTimeline(id)),
      );
      for (const node of untold) told.add(node.id);
    }
  }
  await forget(repository, id);
}

async function forget({ catalog }: Repository, id: TimelineId): Promise<void> {
  await catalog.changeBranches(({ unfinished }) => (unfinished.has(id) ? { finished: [id] } : undefined));
}
