import { assert, CorruptionError, crc32c, formatLsn, PG_TIMELINE, type Lsn } from '@zenith/base';
import type { AcceptorControl } from '@zenith/consensus';
import { walSegmentFileName, walSegmentNumber } from '@zenith/pg-format';
import { firstRecordOf, type ReadWal } from './first-record.ts';
import { CHUNK_LENGTH, prefixDamage, termStartsOf, WalVerifier } from './wal-verifier.ts';

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
  const { segmentSize, timelineStartLsn } = identity;
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
    const wrong = prefixDamage(identity, prefix);
    if (wrong !== undefined) throw damage(wrong.lsn, wrong.message);
    crc = crc32c(prefix);
  }

  let recordLsn = fromLsn;
  const verifier = new WalVerifier(identity, fromLsn, (lsn) => {
    if (lsn < endLsn) recordLsn = lsn;
  });
  const termStarts = termStartsOf(history);
  const buffer = new Uint8Array(CHUNK_LENGTH);
  while (verifier.position < endLsn) {
    signal.throwIfAborted();
    const next = verifier.nextLsn;
    const segmentEnd = next - (next % segmentSize) + segmentSize;
    const limit = Math.min(next + CHUNK_LENGTH, segmentEnd, commitLsn);
    if (limit <= next) throw damage(verifier.position, 'a record is longer than the committed WAL');
    const bytes = buffer.subarray(0, limit - next);
    await read(next, bytes);
    if (next >= startLsn && next < endLsn) crc = crc32c(bytes, 0, bytes.length, crc);
    verifier.push(bytes, termStarts);
    if (verifier.damage !== undefined) throw damage(verifier.damage.lsn, verifier.damage.message);
  }
  return { length: segmentSize, crc32c: crc, recordLsn };
}
