import { assert, CorruptionError, crc32c, formatLsn, PG_TIMELINE, type Lsn } from '@zenith/base';
import type { AcceptorControl } from '@zenith/consensus';
import { WalRecord, WalStreamDecoder, walSegmentFileName, walSegmentNumber } from '@zenith/pg-format';
import { pgMajorOf } from '../wal-storage/record-end.ts';
import { segmentPrefix } from '../wal-storage/segment-prefix.ts';
import { firstRecordOf, type ReadWal } from './first-record.ts';

/** Read and decoded in one turn of the event loop. Unit: bytes. */
const CHUNK_LENGTH = 64 * 1024;

/** A segment every byte of which is what was written, as far as WAL itself can tell. */
export interface VerifiedSegment {
  /** Unit: bytes. */
  readonly length: number;
  /** CRC-32C of the bytes that were decoded. */
  readonly crc32c: number;
  /** Start of the last record that begins in the segment or before: from there on the next one can be verified. */
  readonly recordLsn: Lsn;
}

/** Where the last record begins that begins before a segment, or earlier: {@link verifySegment} can start there. @throws what `read` throws */
export async function recordBefore({ identity }: AcceptorControl, number: number, read: ReadWal): Promise<Lsn> {
  const { timelineStartLsn, segmentSize } = identity;
  const first = walSegmentNumber(timelineStartLsn, segmentSize);
  for (let before = number - 1; before >= first; before--) {
    const lsn = await firstRecordOf(identity, before, read);
    if (lsn !== undefined) return lsn;
  }
  return timelineStartLsn;
}

/**
 * Verifies a committed segment by the WAL in it: from the record on that reaches into it to the end of the one that reaches out of it, every record's checksum and link and every page header has to be right, and what no checksum covers has to be
 * zero. What lies before the timeline's beginning has to be what every safekeeper writes there.
 *
 * A record of several segments is decoded once for each of them.
 * @param fromLsn a record boundary at or before the segment: `recordLsn` of the segment before, or {@link recordBefore}
 * @param read committed WAL, asked for what lies in one segment at a time
 * @throws CorruptionError naming where the damaged record or page begins, and what `read` throws
 */
export async function verifySegment(
  control: AcceptorControl,
  number: number,
  fromLsn: Lsn,
  read: ReadWal,
  signal: AbortSignal,
): Promise<VerifiedSegment> {
  const { identity, history, commitLsn } = control;
  const { segmentSize, timelineStartLsn, systemId } = identity;
  const startLsn = number * segmentSize;
  const endLsn = startLsn + segmentSize;
  assert(fromLsn <= Math.max(startLsn, timelineStartLsn), 'a segment is decoded from its beginning on, at least');
  assert(endLsn <= commitLsn, 'only committed segments are verified');
  const damage = (lsn: number, message: string): CorruptionError =>
    new CorruptionError(`${formatLsn(lsn as Lsn)}: ${message}`, {
      source: walSegmentFileName(PG_TIMELINE, walSegmentNumber(lsn as Lsn, segmentSize), segmentSize),
      offset: lsn % segmentSize,
    });
  let crc = 0;
  if (startLsn < timelineStartLsn) {
    const prefix = new Uint8Array(timelineStartLsn - startLsn);
    await read(startLsn as Lsn, prefix);
    if (Buffer.compare(prefix, segmentPrefix(identity)) !== 0)
      throw damage(startLsn, 'what lies before the beginning of the timeline is not what is written there');
    crc = crc32c(prefix);
  }

  const decoderFrom = (lsn: Lsn): WalStreamDecoder =>
    new WalStreamDecoder(pgMajorOf(identity), lsn, { systemId, segmentSize, gaps: 'zeroes' });
  let decoder = decoderFrom(fromLsn);
  let recordLsn = fromLsn;
  const record = new WalRecord();
  // Where a term begins the first record's link says nothing: a proposer is not asked for it.
  const termStarts = history.map((entry) => entry.startLsn).filter((lsn) => lsn > fromLsn);
  const buffer = new Uint8Array(CHUNK_LENGTH);
  for (let next: number = fromLsn; decoder.position < endLsn;) {
    signal.throwIfAborted();
    while (termStarts[0] === next) {
      termStarts.shift();
      if (decoder.position === next) decoder = decoderFrom(next as Lsn);
    }
    const segmentEnd = next - (next % segmentSize) + segmentSize;
    const limit = Math.min(next + CHUNK_LENGTH, segmentEnd, commitLsn, termStarts[0] ?? commitLsn);
    if (limit <= next) throw damage(decoder.position, 'a record is longer than the committed WAL');
    const bytes = buffer.subarray(0, limit - next);
    await read(next as Lsn, bytes);
    if (next >= startLsn && next < endLsn) crc = crc32c(bytes, 0, bytes.length, crc);
    decoder.push(bytes);
    while (decoder.next(record)) if (record.lsn < endLsn) recordLsn = record.lsn;
    if (decoder.end !== undefined) throw damage(decoder.end.lsn, decoder.end.message);
    if (decoder.pgTimeline > PG_TIMELINE) throw damage(next, `the WAL is that of timeline ${decoder.pgTimeline}`);
    next = limit;
  }
  return { length: segmentSize, crc32c: crc, recordLsn };
}
