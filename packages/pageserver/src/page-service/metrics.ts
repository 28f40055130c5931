import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

const READ_BUCKETS = [0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1];
const WAIT_BUCKETS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60];

/** Metrics of the page service. */
export interface PageServiceMetrics {
  /** Pages sent. */
  readonly pages: Counter;
  /** Time to rebuild the pages of one request. */
  readonly readSeconds: Histogram;
  /** Time a request waited for WAL to be ingested; only of requests that had to. */
  readonly waitSeconds: Histogram;
  /** Requests answered with a failure, by status. */
  readonly failures: Counter<'status'>;
  /** Connections closed for bad input. */
  readonly refusals: Counter;
  /** Open connections. */
  readonly connections: Gauge;
}

/** Registers the metrics of a page service. */
export function pageServiceMetrics(registry: Registry): PageServiceMetrics {
  const registers = [registry];
  return {
    pages: new Counter({ name: 'zenith_pageserver_pages_sent_total', help: 'Pages sent to computes', registers }),
    readSeconds: new Histogram({
      name: 'zenith_pageserver_page_read_seconds',
      help: 'Time to rebuild the pages of one request',
      buckets: READ_BUCKETS,
      registers,
    }),
    waitSeconds: new Histogram({
      name: 'zenith_pageserver_lsn_wait_seconds',
      help: 'Time page requests waited for WAL to be ingested',
      buckets: WAIT_BUCKETS,
      registers,
    }),
    failures: new Counter({
      name: 'zenith_pageserver_page_failures_total',
      help: 'Page requests answered with a failure',
      labelNames: ['status'],
      registers,
    }),
    refusals: new Counter({
      name: 'zenith_pageserver_page_refusals_total',
      help: 'Page connections closed for bad input',
      registers,
    }),
    connections: new Gauge({ name: 'zenith_pageserver_page_connections', help: 'Open page connections', registers }),
  };
}
