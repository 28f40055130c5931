import type { SupervisorStatus } from './status.ts';

/** The status as Prometheus metrics in text form. The library is loaded when it is first asked for: a start does not pay for it. */
export async function renderMetrics(status: SupervisorStatus): Promise<string> {
  const { Counter, Gauge, Registry } = await import('prom-client');
  const registry = new Registry();
  const gauge = (name: string, help: string, value: number | undefined): void => {
    if (value !== undefined) new Gauge({ name, help, registers: [registry] }).set(value);
  };
  gauge(
    'zenith_compute_running',
    'Whether PostgreSQL takes connections and its WAL flows',
    status.state === 'running' ? 1 : 0,
  );
  gauge('zenith_compute_term', 'Term of the quorum this compute leads', status.term);
  gauge('zenith_compute_start_lsn_bytes', 'LSN at which this compute started', status.startLsn);
  gauge('zenith_compute_received_lsn_bytes', 'End of the WAL received from PostgreSQL', status.receivedLsn);
  gauge('zenith_compute_commit_lsn_bytes', 'End of the WAL that a quorum of safekeepers has', status.commitLsn);
  const { backpressure } = status;
  gauge(
    'zenith_compute_commit_delay_seconds',
    'How long acknowledgements of commits are held back',
    backpressure?.delaySeconds,
  );
  gauge(
    'zenith_compute_ingest_lag_bytes',
    'Committed WAL that no pageserver has ingested',
    backpressure?.ingestLag.bytes,
  );
  gauge('zenith_compute_ingest_lag_seconds', 'Age of the oldest of it', backpressure?.ingestLag.seconds);
  gauge('zenith_compute_archive_lag_bytes', 'Committed WAL that is not archived', backpressure?.archiveLag.bytes);
  gauge('zenith_compute_archive_lag_seconds', 'Age of the oldest of it', backpressure?.archiveLag.seconds);
  new Counter({
    name: 'zenith_compute_commits_held_total',
    help: 'Commit points whose acknowledgement was held back',
    registers: [registry],
  }).inc(backpressure?.heldCount ?? 0);
  new Counter({
    name: 'zenith_compute_restarts_total',
    help: 'How often PostgreSQL crashed and was built anew',
    registers: [registry],
  }).inc(status.restarts);
  return registry.metrics();
}
