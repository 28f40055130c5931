import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { restoreBranch, safekeeperTimeline } from '../support/lost-safekeepers.ts';
import { Zenith } from '../support/zenith.ts';

let zenith: Zenith;
beforeAll(async () => {
  zenith = await Zenith.init('--safekeepers', '3');
  await zenith.run('start');
  await zenith.startPostgres('main');
}, 120_000);
afterAll(() => zenith.destroy());

test('a safekeeper that was down gets from the others what was committed, with no compute; what they lose then, it has', async () => {
  await zenith.query('main', 'create table t as select n from generate_series(1, 1000) n');
  await zenith.kill('safekeeper 3');
  // Less than a segment: none of it goes to the archive.
  await zenith.query('main', 'insert into t select n from generate_series(1001, 20000) n');
  await zenith.run('pg', 'stop', 'main');
  const { commitLsn } = await safekeeperTimeline(zenith, 'main', 1);
  expect((await safekeeperTimeline(zenith, 'main', 1)).backupLsn).toBeLessThan(commitLsn);
  await zenith.startSafekeeper(3);
  await expect
    .poll(async () => (await safekeeperTimeline(zenith, 'main', 3)).commitLsn, { timeout: 120_000 })
    .toBe(commitLsn);

  for (const id of [1, 2]) {
    await zenith.kill(`safekeeper ${id}`);
    rmSync(join(zenith.repository, `safekeepers/${id}/tenants`), { recursive: true });
  }
  await zenith.run('start');
  expect(await restoreBranch(zenith, 'main')).toMatchObject({ outcome: 'restored' });
  await zenith.startPostgres('main');
  expect(await zenith.query('main', 'select count(*)::int, sum(n)::int from t')).toEqual([
    { count: 20_000, sum: 200_010_000 },
  ]);
}, 300_000);
