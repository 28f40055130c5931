import { Counter, type Registry } from 'prom-client';

/** What senders count, all of them together. */
export interface SenderMetrics {
  readonly sentBytes: Counter;
}

/** Registers the metrics of senders. */
export function senderMetrics(registry: Registry): SenderMetrics {
  return {
    sentBytes: new Counter({
      name: 'zenith_safekeeper_wal_sent_bytes_total',
      help: 'WAL sent to consumers.',
      registers: [registry],
    }),
  };
}
