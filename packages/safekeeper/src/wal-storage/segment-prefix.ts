import { PG_TIMELINE, type Lsn } from '@zenith/base';
import type { TimelineIdentity } from '@zenith/consensus';
import { walPageHeaderLength, writeWalPageHeader, XLOG_BLCKSZ, XLP_FIRST_IS_CONTRECORD } from '@zenith/pg-format';
import { pgMajorOf } from './record-end.ts';
import type { Segments } from './segments.ts';

/**
 * What lies before a timeline's beginning in its first segment, from the segment's start on: page headers that say that a record from an earlier segment goes on, up to the beginning, and zeroes in its place. Whoever begins at the
 * segment's start, or on the beginning's page, passes over it to the first record, as over any other rest of a record. PG 18: xlogreader.c, XLogFindNextRecord().
 * It depends on nothing but the timeline, so that it is the same on every safekeeper. A new buffer.
 */
export function segmentPrefix(identity: TimelineIdentity): Uint8Array {
  const { timelineStartLsn, segmentSize, systemId } = identity;
  const length = timelineStartLsn % segmentSize;
  const segmentStart = timelineStartLsn - length;
  // Whole pages, since the header of the last one may be longer than what lies before the beginning.
  const bytes = new Uint8Array(Math.ceil(length / XLOG_BLCKSZ) * XLOG_BLCKSZ);
  const view = new DataView(bytes.buffer);
  let remainingLength = 0;
  for (let at = bytes.length - XLOG_BLCKSZ; at >= 0; at -= XLOG_BLCKSZ) {
    const pageLsn = (segmentStart + at) as Lsn;
    const end = Math.min(length, at + XLOG_BLCKSZ);
    remainingLength += Math.max(0, end - at - walPageHeaderLength(pageLsn, segmentSize));
    const info = remainingLength === 0 ? 0 : XLP_FIRST_IS_CONTRECORD;
    const header = { info, pgTimeline: PG_TIMELINE, remainingLength, systemId, segmentSize };
    writeWalPageHeader(pgMajorOf(identity), view, at, pageLsn, header);
  }
  return bytes.subarray(0, length);
}

/** Writes the prefix of a timeline whose first segment was made, durably. */
export async function writeSegmentPrefix(segments: Segments, identity: TimelineIdentity): Promise<void> {
  const prefix = segmentPrefix(identity);
  if (prefix.length === 0) return;
  const file = segments.disk.open(segments.path(segments.numberOf(identity.timelineStartLsn)), 'write');
  try {
    file.write(prefix, 0, prefix.length, 0);
    await file.sync();
  } finally {
    file.close();
  }
}
