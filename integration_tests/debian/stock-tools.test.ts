import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { formatLsn, type Lsn } from '@zenith/base';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Zenith } from '../support/zenith.ts';

const run = promisify(execFile);

/** The programs of the distribution's own PostgreSQL, Debian 12's or 13's: pg_receivewal wants a server of its own major version. */
const BIN = ['/usr/lib/postgresql/15/bin', '/usr/lib/postgresql/17/bin'].find((folder) =>
  existsSync(`${folder}/pg_receivewal`),
);
const SEGMENT_SIZE = 16 * 1024 * 1024;

describe('stock tools at a safekeeper', () => {
  let zenith: Zenith;
  beforeAll(async () => {
    if (BIN === undefined) throw new Error('no pg_receivewal was found (Debian: apt-get install postgresql)');
    zenith = await Zenith.init('--pg-bin', BIN);
    await zenith.run('start');
    await zenith.startPostgres('main');
  });
  afterAll(() => zenith.destroy());

  async function connectionString(): Promise<string> {
    const { tenant, timeline, safekeeperPort } = await zenith.branch('main');
    return `host=127.0.0.1 port=${safekeeperPort} user=tool options='-c zenith.tenant=${tenant} -c zenith.timeline=${timeline}'`;
  }

  /** Every complete or partial segment that pg_receivewal has written, up to `end`, is what the safekeeper has. */
  async function receive(directory: string, end: Lsn): Promise<readonly string[]> {
    const until = formatLsn((end - 8) as Lsn); // it stops once it has more than that
    const args = ['-D', directory, '-d', await connectionString(), '-n', '-E', until];
    await run(`${BIN}/pg_receivewal`, args, { timeout: 60_000 });
    const { tenant, timeline } = await zenith.branch('main');
    const names = readdirSync(directory);
    for (const name of names) {
      const segment = name.replace('.partial', '');
      const ours = readFileSync(join(zenith.repository, 'safekeepers/1/tenants', tenant, timeline, segment));
      const start = Number.parseInt(segment.slice(16), 16) * SEGMENT_SIZE;
      const length = Math.min(SEGMENT_SIZE, end - start);
      expect(Buffer.compare(readFileSync(join(directory, name)).subarray(0, length), ours.subarray(0, length))).toBe(0);
    }
    return names;
  }

  test('pg_receivewal begins in the first segment, goes on where it was, over segments; pg_waldump reads what it got', async () => {
    const directory = join(zenith.directory, 'received');
    mkdirSync(directory);
    await zenith.query('main', 'create table t (id int, v text)');
    const first = await zenith.branch('main');
    const { startLsn } = first;
    expect(await receive(directory, first.commitLsn)).toHaveLength(1);
    await zenith.query('main', 'insert into t select g, repeat(md5(g::text), 30) from generate_series(1, 30000) g');
    const { commitLsn } = await zenith.branch('main');
    expect((await receive(directory, commitLsn)).length).toBeGreaterThanOrEqual(2);
    const complete = readdirSync(directory).filter((name) => !name.endsWith('.partial'));
    expect(complete.length).toBeGreaterThanOrEqual(1);
    // The timeline begins in the middle of its first segment: pg_waldump finds the first record there.
    const [segment = ''] = complete.toSorted();
    const { stdout } = await run(`${BIN}/pg_waldump`, ['-n', '1000', join(directory, segment)], {
      timeout: 60_000,
      maxBuffer: 16 * 1024 * 1024,
    });
    expect(stdout.trim().split('\n')).toHaveLength(1000);
    expect(stdout).toContain('rmgr: Heap');
    expect(stdout).toContain(`lsn: 0/${startLsn.toString(16).toUpperCase().padStart(8, '0')}, prev`);
  });

  test('psql asks for the status of a timeline, and hears in one line what it may not ask', async () => {
    const ask = async (sql: string, more = ''): Promise<string> => {
      const target = `${await connectionString()} dbname=x${more}`;
      return run(`${BIN}/psql`, ['-X', '-A', '-t', '-c', sql, target], { timeout: 30_000 }).then(
        ({ stdout }) => stdout.trim(),
        (error: { stderr: string }) => error.stderr.trim(),
      );
    };
    const replication = ' replication=true';
    const { commitLsn } = await zenith.branch('main');
    expect(await ask('IDENTIFY_SYSTEM', replication)).toMatch(/^\d{19}\|1\|[0-9A-F]+\/[0-9A-F]+\|$/);
    const status = (await ask('TIMELINE_STATUS', replication)).split('|');
    expect(status).toHaveLength(8);
    expect(status[2]).toBe(formatLsn(commitLsn));
    expect(status[7]).toBe('1: 1');
    expect(await ask('SHOW wal_segment_size', replication)).toBe('16MB');
    expect(await ask('select 1', replication)).toContain('a safekeeper does not know this command: select 1');
    expect(await ask('select 1')).toContain('connect with replication=true');
  });
});
