/** A server that suites are run against. */
export interface SuiteServer {
  /** `stock` or `zenith`: names folders, and lines of progress. */
  readonly label: string;
  readonly port: number;
  readonly superuser: string;
  /** Stops it in order and starts it again, on the same port or another one. A Zenith compute then has no page until it reads it again. */
  restart(): Promise<void>;
  /** Stops it for good and removes what it has on disk. */
  remove(): Promise<void>;
}

/** What both servers of a comparison are configured with: what decides how a query is planned, and what the suites ask for. */
export const SUITE_SETTINGS: Readonly<Record<string, string>> = {
  shared_buffers: '16MB', // far smaller than what a suite writes, so that pages are evicted and read back
  max_prepared_transactions: '10',
  effective_io_concurrency: '16',
  timezone: 'UTC',
  default_text_search_config: 'pg_catalog.english',
  max_wal_size: '2GB',
};
