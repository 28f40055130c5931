import { Histogram, type Registry } from 'prom-client';

const BRANCH_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 10];

/** What requests of the management API measure. */
export interface HttpMetrics {
  /** Time to make a branch, until it is durable. */
  readonly branchSeconds: Histogram;
}

/** Registers them. */
export function httpMetrics(registry: Registry): HttpMetrics {
  return {
    branchSeconds: new Histogram({
      name: 'zenith_pageserver_branch_creation_seconds',
      help: 'Time to make a branch, until it is durable',
      buckets: BRANCH_BUCKETS,
      registers: [registry],
    }),
  };
}
