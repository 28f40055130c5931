import { readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32c, formatLsn, parseLsn, type Lsn } from '@zenith/base';
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

test('damage in archived WAL with which checksum and description agree is found by a scrub, with segment and LSN', async () => {
  const { tenant, timeline } = await zenith.branch('main');
  const key = `wal/${tenant}/${timeline}/`;
  const folder = join(zenith.repository, 'remote', key);
  const [name = ''] = readdirSync(folder)
    .filter((file) => file.endsWith('.json'))
    .toSorted()
    .slice(2);
  const path = join(folder, name);
  const text = readFileSync(path, 'utf8');
  const described = JSON.parse(text) as { crc32c: number };
  const object = (crc: number): string => `${name.slice(0, 24)}-${crc.toString(16).padStart(8, '0')}`;
  const bytes = readFileSync(join(folder, object(described.crc32c)));
  const [at, page] = [SEGMENT_SIZE / 2 + 4_000, SEGMENT_SIZE / 2];
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  const damaged = object(crc32c(bytes));
  // Both are files that safekeepers may share: what takes their place is a new one.
  writeFileSync(join(folder, damaged), bytes);
  unlinkSync(path);
  writeFileSync(path, JSON.stringify({ ...described, crc32c: crc32c(bytes) }));
  try {
    const { code, stdout } = await zenith.try('scrub', '--json');
    expect(code).toBe(1);
    const { missing, corrupt } = JSON.parse(stdout) as {
      missing: unknown[];
      corrupt: { key: string; lsn: string; message: string }[];
    };
    expect(missing).toEqual([]);
    expect(corrupt).toEqual([
      { key: `${key}${damaged}`, lsn: expect.any(String), message: expect.stringContaining('wrong checksum') },
    ]);
    const lsn = corrupt[0]?.lsn ?? '';
    // A record of that insert is shorter than a page, but for full-page images.
    expect(Math.abs((parseLsn(lsn) % SEGMENT_SIZE) - page)).toBeLessThan(2 * 8192);
    const shown = await zenith.try('scrub');
    expect(shown.code).toBe(1);
    expect(shown.stdout).toContain(`corrupt: ${key}${damaged}: ${lsn}: the record at ${lsn} has a wrong checksum`);
    const quick = await zenith.try('scrub', '--quick');
    expect(quick.code).toBe(0);
  } finally {
    writeFileSync(path, text);
    unlinkSync(join(folder, damaged));
  }
  expect(await zenith.json('scrub')).toMatchObject({ missing: [], corrupt: [] });
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
