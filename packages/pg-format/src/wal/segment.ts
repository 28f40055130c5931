import type { Lsn } from '@zenith/base';

// A WAL segment file is named by 24 hexadecimal digits: the timeline, then the segment number as two words, of which the second counts the
// segments within 4 GiB of WAL.  PG 15-18: XLogFileName(), xlog_internal.h
const WORD = 0x1_0000_0000;

function hex8(value: number): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}

/** Number of the segment that holds the byte at `lsn`. PG: XLByteToSeg(). */
export function walSegmentNumber(lsn: Lsn, segmentSize: number): number {
  return Math.floor(lsn / segmentSize);
}

/** LSN of the first byte of a segment. */
export function walSegmentStart(segmentNumber: number, segmentSize: number): Lsn {
  return (segmentNumber * segmentSize) as Lsn;
}

/** Name of a segment's file. PG: XLogFileName(). */
export function walSegmentFileName(pgTimeline: number, segmentNumber: number, segmentSize: number): string {
  const perWord = WORD / segmentSize;
  return hex8(pgTimeline) + hex8(Math.floor(segmentNumber / perWord)) + hex8(segmentNumber % perWord);
}

/** The timeline and number of the segment a file is named for; undefined for any other name. PG: XLogFromFileName(). */
export function parseWalSegmentFileName(
  name: string,
  segmentSize: number,
): { readonly pgTimeline: number; readonly segmentNumber: number } | undefined {
  if (!/^[0-9A-F]{24}$/.test(name)) return undefined;
  const perWord = WORD / segmentSize;
  const low = Number.parseInt(name.slice(16), 16);
  if (low >= perWord) return undefined;
  return {
    pgTimeline: Number.parseInt(name.slice(0, 8), 16),
    segmentNumber: Number.parseInt(name.slice(8, 16), 16) * perWord + low,
  };
}

/** True for a size PostgreSQL accepts: a power of two from 1 MiB to 1 GiB. PG: IsValidWalSegSize(). */
export function isWalSegmentSize(size: number): boolean {
  return Number.isInteger(size) && size >= 1 << 20 && size <= 1 << 30 && (size & (size - 1)) === 0;
}
