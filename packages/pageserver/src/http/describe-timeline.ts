import { formatLsn } from '@zenith/base';
import type { TimelineFollower } from '../ingest/timeline-follower.ts';
import type { RemoteStatus } from '../remote/remote-timelines.ts';
import type { Timeline } from '../timeline/timeline.ts';

/** A timeline as the HTTP API shows it; LSNs as text. */
export function describeTimeline(
  timeline: Timeline,
  follower: TimelineFollower | undefined,
  remote: RemoteStatus | undefined,
): Record<string, unknown> {
  const { flushError, compactionError, ...statistics } = timeline.statistics;
  return {
    tenant: timeline.tenant,
    timeline: timeline.timeline,
    pgMajor: timeline.pgMajor,
    ancestorTimeline: timeline.ancestor?.timeline.timeline ?? null,
    ancestorLsn: timeline.ancestor === undefined ? null : formatLsn(timeline.ancestor.lsn),
    initialLsn: formatLsn(timeline.initialLsn),
    gcCutoff: formatLsn(timeline.gcCutoff),
    lastRecordLsn: formatLsn(timeline.lastRecordLsn),
    diskConsistentLsn: formatLsn(timeline.diskConsistentLsn),
    remoteConsistentLsn: formatLsn(timeline.remoteConsistentLsn),
    uploads: remote?.state ?? 'off',
    uploadQueueLayers: remote?.queuedLayers ?? 0,
    uploadError: remote?.failure?.message ?? null,
    commitLsn: formatLsn(follower?.commitLsn ?? timeline.lastRecordLsn),
    ingest: follower?.state ?? 'idle',
    recordsIngested: follower?.statistics?.records ?? 0,
    ...statistics,
    flushError: flushError?.message ?? null,
    compactionError: compactionError?.message ?? null,
  };
}
