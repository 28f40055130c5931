import { parseLsn, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import type { EarlierCheckpoint } from '@zenith/pageserver';
import type { CheckPoint, PgMajor } from '@zenith/pg-format';
import { afterAll, describe, expect, test } from 'vitest';
import { compareCluster, readControlFile } from '../../conformance/oracle/compare-cluster.ts';
import { fetchEverything } from '../../conformance/oracle/fetch-everything.ts';
import { checkRedo } from '../../conformance/oracle/redo-oracle.ts';
import { workloads } from '../../conformance/workloads/workloads.ts';
import { Zenith } from './zenith.ts';

async function checkResults(zenith: Zenith, branch: string): Promise<Map<string, unknown>> {
  const results = new Map<string, unknown>();
  for (const { name, checks } of workloads) {
    for (const [database, sql] of checks) {
      // by whatever the planner takes, and by the indexes
      for (const scan of ['', 'set enable_seqscan = off;']) {
        const client = await zenith.connect(branch, database);
        try {
          if (scan !== '') await client.query(scan);
          results.set(`${name}: ${scan} ${sql}`, (await client.query<Record<string, unknown>>(sql)).rows);
        } finally {
          await client.end();
        }
      }
    }
  }
  return results;
}

/** Checkpoints, and gives what that left. Nothing else may write. */
async function checkpoint(zenith: Zenith): Promise<EarlierCheckpoint> {
  await zenith.query('main', 'checkpoint');
  const controlFile = readControlFile(zenith, 'main');
  const [row] = await zenith.query<{ lsn: string }>('main', 'select pg_current_wal_flush_lsn()::text as lsn');
  return { controlFile, lsn: parseLsn(row?.lsn ?? '') };
}

/** Moves every counter that moves on with ordinary transactions, without a checkpoint: by more oids than are logged ahead. */
async function moveCounters(zenith: Zenith): Promise<void> {
  const clients = await Promise.all([zenith.connect('main'), zenith.connect('main')]);
  try {
    await clients[0]?.query('create table counted (id int primary key)');
    await clients[0]?.query('insert into counted select generate_series(1, 100)');
    for (let round = 0; round < 3; round++) {
      for (const client of clients) await client.query('begin; select * from counted for key share');
      for (const client of clients) await client.query('commit');
    }
    await clients[0]?.query("set wal_consistency_checking = ''"); // not images of pages for each of so many
    await clients[0]?.query('select lo_create(0) from generate_series(1, 9000)');
    await clients[0]?.query('reset wal_consistency_checking');
    await clients[0]?.query('begin; drop table counted; savepoint a; select lo_create(0); release a; commit');
    await clients[0]?.query('begin; create table counted (); savepoint a; create table also_counted (); rollback');
  } finally {
    for (const client of clients) await client.end();
  }
}

/**
 * The oracle on a live compute of one PostgreSQL: every workload with `wal_consistency_checking=all`; each redone block against PostgreSQL's own image of it; then everything the pageserver has at the end against the
 * compute's files; then the same answers from a new compute and from a branch.
 */
export function describeOracle(major: PgMajor): void {
  describe(`PostgreSQL ${major}`, () => {
    let zenith: Zenith;
    let before: Map<string, unknown>;
    let start: Lsn;
    let end: Lsn;
    let ids: { readonly tenant: TenantId; readonly timeline: TimelineId };
    const earlier: EarlierCheckpoint[] = [];
    afterAll(() => zenith.destroy());

    test('runs every workload on a compute with 1 MB of shared buffers, each record with the images PostgreSQL expects', async () => {
      zenith = await Zenith.init('--pg-version', String(major));
      await zenith.run('start');
      ids = await zenith.branch('main');
      start = (await zenith.branch('main')).startLsn;
      await zenith.startPostgres(
        'main',
        ...[
          'wal_consistency_checking=all',
          'shared_buffers=1MB',
          'max_prepared_transactions=10',
          'autovacuum=off',
          'track_commit_timestamp=on',
          'checkpoint_timeout=1d',
        ].flatMap((setting) => ['--set', setting]),
      );
      for (const workload of workloads) await workload.run({ connect: (database) => zenith.connect('main', database) });
      before = await checkResults(zenith, 'main');
      expect(await fetchEverything((database) => zenith.connect('main', database))).toBeGreaterThan(10_000);
      // A checkpoint gives the pageserver the counters: so they are compared where one begins, and all have moved since the one before.
      earlier.push(await checkpoint(zenith));
      await moveCounters(zenith);
      earlier.push(await checkpoint(zenith));
      await moveCounters(zenith);
      await zenith.run('pg', 'stop', 'main');
      const [first, second, third] = [
        ...earlier.map(({ controlFile }) => controlFile),
        readControlFile(zenith, 'main'),
      ].map(({ checkPointCopy }) => checkPointCopy) as [CheckPoint, CheckPoint, CheckPoint];
      const names = ['nextXid', 'nextOid', 'nextMulti', 'nextMultiOffset', 'newestCommitTsXid'] as const;
      expect(names.filter((name) => !(first[name] < second[name] && second[name] < third[name]))).toEqual([]);
      end = (await zenith.branch('main')).commitLsn;
      expect(end - start).toBeGreaterThan(100_000_000);
    });

    test('redo of every block gives the page PostgreSQL has', async () => {
      const report = await checkRedo({ major, ...(await zenith.branch('main')) }, start, end);
      for (const [type, { records, compared }] of [...report.types].sort())
        console.log(`${type}\t${records} records\t${compared} blocks compared`);
      expect(report.mismatches).toEqual([]);
      expect(report.compared).toBeGreaterThan(100_000);
    });

    test('everything the pageserver has at the final LSN is what the compute has in its files', async () => {
      await zenith.run('stop');
      const comparison = await compareCluster(zenith, 'main', ids, end, earlier);
      console.log(comparison);
      expect(comparison.differences).toEqual([]);
      expect(comparison.unsupportedPages).toBe(0);
      expect(comparison.missingPages).toBe(0);
      expect(comparison.relationPages).toBeGreaterThan(10_000);
      expect(comparison.slruPages).toBeGreaterThan(3);
    });

    test('a new compute and a branch see all of it, and open prepared transactions can be finished on both', async () => {
      await zenith.run('start');
      await zenith.startPostgres('main');
      expect(await checkResults(zenith, 'main')).toEqual(before);
      expect(await zenith.query('main', 'select count(*)::int from unlogged')).toEqual([{ count: 0 }]);
      await zenith.query('main', "insert into unlogged values (1, 'usable')");
      await zenith.run('branch', 'copy', 'main');
      await zenith.startPostgres('copy');
      expect(await checkResults(zenith, 'copy')).toEqual(before);
      await zenith.query('copy', "commit prepared 'three'");
      await zenith.query('main', "rollback prepared 'three'");
      expect(await zenith.query('copy', 'select count(*)::int from prepared where id = 4')).toEqual([{ count: 1 }]);
      expect(await zenith.query('main', 'select count(*)::int from prepared where id = 4')).toEqual([{ count: 0 }]);
    });
  });
}
