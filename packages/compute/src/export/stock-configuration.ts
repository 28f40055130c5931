import type { ControlFile } from '@zenith/pg-format';
import { quoteSetting } from '../data-directory/configuration.ts';

/** What a standby is told of the server it follows. */
export interface StandbySource {
  /** Where WAL comes from, as libpq's connection strings say it. */
  readonly primaryConninfo: string;
}

/** PG 18: postgresql.conf's own defaults of what a standby must have at least as much of as its primary. */
const DEFAULTS = {
  maxConnections: 100,
  maxWorkerProcesses: 8,
  maxWalSenders: 10,
  maxPreparedXacts: 0,
  maxLocksPerXact: 64,
};

/** The names of those settings. PG: CheckRequiredParameterValues() */
const NAMES: Readonly<Record<keyof typeof DEFAULTS, string>> = {
  maxConnections: 'max_connections',
  maxWorkerProcesses: 'max_worker_processes',
  maxWalSenders: 'max_wal_senders',
  maxPreparedXacts: 'max_prepared_transactions',
  maxLocksPerXact: 'max_locks_per_transaction',
};

/**
 * The text of postgresql.conf for a server that has nothing to do with Zenith any more: PostgreSQL's own defaults, so that it syncs what it commits, but for what the cluster was run with and needs to be run with.
 * @param origin where the copy comes from, for a comment
 */
export function stockPostgresqlConf(origin: string, control: ControlFile, standby: StandbySource | undefined): string {
  const lines = [`# Written by 'zenith export': ${origin}. It is yours to change.`, "listen_addresses = 'localhost'"];
  for (const key of Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[])
    if (control[key] > DEFAULTS[key]) lines.push(`${NAMES[key]} = ${control[key]}`);
  if (standby !== undefined) lines.push(`primary_conninfo = ${quoteSetting(standby.primaryConninfo)}`);
  return `${lines.join('\n')}\n`;
}

/** The text of pg_hba.conf: nobody from another machine. */
export function stockPgHbaConf(): string {
  return `# Written by 'zenith export': whoever comes from this machine is let in, as a Zenith compute does it. It is yours to change.
local all all trust
host all all 127.0.0.1/32 trust
host all all ::1/128 trust
`;
}
