import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { formatLsn, type Lsn } from '@zenith/base';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Zenith } from '../support/zenith.ts';

const run = promisify(execFile);

/** The programs of the distribution's own PostgreSQL, Debian 12's or 13's: pg_receivewal wants a server of its own major version. */
const BIN = ['/usr/lib/postgresql/15/bin', '/usr/lib/postgresql/17/bin'].find((folder) =>
  existsSync(`${folder}/pg_receivewal`),
);

let zenith: Zenith;
beforeAll(async () => {
  if (BIN === undefined) throw new Error('no pg_receivewal was found (Debian: apt-get install postgresql)');
  zenith = await Zenith.init('--auth', '--tls', '--pg-bin', BIN);
  await zenith.run('start');
  await zenith.startPostgres('main');
});
afterAll(() => zenith.destroy());

/** Runs a stock tool with a token in a password file. @returns what it printed, or complained about */
async function tool(name: string, mode: string, ...args: string[]): Promise<string> {
  const { tenant, timeline, safekeeperPort } = await zenith.branch('main');
  const { token } = await zenith.json<{ token: string }>('auth', 'token', '--role', 'reader', '--branch', 'main');
  const passwords = join(zenith.directory, 'pgpass');
  writeFileSync(passwords, `*:*:*:*:${token}\n`, { mode: 0o600 });
  const authority = join(zenith.repository, 'tls', 'ca.pem');
  const target = `host=127.0.0.1 port=${safekeeperPort} user=tool sslmode=${mode} sslrootcert=${authority} options='-c zenith.tenant=${tenant} -c zenith.timeline=${timeline}'`;
  const database = name === 'psql' ? ' dbname=x replication=true' : '';
  const env = { ...process.env, PGPASSFILE: passwords };
  return run(`${BIN}/${name}`, ['-d', target + database, ...args], { env, timeout: 60_000 }).then(
    ({ stdout }) => stdout,
    (error: { stderr: string }) => error.stderr,
  );
}

test('stock tools follow a safekeeper by TLS, with a token for a password, and not in clear', async () => {
  expect(await tool('psql', 'verify-full', '-X', '-A', '-t', '-c', 'TIMELINE_STATUS')).toContain('|1: 1');
  expect(await tool('psql', 'disable', '-X', '-c', 'TIMELINE_STATUS')).toContain('connections are encrypted here');
  await zenith.query('main', 'create table t as select g as id from generate_series(1, 10000) g');
  const { commitLsn } = await zenith.branch('main');
  const directory = join(zenith.directory, 'received');
  mkdirSync(directory);
  const until = formatLsn((commitLsn - 8) as Lsn); // it stops once it has more than that
  expect(await tool('pg_receivewal', 'verify-full', '-D', directory, '-n', '-E', until)).toBe('');
  expect(readdirSync(directory)).toHaveLength(1);
});
