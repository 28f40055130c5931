import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { formatLsn, lsn as toLsn, parseLsn } from '@zenith/base';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditBank, createBank, runBank } from './support/bank.ts';
import { Zenith } from './support/zenith.ts';

let zenith: Zenith;
beforeAll(async () => {
  zenith = await Zenith.init();
  await zenith.run('start');
  await zenith.startPostgres('main');
});
afterAll(() => zenith.destroy());

/** What a timeline's files take, on the pageserver and on every safekeeper. Unit: bytes. */
function bytesOfTimeline(timeline: string): number {
  return readdirSync(zenith.repository, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.parentPath.includes(timeline))
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

test('a branch at an LSN in the past has exactly the rows of that moment, at any byte of a record', async () => {
  await zenith.query('main', 'create table history (n int)');
  const moments: { readonly n: number; readonly lsn: string }[] = [];
  for (let n = 1; n <= 6; n++) {
    await zenith.query('main', `insert into history select ${n} from generate_series(1, 100)`);
    const [row] = await zenith.query<{ lsn: string }>('main', 'select pg_current_wal_flush_lsn()::text as lsn');
    moments.push({ n, lsn: row?.lsn ?? '' });
  }
  for (const { n, lsn } of moments.filter((moment) => moment.n % 2 === 1)) {
    for (const past of [0, 1, 9]) {
      const name = `past_${n}_${past}`;
      await zenith.run('branch', name, `main@${formatLsn(toLsn(parseLsn(lsn) + past))}`);
      await zenith.startPostgres(name);
      expect(await zenith.query(name, 'select max(n)::int as n, count(*)::int from history')).toEqual([
        { n, count: n * 100 },
      ]);
      await zenith.query(name, 'insert into history values (0)');
      await zenith.run('pg', 'stop', name, '--destroy');
    }
  }
});

test('a branch costs next to nothing to keep', async () => {
  await zenith.query('main', "create table large as select g, repeat('x', 500) as t from generate_series(1, 50000) g");
  const { timeline } = await zenith.json<{ timeline: string }>('branch', 'cheap', 'main');
  const bytes = bytesOfTimeline(timeline);
  expect(bytes).toBeGreaterThan(0);
  expect(bytes).toBeLessThan(100_000);
});

test('a chain of ten branches and ten side by side, each with its own compute writing, see their own rows only', async () => {
  await zenith.query('main', "create table mine (branch text); insert into mine values ('main')");
  let parent = 'main';
  const expected = new Map<string, string[]>();
  for (let i = 1; i <= 10; i++) {
    const name = `chain_${i}`;
    await zenith.run('branch', name, parent);
    await zenith.startPostgres(name);
    await zenith.query(name, `insert into mine values ('${name}')`);
    expected.set(name, [...(expected.get(parent) ?? ['main']), name]);
    parent = name;
  }
  await Promise.all(
    [...expected.keys()].map((name) => zenith.query(name, 'insert into mine select $$late$$ where false')),
  );
  for (const [name, rows] of expected) {
    expect(
      (await zenith.query<{ branch: string }>(name, 'select branch from mine')).map((row) => row.branch).sort(),
    ).toEqual([...rows].sort());
    await zenith.run('pg', 'stop', name);
  }
  const siblings = Array.from({ length: 10 }, (_, i) => `side_${i}`);
  for (const name of siblings) await zenith.run('branch', name, 'main');
  for (const name of siblings) await zenith.startPostgres(name);
  await Promise.all(
    siblings.map((name) => zenith.query(name, `insert into mine select '${name}' from generate_series(1, 100)`)),
  );
  for (const name of siblings) {
    expect(
      await zenith.query(
        name,
        `select count(*)::int, count(distinct branch)::int as branches from mine where branch in ('main', '${name}')`,
      ),
    ).toEqual([{ count: 101, branches: 2 }]);
    expect(await zenith.query(name, 'select count(*)::int from mine')).toEqual([{ count: 101 }]);
    await zenith.run('pg', 'stop', name);
  }
  expect(await zenith.query('main', 'select branch from mine')).toEqual([{ branch: 'main' }]);
});

test('branches made while transfers run are each a consistent moment', async () => {
  const options = { clients: 4, accounts: 100 };
  const client = await zenith.connect();
  await createBank(client, options);
  await client.end();
  const names = ['busy_1', 'busy_2', 'busy_3'];
  const result = await runBank(() => zenith.connect(), options, {
    firstId: 1,
    until: (async () => {
      for (const name of names) {
        await new Promise((resolve) => setTimeout(resolve, 500)); // some transfers in between
        await zenith.run('branch', name, 'main');
      }
    })(),
  });
  expect(result.errors).toEqual([]);
  let last = 0;
  for (const name of names) {
    await zenith.startPostgres(name);
    const [row] = await zenith.query<{ count: number; total: number }>(
      name,
      'select count(*)::int, (select sum(balance)::int from bank) as total from transfers',
    );
    expect(row?.total).toBe(0);
    expect(row?.count).toBeGreaterThanOrEqual(last);
    last = row?.count ?? 0;
    const branchClient = await zenith.connect(name);
    const acknowledgedElsewhere = new Set<number>();
    expect(
      await auditBank(branchClient, [
        {
          acknowledged: acknowledgedElsewhere,
          unknown: new Set([...result.acknowledged, ...result.unknown]),
          errors: [],
        },
      ]),
    ).toEqual([]);
    await branchClient.end();
    await zenith.run('pg', 'stop', name);
  }
  expect(last).toBeGreaterThan(0);
});
