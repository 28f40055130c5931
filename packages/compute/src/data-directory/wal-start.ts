import { PG_TIMELINE, assert, type Lsn, type SystemId } from '@zenith/base';
import {
  XLOG_BLCKSZ,
  encodeShutdownCheckpoint,
  walPageHeaderLength,
  walSegmentFileName,
  walSegmentNumber,
  walSegmentStart,
  writeWalPageHeader,
  type CheckPoint,
  type PgMajor,
} from '@zenith/pg-format';
import type { SnapshotCheckpoint } from '@zenith/wire';
import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { FileMaker } from './layout.ts';
import { shutdownCheckPoint } from './starting-point.ts';

/*
 * The segment that holds X, as PostgreSQL finds it:
 *
 *   0            40                 X's page      +24           X                    endLsn        16 MiB
 *   | long header | zeroes (a hole) | page header | real bytes, | checkpoint record, | zeroes (a hole) |
 *                                                 | or zeroes   | page headers in it |
 *
 * PostgreSQL checks the long header of the segment and the header of X's page, then reads the record. Nobody reads what is below X: WAL is streamed from X on.
 */

/** What the WAL is to begin with. */
export interface StartSegmentOptions {
  readonly pgdata: string;
  readonly files: FileMaker;
  readonly major: PgMajor;
  readonly systemId: SystemId;
  readonly segmentSize: number;
  /** X. */
  readonly startLsn: Lsn;
  /** xl_prev of the record: where the last record before X begins. */
  readonly previousRecordLsn: Lsn;
  /** The bytes of X's page before X; undefined where they are not known. */
  readonly pagePrefix: Uint8Array | undefined;
  readonly counters: SnapshotCheckpoint;
  readonly nowMs: number;
}

/** Writes the synthetic shutdown checkpoint into `pg_wal`, in one segment file or, when the record crosses their border, two. */
export function makeStartSegment(options: StartSegmentOptions): {
  readonly checkPoint: CheckPoint;
  readonly endLsn: Lsn;
} {
  const { major, systemId, segmentSize, startLsn, counters, nowMs } = options;
  const wal = encodeShutdownCheckpoint(
    major,
    startLsn,
    options.previousRecordLsn,
    shutdownCheckPoint(counters, startLsn, nowMs),
    systemId,
    segmentSize,
  );
  const first = walSegmentNumber(startLsn, segmentSize);
  const last = walSegmentNumber((wal.endLsn - 1) as Lsn, segmentSize);
  for (let segment = first; segment <= last; segment++)
    options.files.make(segmentPath(options, segment), undefined, segmentSize);
  writeBelowX(options, first);
  const inFirst = Math.min(wal.bytes.length, segmentSize - wal.startOffset);
  writeAt(segmentPath(options, first), wal.bytes.subarray(0, inFirst), wal.startOffset);
  if (last > first) writeAt(segmentPath(options, last), wal.bytes.subarray(inFirst), 0);
  return { checkPoint: wal.checkPoint, endLsn: wal.endLsn };
}

function segmentPath({ pgdata, segmentSize }: StartSegmentOptions, segment: number): string {
  return join(pgdata, 'pg_wal', walSegmentFileName(PG_TIMELINE, segment, segmentSize));
}

/** The headers PostgreSQL checks, and what is known of X's page. Nothing where X begins the segment: the record brings the header with it. */
function writeBelowX(options: StartSegmentOptions, segment: number): void {
  const { startLsn, segmentSize, pagePrefix } = options;
  const segmentLsn = walSegmentStart(segment, segmentSize);
  if (startLsn === segmentLsn) return;
  const path = segmentPath(options, segment);
  writeAt(path, pageHeader(options, segmentLsn), 0);
  const page = (startLsn - (startLsn % XLOG_BLCKSZ)) as Lsn;
  if (page === startLsn) return;
  const below = new Uint8Array(startLsn - page);
  assert(
    pagePrefix === undefined || pagePrefix.length === below.length,
    'the known prefix is all of the page before X',
  );
  if (pagePrefix !== undefined) below.set(pagePrefix);
  // A page whose beginning belongs to nobody any more has zeroes where its header was.
  if (below[0] === 0 && below[1] === 0) below.set(pageHeader(options, page).subarray(0, below.length));
  writeAt(path, below, page - segmentLsn);
}

function pageHeader({ major, systemId, segmentSize }: StartSegmentOptions, page: Lsn): Uint8Array {
  const bytes = new Uint8Array(walPageHeaderLength(page, segmentSize));
  writeWalPageHeader(major, new DataView(bytes.buffer), 0, page, {
    info: 0,
    pgTimeline: PG_TIMELINE,
    remainingLength: 0,
    systemId,
    segmentSize,
  });
  return bytes;
}

function writeAt(path: string, bytes: Uint8Array, offset: number): void {
  const file = openSync(path, 'r+');
  try {
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes, at, bytes.length - at, offset + at);
  } finally {
    closeSync(file);
  }
}
