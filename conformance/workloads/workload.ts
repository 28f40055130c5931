import type { Client } from 'pg';

/** What a workload may use: connections to one running compute. */
export interface WorkloadContext {
  /** A connected client of `database` (default postgres); the workload ends it. */
  connect(database?: string): Promise<Client>;
}

/** SQL that makes PostgreSQL write certain kinds of WAL, and what must be true afterwards. */
export interface Workload {
  readonly name: string;
  /** Does the work. Run once on a compute. */
  run(context: WorkloadContext): Promise<void>;
  /** Queries whose results must be the same for ever, on this compute, after any restart, and on every branch made afterwards: [database, SQL]. */
  readonly checks: readonly (readonly [database: string, sql: string])[];
}
