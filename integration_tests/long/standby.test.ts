import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { formatLsn, parseLsn, type Lsn } from '@zenith/base';
import { exportBranch, openRepository } from '@zenith/control-plane';
import { SAMPLED_MAJORS, temporaryDirectory } from '@zenith/testing';
import type { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exportCopy, exportStandby, type ExportedServer } from '../support/exported-server.ts';
import { Zenith } from '../support/zenith.ts';

/** Autovacuum would change the catalog between two looks at it. */
const SETTINGS = ['autovacuum=off', 'max_prepared_transactions=10'].flatMap((setting) => ['--set', setting]);

/** Longest that a standby may take to get where its primary is. Unit: ms. */
const REPLAY_MAX_MS = 120_000;

const PREPARED = 'select gid, database, owner from pg_prepared_xacts order by gid';

describe.each(SAMPLED_MAJORS)('a stock standby of PostgreSQL %i', (major) => {
  let zenith: Zenith;
  let past: Lsn;
  const standbys: ExportedServer[] = [];
  beforeAll(async () => {
    zenith = await Zenith.init('--safekeepers', '3', '--pg-version', String(major));
    await zenith.run('start');
    await zenith.startPostgres('main', ...SETTINGS);
    await zenith.query('main', 'create extension amcheck');
    await zenith.query('main', 'create database other');
    await zenith.query('main', 'create table kept as select 42 as answer', 'other');
    await zenith.query('main', 'create table t (id int primary key, v text)');
    await zenith.query('main', 'create table finished (name text)');
    await zenith.query('main', 'create unlogged table fleeting (id int primary key)');
    await zenith.query(
      'main',
      'insert into t select g, repeat(md5(g::text), 1 + g % 40) from generate_series(1, 20000) g',
    );
    await prepare('main', 'early');
    await prepare('main', 'kept');
    past = await endOfWal('main');
    await zenith.query('main', 'update t set v = v || id where id % 7 = 0');
    await zenith.query('main', 'delete from t where id % 11 = 0');
  });
  afterAll(async () => {
    for (const standby of standbys) await standby.remove();
    await zenith.destroy();
  });

  /** Leaves a transaction prepared that adds its name to `finished`. */
  async function prepare(branch: string, name: string): Promise<void> {
    const client = await zenith.connect(branch);
    await client.query(`begin; insert into finished values ('${name}'); prepare transaction '${name}'`);
    await client.end();
  }

  /** How far the primary's own disk has its WAL; the quorum has at least what was committed of it, and gets the rest. */
  async function endOfWal(branch: string): Promise<Lsn> {
    const [row] = await zenith.query<{ lsn: string }>(branch, 'select pg_current_wal_flush_lsn()::text as lsn');
    return parseLsn(row?.lsn ?? '');
  }

  /** Waits until the standby has replayed all that the quorum has; then it is what its primary is. */
  async function expectSame(branch: string, { server }: ExportedServer): Promise<void> {
    const end = await endOfWal(branch);
    await expect
      .poll(
        async () => {
          const [row] = await server.query('select pg_last_wal_replay_lsn()::text as lsn');
          return parseLsn((row as { lsn: string | null }).lsn ?? '0/0');
        },
        { timeout: REPLAY_MAX_MS, interval: 50 },
      )
      .toBeGreaterThanOrEqual(end);
    expect(await server.query('select pg_is_in_recovery() as standby, status from pg_stat_wal_receiver')).toEqual([
      { standby: true, status: 'streaming' },
    ]);
    const there = await contents((database) => server.connect(database));
    expect(there).toEqual(await contents((database) => zenith.connect(branch, database)));
    expect(there.size).toBeGreaterThan(150);
    const checked = await server.query(
      "select bt_index_check(c.oid, true) from pg_class c join pg_am a on a.oid = c.relam where a.amname = 'btree' and c.relpersistence = 'p'",
    );
    expect(checked.length).toBeGreaterThan(100);
  }

  test.each(['main', 'earlier'])(
    'built from a snapshot of %s follows a safekeeper, over computes that come and go, is what its primary is, and can take its place',
    async (branch) => {
      if (branch === 'main') await zenith.run('pg', 'stop', 'main');
      else await zenith.run('branch', branch, `main@${formatLsn(past)}`);
      // Whatever was written so far is in the snapshot.
      await zenith.startPostgres(branch, ...SETTINGS);
      await zenith.query(branch, 'create table before (id int); insert into before select generate_series(1, 1000)');
      await zenith.query(branch, "update t set v = 'before' where id between 1000 and 3000");

      const standby = await exportStandby(zenith, branch);
      standbys.push(standby);
      await standby.server.start();
      await expectSame(branch, standby);

      await zenith.query(branch, 'create table during (id int primary key, v text)');
      await zenith.query(branch, "insert into during select g, repeat('x', g % 500) from generate_series(1, 20000) g");
      await zenith.query(branch, 'create index on t (v, id)');
      await zenith.query(branch, 'alter table t add column w int default 7');
      await zenith.query(branch, 'update t set w = id where id % 3 = 0');
      await zenith.query(branch, "commit prepared 'early'");
      await prepare(branch, 'late');
      await zenith.query(branch, 'drop table before');
      await zenith.query(branch, 'truncate kept', 'other');
      await zenith.query(branch, 'vacuum (freeze, analyze) t');
      await zenith.query(branch, 'checkpoint');
      await expectSame(branch, standby);

      // The safekeeper that it follows dies, and the compute: it goes on with another of the three, and with the compute that comes.
      const [followed] = await standby.server.query('select sender_port as port from pg_stat_wal_receiver');
      const { nodes } = await zenith.status();
      const id = nodes.find(({ port }) => port === followed?.['port'])?.id;
      expect(id).toBeDefined();
      await zenith.kill(`safekeeper ${id ?? 0}`);
      await zenith.kill(`compute ${branch}`);
      await zenith.startPostgres(branch, ...SETTINGS);
      await zenith.query(branch, 'delete from during where id % 2 = 0');
      await expectSame(branch, standby);

      // A standby shows prepared transactions only once it is one no more.
      const { server } = standby;
      expect(await server.query('select pg_promote() as done')).toEqual([{ done: true }]);
      const prepared = await server.query(PREPARED);
      expect(prepared.map(({ gid }) => gid)).toEqual(['kept', 'late']);
      expect(prepared).toEqual(await zenith.query(branch, PREPARED));
      await server.query("commit prepared 'kept'");
      await server.query("rollback prepared 'late'");
      expect(await server.query('select name from finished order by name')).toEqual([
        { name: 'early' },
        { name: 'kept' },
      ]);
      await zenith.run('start');
    },
  );

  test('what cannot be copied is refused, and a copy that is interrupted leaves nothing behind', async () => {
    const folder = temporaryDirectory('zenith-export-');
    const { path } = folder;
    try {
      const refusal = async (...args: string[]): Promise<string> => {
        const { code, stderr } = await zenith.try('export', ...args);
        expect(code).toBe(1);
        return stderr;
      };
      expect(await refusal('main', zenith.repository)).toContain('is not empty');
      expect(await refusal('nowhere', join(path, 'a'))).toContain("no branch 'nowhere'");
      expect(await refusal('main@F/0', join(path, 'a'))).toContain('lies in the future');
      expect(await refusal(`main@${formatLsn(past)}`, join(path, 'a'), '--standby')).toContain('give the branch alone');
      await zenith.run('branch', 'asleep', 'main');
      expect(await refusal('asleep', join(path, 'a'), '--standby')).toContain('zenith pg start');
      expect(await refusal('main', join(path, 'no/such/folder'))).toContain('ENOENT');
      const interrupt = new AbortController();
      const copied = exportBranch(openRepository(zenith.repository), {
        from: 'main',
        directory: join(path, 'a'),
        standby: false,
        onProgress: (done) => {
          if (done > 0) interrupt.abort();
        },
        signal: interrupt.signal,
      });
      await expect(copied).rejects.toMatchObject({ code: 'interrupted' });
      expect(readdirSync(path)).toEqual([]);
      const leases = await zenith.json<{ leases: { holder: string }[] }>('lease', 'list', 'main');
      expect(JSON.stringify(leases)).not.toContain('export-');
    } finally {
      folder.remove();
    }
  });

  test('a copy of a branch as it was at an LSN is what the branch made there is, and goes its own way without Zenith', async () => {
    await zenith.run('branch', 'twin', `main@${formatLsn(past)}`);
    await zenith.startPostgres('twin', ...SETTINGS);
    const { server, remove } = await exportCopy(zenith, `main@${formatLsn(past)}`);
    try {
      await server.start();
      const there = await contents((database) => server.connect(database));
      expect(there).toEqual(await contents((database) => zenith.connect('twin', database)));
      expect(there.size).toBeGreaterThan(150);
      expect(await server.query(PREPARED)).toEqual(await zenith.query('twin', PREPARED));
      await server.query("commit prepared 'early'");
      await server.query('insert into fleeting values (1)');
      await server.query('vacuum (freeze) t');
      const broken = await server.query("select * from pg_class c, verify_heapam(c.oid) where c.relkind in ('r', 't')");
      expect(broken).toEqual([]);
      expect(await server.query('show fsync')).toEqual([{ fsync: 'on' }]);
    } finally {
      await remove();
    }
  });
});

