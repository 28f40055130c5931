import type { TimelineId } from '@zenith/base';
import type { NodeId } from '@zenith/consensus';
import type { SafekeepersRecord } from '../metadata/records.ts';
import type { Repository } from '../repository/repository.ts';
import { clientOf } from './install.ts';

/**
 * Tells safekeepers which timelines were removed for good before they came, or before they lost their disks: neither a compute that has not heard of it, nor a member that still has such a timeline, makes it on them. Harmless to repeat.
 * A removal is over only when every safekeeper there is has taken part in it, so that what any one of them knows is enough.
 * @param from those that are asked; one that does not answer is left out
 * @param to those that are told
 * @returns all of these timelines
 * @throws what {@link clientOf}'s calls throw when one cannot be told
 */
export async function shareRemoved(
  repository: Repository,
  record: SafekeepersRecord,
  from: readonly NodeId[],
  to: readonly NodeId[],
): Promise<ReadonlySet<TimelineId>> {
  const asked = await Promise.allSettled(from.map((id) => clientOf(repository, record, id).removedTimelines()));
  const removed = new Set(asked.flatMap((one) => (one.status === 'fulfilled' ? one.value : [])));
  await Promise.all(to.map((id) => clientOf(repository, record, id).markRemoved([...removed])));
  return removed;
}
