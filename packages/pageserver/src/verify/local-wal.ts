import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { PG_TIMELINE, formatLsn, type Lsn } from '@zenith/base';
import { walSegmentFileName, walSegmentNumber } from '@zenith/pg-format';
import { PageserverError } from '../errors.ts';
import { Pacer } from '../ingest/pacer.ts';
import { WalApplier } from '../ingest/wal-applier.ts';
import { WalIngest } from '../ingest/wal-ingest.ts';
import type { Timeline } from '../timeline/timeline.ts';

/** WAL is read from files in pieces of this size, as a socket gives it. Unit: bytes. */
const READ_BYTES = 64 * 1024;

/**
 * Ingests the WAL that lies in a directory of segment files, from the timeline's last record to where the WAL ends, or soon after `end`: what a receiver does with WAL from a safekeeper.
 * @returns how many records there were
 * @throws PageserverError `wal-source-failed` when there is none at the timeline's last record
 */
export async function ingestLocalWal(
  timeline: Timeline,
  walDirectory: string,
  now: () => number,
  end = Number.POSITIVE_INFINITY,
): Promise<number> {
  const pacer = new Pacer(now, timeline);
  const ingest = new WalIngest(timeline, pacer);
  const applier = new WalApplier(timeline, ingest, pacer, ingest.walOptions);
  const segmentSize = ingest.walOptions.segmentSize;
  const start = timeline.lastRecordLsn;
  const buffer = new Uint8Array(READ_BYTES);
  for (let lsn = start; lsn < end;) {
    const file = join(walDirectory, walSegmentFileName(PG_TIMELINE, walSegmentNumber(lsn, segmentSize), segmentSize));
    if (!existsSync(file)) break;
    const fd = openSync(file, 'r');
    try {
      const length = readSync(
        fd,
        buffer,
        0,
        Math.min(READ_BYTES, segmentSize - (lsn % segmentSize)),
        lsn % segmentSize,
      );
      await applier.apply(buffer.subarray(0, length));
      lsn = (lsn + length) as Lsn;
    } catch (error) {
      if (error instanceof PageserverError && error.code === 'wal-source-failed') break; // where valid WAL ends
      throw error;
    } finally {
      closeSync(fd);
    }
  }
  if (timeline.lastRecordLsn === start)
    throw new PageserverError('wal-source-failed', `${walDirectory} has no WAL at ${formatLsn(start)}`);
  return ingest.statistics.records;
}