/** How many rows every table has, and a digest of the rows and their places. Unlogged tables are empty on a standby, and sequences are ahead of their primary's. */
async function contents(connect: (database: string) => Promise<Client>): Promise<ReadonlyMap<string, unknown>> {
  const found = new Map<string, unknown>();
  for (const database of ['postgres', 'template1', 'other']) {
    const client = await connect(database);
    try {
      const tables = await client.query<{ name: string }>(
        "select oid::regclass::text as name from pg_class where relkind in ('r', 'm') and relpersistence = 'p'",
      );
      for (const { name } of tables.rows) {
        const digest = `select count(*)::int as count, md5(string_agg(ctid || t::text, ',' order by ctid)) as digest from ${name} t`;
        found.set(`${database}: ${name}`, (await client.query<Record<string, unknown>>(digest)).rows);
      }
    } finally {
      await client.end();
    }
  }
  return found;
}

test('where tokens and TLS are asked for, a standby has what it needs to follow', async () => {
  const zenith = await Zenith.init('--auth', '--tls', '--data-checksums', '--safekeepers', '3');
  try {
    await zenith.run('start');
    await zenith.startPostgres('main');
    await zenith.query('main', 'create table t as select n from generate_series(1, 1000) n');
    const { server, remove } = await exportStandby(zenith, 'main');
    try {
      await server.start();
      await zenith.query('main', 'insert into t select n from generate_series(1001, 2000) n');
      await expect
        .poll(async () => await server.query('select count(*)::int from t'), { timeout: REPLAY_MAX_MS })
        .toEqual([{ count: 2000 }]);
    } finally {
      await remove();
    }
  } finally {
    await zenith.destroy();
  }
});
