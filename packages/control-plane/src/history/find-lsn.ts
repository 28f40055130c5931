import type { Lsn } from '@zenith/base';
import { PageserverClient } from '../clients/pageserver-client.ts';
import { ServiceRefusal } from '../clients/http-json.ts';
import { ControlPlaneError } from '../errors.ts';
import type { TimelineRecord } from '../metadata/records.ts';
import type { Repository } from '../repository/repository.ts';
import type { PointInTime } from './point-in-time.ts';

/** Longest wait for the pageserver to have ingested what is committed. Unit: milliseconds. */
const INGEST_TIMEOUT_MS = 60_000;

/** Where a timeline was at a point in time. */
export interface LsnAtTime {
  /** The timeline whose WAL has that position: the one that was asked, or an ancestor. */
  readonly timeline: TimelineRecord;
  readonly lsn: Lsn;
  /** When the last commit before `lsn` was made; the cluster's own beginning when there was none. */
  readonly commitTime: PointInTime;
}

/**
 * The end of the last commit of a timeline, or of what it shares with its ancestors, that was made at or before `time`; no commit before it was later.
 * @param end the timeline's commit point: waits until the pageserver has ingested it, so that every commit that was acknowledged before is known
 * @throws ControlPlaneError `time-before-history`, `time-after-last-commit`, `not-running`, `service-refused`, …
 */
export async function findLsn(
  repository: Repository,
  timeline: TimelineRecord,
  end: Lsn,
  time: PointInTime,
): Promise<LsnAtTime> {
  const client = new PageserverClient(repository);
  await client.waitForLsn(timeline.id, end, INGEST_TIMEOUT_MS);
  try {
    const found = await client.lsnAtTime(timeline.id, time);
    return {
      timeline: found.timeline === timeline.id ? timeline : await repository.catalog.timeline(found.timeline),
      lsn: found.lsn,
      commitTime: found.commitTime as PointInTime,
    };
  } catch (error) {
    if (error instanceof ServiceRefusal) {
      const { serviceCode: code, message } = error;
      if (code === 'time-before-history' || code === 'time-after-last-commit')
        throw new ControlPlaneError(code, message.replace(/^the pageserver: /, ''), { cause: error });
    }
    throw error;
  }
}
