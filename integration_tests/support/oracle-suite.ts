import type { Lsn, TenantId, TimelineId } from '@zenith/base';
import type { PgMajor } from '@zenith/pg-format';
import { afterAll, describe, expect, test } from 'vitest';
import { compareCluster } from '../../conformance/oracle/compare-cluster.ts';
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
        ].flatMap((setting) => ['--set', setting]),
      );
      for (const workload of workloads) await workload.run({ connect: (database) => zenith.connect('main', database) });
      before = await checkResults(zenith, 'main');
      await zenith.query('main', 'checkpoint');
      await zenith.run('pg', 'stop', 'main');
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
      const comparison = await compareCluster(zenith, 'main', ids, end);
      console.log(comparison);
      expect(comparison.differences).toEqual([]);
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
