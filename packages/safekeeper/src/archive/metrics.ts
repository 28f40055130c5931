import { Counter, type Registry } from 'prom-client';

/** What is counted of the archive, all timelines together. */
export interface ArchiveMetrics {
  readonly archivedBytes: Counter;
  readonly failures: Counter;
  readonly damagedSegments: Counter;
  readonly repairedSegments: Counter;
  readonly trimmedBytes: Counter;
}

/** Registers the metrics of the archive. */
export function archiveMetrics(registry: Registry): ArchiveMetrics {
  return {
    archivedBytes: new Counter({
      name: 'zenith_safekeeper_wal_archived_bytes_total',
      help: 'WAL that this safekeeper put into the archive.',
      registers: [registry],
    }),
    failures: new Counter({
      name: 'zenith_safekeeper_wal_archive_failures_total',
      help: 'Attempts to archive WAL that failed, and are made again.',
      registers: [registry],
    }),
    damagedSegments: new Counter({
      name: 'zenith_safekeeper_wal_damaged_segments_total',
      help: 'Times that a segment on this disk was found damaged before it was archived. It is not archived from here, and kept.',
      registers: [registry],
    }),
    repairedSegments: new Counter({
      name: 'zenith_safekeeper_wal_repaired_segments_total',
      help: 'Damaged segments on this disk that were replaced by what another safekeeper archived.',
      registers: [registry],
    }),
    trimmedBytes: new Counter({
      name: 'zenith_safekeeper_wal_trimmed_bytes_total',
      help: 'WAL that was removed here, because the archive and the layers of a pageserver have it.',
      registers: [registry],
    }),
  };
}
