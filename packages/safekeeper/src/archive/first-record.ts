import type { Lsn } from '@zenith/base';
import type { TimelineIdentity } from '@zenith/consensus';
import {
  maxAlign,
  SIZE_OF_XLOG_LONG_PHD,
  walPageHeaderLength,
  XLOG_BLCKSZ,
  XLP_FIRST_IS_CONTRECORD,
  XLP_INFO,
  XLP_REM_LEN,
} from '@zenith/pg-format';

/** Fills `bytes` with the WAL from `lsn` on. */
export type ReadWal = (lsn: Lsn, bytes: Uint8Array) => Promise<void>;

/**
 * Where the first record of a segment begins that begins in it, as its page headers say; undefined when none is sure to: all of it belongs to one record that began before.
 * @param fromLsn the first page that is looked at: the segment's, unless it is said
 * @throws what `read` throws
 */
export async function firstRecordOf(
  { segmentSize, timelineStartLsn }: TimelineIdentity,
  number: number,
  read: ReadWal,
  fromLsn = (number * segmentSize) as Lsn,
): Promise<Lsn | undefined> {
  const segmentStart = number * segmentSize;
  if (fromLsn <= timelineStartLsn) return timelineStartLsn;
  const header = new Uint8Array(SIZE_OF_XLOG_LONG_PHD);
  const view = new DataView(header.buffer);
  for (let at: number = fromLsn; at < segmentStart + segmentSize; at += XLOG_BLCKSZ) {
    await read(at as Lsn, header);
    const continued = (view.getUint16(XLP_INFO, true) & XLP_FIRST_IS_CONTRECORD) !== 0;
    const remaining = continued ? view.getUint32(XLP_REM_LEN, true) : 0;
    const left = XLOG_BLCKSZ - walPageHeaderLength(at as Lsn, segmentSize);
    // A damaged length may be larger than what maxAlign() can take.
    if (remaining < left && maxAlign(remaining) < left) return (at + XLOG_BLCKSZ - left + maxAlign(remaining)) as Lsn;
  }
  return undefined;
}
