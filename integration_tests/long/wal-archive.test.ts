import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { formatLsn, parseLsn, type Lsn } from '@zenith/base';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loseSafekeepers, restoreBranch, safekeeperTimeline, SEGMENT_SIZE } from '../support/lost-safekeepers.ts';
import { Zenith } from '../support/zenith.ts';

const SAFEKEEPERS = [1, 2, 3] as const;

let zenith: Zenith;
beforeAll(async () => {
  zenith = await Zenith.init('--safekeepers', '3');
  await zenith.run('start');
  await zenith.startPostgres('main', '--set', 'autovacuum=off', '--set', 'checkpoint_timeout=1h');
});
afterAll(() => zenith.destroy());

/** Commits rows with incompressible contents, some MB of WAL. */
async function write(megabytes: number): Promise<void> {
  await zenith.query(
    'main',
    `insert into t select g, (select string_agg(md5(random()::text || g || i), '') from generate_series(1, 220) i) from generate_series(1, ${megabytes * 140}) g`,
  );
}

test('segments are archived, and let go on every safekeeper once the pageserver has them in remote storage', async () => {
  await zenith.query('main', 'create table t (id int, v text)');
  await write(80);
  const { commitLsn } = await zenith.branch('main');
  const complete = (commitLsn - (commitLsn % SEGMENT_SIZE)) as Lsn;
  for (const id of SAFEKEEPERS)
    await expect
      .poll(async () => (await safekeeperTimeline(zenith, 'main', id)).backupLsn, { timeout: 60_000 })
      .toBeGreaterThanOrEqual(complete);
  const { tenant, timeline, pageserverHttpPort } = await zenith.branch('main');
  const url = `http://127.0.0.1:${pageserverHttpPort}/v1/tenant/${tenant}/timeline/${timeline}`;
  const body = JSON.stringify({ lsn: formatLsn(commitLsn), timeoutMs: 60_000 });
  const headers = { 'content-type': 'application/json' };
  expect((await fetch(`${url}/wait`, { method: 'POST', headers, body })).status).toBe(200);
  expect((await fetch(`${url}/checkpoint`, { method: 'POST' })).status).toBe(200);
  // The control file on the disk says so at the latest after some seconds, and at a stop.
  for (const id of SAFEKEEPERS)
    await expect
      .poll(async () => (await safekeeperTimeline(zenith, 'main', id)).localStartLsn, { timeout: 120_000 })
      .toBe(complete - SEGMENT_SIZE);
  const archived = readdirSync(join(zenith.repository, 'remote/wal', tenant, timeline));
  expect(archived.filter((name) => name.endsWith('.json')).length).toBeGreaterThanOrEqual(4);
  const report = await zenith.json<{ objects: number; missing: unknown[]; corrupt: unknown[]; foreign: unknown[] }>(
    'scrub',
  );
  expect(report).toMatchObject({ missing: [], corrupt: [], foreign: [] });
  expect(report.objects).toBeGreaterThan(archived.length);
});

test('a safekeeper that is replaced gets the WAL that is kept, and a branch in the old history works', async () => {
  await zenith.run('safekeeper', 'replace', '2');
  await zenith.run('safekeeper', 'replace', '4');
  const { startLsn } = await zenith.branch('main');
  await zenith.run('branch', 'old', `main@${formatLsn(startLsn)}`);
  await zenith.startPostgres('old');
  expect(await zenith.query('old', "select count(*)::int from pg_class where relname = 't'")).toEqual([{ count: 0 }]);
  await zenith.run('pg', 'stop', 'old');
});

test('every safekeeper lost with its disk: no compute goes on behind the pageserver, which is told, and a branch has everything', async () => {
  const [{ count } = { count: 0 }] = await zenith.query<{ count: number }>('main', 'select count(*)::int from t');
  await zenith.run('pg', 'stop', 'main');
  await loseSafekeepers(zenith);
  await zenith.run('start');
  const refused = await zenith.try('pg', 'start', 'main');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('safekeepers have lost what was committed');
  const main = await restoreBranch(zenith, 'main');
  expect(main?.outcome).toBe('behind');
  expect(parseLsn(main?.endLsn ?? '0/0') % SEGMENT_SIZE).toBeGreaterThan(0); // after a record, not where the segment ends
  await zenith.run('branch', 'rescued', `main@${main?.ingestedLsn}`);
  await zenith.startPostgres('rescued');
  expect(await zenith.query('rescued', 'select count(*)::int from t')).toEqual([{ count }]);
  await zenith.query('rescued', "insert into t values (-1, 'after')");
});
