import { ComputeError } from '../errors.ts';

/** The name under which the WAL proposer is PostgreSQL's one synchronous standby. */
export const WAL_PROPOSER_NAME = 'zenith_wal_proposer';

/** The replication slot that keeps WAL in `pg_wal` until the quorum has it. */
export const WAL_PROPOSER_SLOT = 'zenith_wal_proposer';

/** How PostgreSQL is to be configured. */
export interface ServerSettings {
  /** Address to listen on, a loopback address unless the user wants otherwise. */
  readonly host: string;
  readonly port: number;
  /** The user's own settings by name, as text; names of {@link fixedArguments} are refused. */
  readonly settings: Readonly<Record<string, string>>;
}

/** At least this many WAL senders: the proposer, its successor after a lost connection, one to spare for a person. */
const WAL_SENDERS_MIN = 3;

/** Longest value of a setting. Unit: characters. */
const VALUE_LENGTH_MAX = 4096;

/** Settings on which the safety of commits, or the way the supervisor runs PostgreSQL, rests. Given as arguments, since ALTER SYSTEM cannot override those. */
const FIXED: Readonly<Record<string, string>> = {
  fsync: 'off', // the quorum is what is durable; this directory is disposable
  full_page_writes: 'off', // a torn page is never read again: there is no recovery from this directory, see restart_after_crash
  synchronous_standby_names: WAL_PROPOSER_NAME,
  max_slot_wal_keep_size: '-1', // WAL that the quorum lacks must not be recycled, whatever it costs in disk space
  wal_sender_timeout: '0', // the proposer dies with its connection or not at all; a stop of the machine must not cut it off
  unix_socket_directories: '',
  restart_after_crash: 'off', // a process killed inside of a write leaves a torn page, which recovery without full-page images cannot repair: the supervisor builds the directory anew
  archive_mode: 'off',
};

/** What a user may override. */
const DEFAULTS: Readonly<Record<string, string>> = {
  wal_level: 'replica',
  synchronous_commit: 'on',
  max_wal_senders: '10',
  wal_keep_size: '128MB', // a safekeeper that lags by less than this catches up from here rather than from another safekeeper
  wal_init_zero: 'off',
  effective_io_concurrency: '16', // 18's own default; with 17's of 1 a bitmap scan fetches its missing blocks one after the other
  timezone: 'UTC',
  log_timezone: 'UTC',
  log_line_prefix: '%m [%p] ',
  default_text_search_config: 'pg_catalog.english',
};

/** Names that are set on the command line but are the supervisor's alone as well. */
const RESERVED = new Set([
  ...Object.keys(FIXED),
  'listen_addresses',
  'port',
  'data_directory',
  'config_file',
  'hba_file',
  'ident_file',
  'external_pid_file',
  'include',
  'include_dir',
  'include_if_exists',
  'idle_replication_slot_timeout',
  'logging_collector',
]);

/** The arguments for `postgres` besides `-D`: everything that must hold whatever a superuser does with ALTER SYSTEM. */
export function fixedArguments(server: ServerSettings): string[] {
  const settings = {
    ...FIXED,
    listen_addresses: listenAddresses(server.host),
    port: String(server.port),
    logging_collector: 'off',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

/**
 * Checks a user's settings: known form, none of the reserved names, no value that would break the way WAL leaves the compute.
 * @throws ComputeError `reserved-setting`, `invalid-config`
 */
export function checkSettings(settings: Readonly<Record<string, string>>): void {
  for (const [given, value] of Object.entries(settings)) {
    const name = given.toLowerCase();
    if (!/^[a-z_][a-z0-9_$]*(\.[a-z_][a-z0-9_$]*)?$/.test(name))
      throw new ComputeError('invalid-config', `'${given}' is not the name of a PostgreSQL setting`);
    // Control characters have no place in a configuration line; \p{Cc} is exactly those.
    if (value.length > VALUE_LENGTH_MAX || /\p{Cc}/u.test(value))
      throw new ComputeError('invalid-config', `the value of '${given}' is too long or holds a control character`);
    if (RESERVED.has(name))
      throw new ComputeError('reserved-setting', `'${given}' cannot be set: a compute needs it for itself`);
    if (name === 'wal_level' && !['replica', 'logical'].includes(value))
      throw new ComputeError('reserved-setting', `'wal_level' can be 'replica' or 'logical', not '${value}'`);
    if (name === 'max_wal_senders' && !(Number(value) >= WAL_SENDERS_MIN))
      throw new ComputeError(
        'reserved-setting',
        `'max_wal_senders' must be at least ${WAL_SENDERS_MIN}, not '${value}'`,
      );
    if (name === 'max_replication_slots' && !(Number(value) >= 1))
      throw new ComputeError('reserved-setting', `'max_replication_slots' must be at least 1, not '${value}'`);
  }
}

/**
 * The text of postgresql.conf.
 * @param maxPreparedXacts what the WAL so far was written with: prepared transactions that are open at the start need that room, whoever starts a compute on a branch of it. PG: RestoreTwoPhaseData()
 * @throws ComputeError as {@link checkSettings} does
 */
export function postgresqlConf({ settings }: ServerSettings, maxPreparedXacts = 0): string {
  checkSettings(settings);
  const all = new Map(Object.entries(DEFAULTS));
  if (maxPreparedXacts > 0) all.set('max_prepared_transactions', String(maxPreparedXacts));
  for (const [name, value] of Object.entries(settings)) all.set(name.toLowerCase(), value);
  const lines = [...all].map(([name, value]) => `${name} = ${quoteSetting(value)}\n`);
  return `# Written by Zenith at each start of this compute; change its settings with 'zenith pg' instead.\n${lines.join('')}`;
}

/** The loopback address that a server which is to listen on `host` is reached at from this machine; it is the one address from which no password is asked. */
export function loopbackOf(host: string): string {
  return host === '::1' || host === '::' ? '::1' : '127.0.0.1';
}

/** What the server listens on: `host`, and loopback in any case, for the supervisor. */
function listenAddresses(host: string): string {
  const hasLoopback = ['*', '0.0.0.0', '::', '::1', '127.0.0.1', 'localhost'].includes(host);
  return hasLoopback ? host : `${host},${loopbackOf(host)}`;
}

/** A value as postgresql.conf spells a string. PG: guc-file.l, STRING; GUC_scanstr(). */
export function quoteSetting(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

/** The text of pg_hba.conf: no password on loopback, a password from everywhere else. */
export function pgHbaConf(): string {
  const loopback = ['127.0.0.1/32', '::1/128'];
  const trusted = loopback.flatMap((address) => [
    `host all all ${address} trust\n`,
    `host replication all ${address} trust\n`,
  ]);
  return `# Written by Zenith at each start of this compute.\n${trusted.join('')}host all all all scram-sha-256\n`;
}
