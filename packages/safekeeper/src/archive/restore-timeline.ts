import { CorruptionError, type Lsn } from '@zenith/base';
import { cutHistory, type AcceptorControl, type Configuration, type TimelineIdentity } from '@zenith/consensus';
import { SafekeeperError } from '../errors.ts';
import type { TimelineContent } from '../timeline/make-timeline.ts';
import type { TimelineRegistry } from '../timeline/registry.ts';
import { RecordEnd } from '../wal-storage/record-end.ts';
import { firstRecordOf } from './first-record.ts';
import type { ArchivedSegment, WalArchive } from './wal-archive.ts';

/** Elections held since the last segment was archived are not known any more; the terms of a restored timeline begin beyond any that they can have reached. */
const TERMS_SKIPPED = 1_000_000;

/** What was found and done. */
export interface RestoredTimeline {
  /** Where the WAL in the archive ends, after its last whole record; null when the archive has none. */
  readonly endLsn: Lsn | null;
  /** True when the timeline is here now and ends there. */
  readonly restored: boolean;
}

/**
 * Makes a timeline that every safekeeper has lost out of the archive, up to its last whole record. Only the end of the WAL comes here; what is older is read from the archive.
 * @param atLeastLsn a pageserver has ingested up to there: WAL that ends before cannot be gone on with, and is not restored
 * @throws SafekeeperError `timeline-refused` when WAL of the timeline is here; CorruptionError, RemoteStorageError
 */
export async function restoreTimeline(
  registry: TimelineRegistry,
  archive: WalArchive,
  identity: TimelineIdentity,
  configuration: Configuration,
  atLeastLsn: Lsn,
): Promise<RestoredTimeline> {
  const { tenant, timeline } = identity;
  const here = registry.find(tenant, timeline);
  if (here !== undefined && here.flushLsn > identity.timelineStartLsn)
    throw new SafekeeperError('timeline-refused', `timeline ${timeline} is here: there is nothing to restore`);
  const last = await lastSegment(archive, identity);
  if (last === undefined) return { endLsn: null, restored: false };
  const end = await readEnd(archive, identity, last);
  if (end.endLsn < atLeastLsn) return { endLsn: end.endLsn, restored: false };
  if (here !== undefined) await registry.discardEmpty(here); // an election after the loss has made it
  await registry.add(contentOf(identity, configuration, last.control, end));
  return { endLsn: end.endLsn, restored: true };
}

/** The last of the segments that follow each other from the timeline's beginning. */
async function lastSegment(archive: WalArchive, identity: TimelineIdentity): Promise<ArchivedSegment | undefined> {
  const present = new Set(await archive.list(identity));
  let number = Math.floor(identity.timelineStartLsn / identity.segmentSize);
  if (!present.has(number)) return undefined;
  while (present.has(number + 1)) number++;
  return archive.find(identity, number);
}

/** The last segments, back to the one in which a record begins. */
interface WalEnd {
  readonly startLsn: Lsn;
  readonly segments: readonly Uint8Array[];
  /** After the last whole record. */
  readonly endLsn: Lsn;
}

async function readEnd(archive: WalArchive, identity: TimelineIdentity, last: ArchivedSegment): Promise<WalEnd> {
  const { segmentSize, timelineStartLsn } = identity;
  const segments: Uint8Array[] = [];
  for (let number = last.number; ; number--) {
    const bytes = await archive.read(identity, number);
    if (bytes === undefined)
      throw new CorruptionError(`segment ${number} of timeline ${identity.timeline} is not in the archive any more`);
    segments.unshift(bytes);
    const segmentStart = number * segmentSize;
    const recordLsn = await firstRecordOf(identity, number, (lsn, into) => {
      into.set(bytes.subarray(lsn - segmentStart, lsn - segmentStart + into.length));
      return Promise.resolve();
    });
    if (recordLsn === undefined) continue; // all of it belongs to one record that began before
    const endLsn = lastRecordEnd(last.control, recordLsn, segmentStart as Lsn, segments);
    return { startLsn: Math.max(segmentStart, timelineStartLsn) as Lsn, segments, endLsn };
  }
}

/**
 * Decodes archived segments from a record on. All of them were committed to their last byte: only a record that goes on beyond may be without its end.
 * @param segmentStart where the first of `segments` begins
 * @throws CorruptionError when something else ends the WAL
 */
function lastRecordEnd(
  { identity, history }: AcceptorControl,
  recordLsn: Lsn,
  segmentStart: Lsn,
  segments: readonly Uint8Array[],
): Lsn {
  const recordEnd = new RecordEnd(identity, recordLsn);
  // As in recovery: the first record of a term is not asked for its link.
  const termStarts = history.map(({ startLsn }) => startLsn).filter((startLsn) => startLsn > recordLsn);
  let next: number = recordLsn;
  for (const [i, segment] of segments.entries()) {
    const start = segmentStart + i * identity.segmentSize;
    while (next < start + segment.length) {
      for (; termStarts[0] === next; termStarts.shift()) if (recordEnd.lsn === next) recordEnd.restart(recordEnd.lsn);
      const limit = Math.min(start + segment.length, termStarts[0] ?? Number.POSITIVE_INFINITY);
      recordEnd.scan(segment.subarray(next - start, limit - start));
      next = limit;
    }
  }
  if (recordEnd.end !== undefined)
    throw new CorruptionError(`the archived WAL is not valid: ${recordEnd.end.message}`, {
      source: `WAL of timeline ${identity.timeline} in the archive`,
      offset: recordEnd.end.lsn,
    });
  return recordEnd.lsn;
}

function contentOf(
  identity: TimelineIdentity,
  configuration: Configuration,
  archived: AcceptorControl,
  { startLsn, segments, endLsn }: WalEnd,
): TimelineContent {
  const { segmentSize } = identity;
  return {
    identity,
    localStartLsn: startLsn,
    write(writer) {
      for (const [i, segment] of segments.entries()) {
        const segmentStart = Math.floor(startLsn / segmentSize) * segmentSize + i * segmentSize;
        writer.append(segment.subarray(writer.writeLsn - segmentStart, Math.max(0, endLsn - segmentStart)));
      }
      return Promise.resolve({
        identity,
        configuration,
        term: archived.term + TERMS_SKIPPED,
        history: cutHistory(archived.history, endLsn),
        localStartLsn: startLsn,
        commitLsn: endLsn,
        peerHorizonLsn: startLsn,
        backupLsn: Math.max(startLsn, endLsn - (endLsn % segmentSize)) as Lsn, // the rest of its last segment will be other WAL
        remoteConsistentLsn: identity.timelineStartLsn,
        pendingTruncationLsn: null,
      });
    },
  };
}
