import { CorruptionError, type Lsn } from '@zenith/base';
import { cutHistory, type AcceptorControl, type Configuration, type TimelineIdentity } from '@zenith/consensus';
import {
  XLOG_BLCKSZ,
  XLP_FIRST_IS_CONTRECORD,
  XLP_INFO,
  XLP_REM_LEN,
  maxAlign,
  walPageHeaderLength,
} from '@zenith/pg-format';
import { SafekeeperError } from '../errors.ts';
import type { TimelineContent } from '../timeline/make-timeline.ts';
import type { TimelineRegistry } from '../timeline/registry.ts';
import { RecordEnd } from '../wal-storage/record-end.ts';
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
    const isFirst = segmentStart <= timelineStartLsn;
    const recordLsn = isFirst ? timelineStartLsn : firstRecord(bytes, segmentStart as Lsn, segmentSize);
    if (recordLsn === undefined) continue; // all of it belongs to one record that began before
    const recordEnd = new RecordEnd(identity, recordLsn);
    for (const [i, segment] of segments.entries())
      recordEnd.scan(i === 0 ? segment.subarray(recordLsn - segmentStart) : segment);
    const startLsn = (isFirst ? timelineStartLsn : segmentStart) as Lsn;
    return { startLsn, segments, endLsn: recordEnd.lsn };
  }
}

/** Where the first record that begins in a segment begins; undefined when none is sure to. */
function firstRecord(bytes: Uint8Array, segmentStart: Lsn, segmentSize: number): Lsn | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at + XLOG_BLCKSZ <= bytes.length; at += XLOG_BLCKSZ) {
    const headerLength = walPageHeaderLength((segmentStart + at) as Lsn, segmentSize);
    const continued = (view.getUint16(at + XLP_INFO, true) & XLP_FIRST_IS_CONTRECORD) !== 0;
    const first = headerLength + (continued ? maxAlign(view.getUint32(at + XLP_REM_LEN, true)) : 0);
    if (first < XLOG_BLCKSZ) return (segmentStart + at + first) as Lsn;
  }
  return undefined;
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
