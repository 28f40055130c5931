import { Counter, Histogram, type Registry } from 'prom-client';

/** What timelines count, all of them together: a label for each would have no bound. */
export interface TimelineMetrics {
  readonly receivedBytes: Counter;
  readonly copiedBytes: Counter;
  readonly syncSeconds: Histogram;
  readonly diskFull: Counter;
}

/** Registers the metrics of timelines. */
export function timelineMetrics(registry: Registry): TimelineMetrics {
  return {
    diskFull: new Counter({
      name: 'zenith_safekeeper_disk_full_total',
      help: 'Times that a timeline met a full or read-only disk, and began to wait.',
      registers: [registry],
    }),
    receivedBytes: new Counter({
      name: 'zenith_safekeeper_wal_received_bytes_total',
      help: 'WAL from proposers.',
      registers: [registry],
    }),
    copiedBytes: new Counter({
      name: 'zenith_safekeeper_wal_copied_bytes_total',
      help: 'Committed WAL from other safekeepers, of timelines that no proposer leads.',
      registers: [registry],
    }),
    syncSeconds: new Histogram({
      name: 'zenith_safekeeper_wal_sync_seconds',
      help: 'Time to make WAL durable, one group of appends at a time.',
      buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
      registers: [registry],
    }),
  };
}
