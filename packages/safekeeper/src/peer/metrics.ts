import { Counter, type Registry } from 'prom-client';

/** What is counted of WAL that comes from other safekeepers. */
export interface RecoveryMetrics {
  readonly recoveries: Counter<'verdict'>;
}

/** Registers the metrics of recovery from peers. */
export function recoveryMetrics(registry: Registry): RecoveryMetrics {
  return {
    recoveries: new Counter({
      name: 'zenith_safekeeper_peer_recoveries_total',
      help: 'Times that another safekeeper had more committed WAL of a timeline that no proposer leads, by what came of it.',
      labelNames: ['verdict'],
      registers: [registry],
    }),
  };
}
