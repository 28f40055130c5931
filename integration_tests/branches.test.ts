import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { formatLsn, lsn as toLsn, parseLsn } from '@zenith/base';
import { createBranch, openRepository } from '@zenith/control-plane';
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

/** The rows of `mine` on a branch, sorted. */
async function mine(branch: string): Promise<string[]> {
  const rows = await zenith.query<{ text: string }>(branch, 'select text from mine');
  return rows.map(({ text }) => text).sort();
}

test('each of ten branches in a chain has what its parent had when it was made, and what it writes itself, while all of them go on writing', async () => {
  await zenith.query('main', 'create table mine (text text)');
  const chain = ['main', ...Array.from({ length: 10 }, (_, i) => `chain_${i + 1}`)];
  const expected = new Map<string, readonly string[]>();
  let inherited: readonly string[] = [];
  for (const [i, name] of chain.entries()) {
    if (i > 0) {
      await zenith.run('branch', name, chain[i - 1] ?? '');
      await zenith.startPostgres(name);
    }
    await zenith.query(name, `insert into mine values ('${name}')`);
    inherited = [...inherited, name];
    expected.set(name, [...inherited, `${name}, later`].sort());
  }
  await Promise.all(chain.map((name) => zenith.query(name, `insert into mine values ('${name}, later')`)));
  for (const [name, rows] of expected) expect([name, await mine(name)]).toEqual([name, rows]);
  // And from the pageserver: a new compute has none of the pages.
  for (const [name, rows] of expected) {
    await zenith.run('pg', 'stop', name, '--destroy');
    await zenith.startPostgres(name);
    expect([name, await mine(name)]).toEqual([name, rows]);
    if (name !== 'main') await zenith.run('pg', 'stop', name);
  }
});

test('ten branches side by side, each with its own compute writing, and their parent see their own rows only', async () => {
  await zenith.query('main', "create table beside (branch text); insert into beside values ('at the start')");
  const siblings = Array.from({ length: 10 }, (_, i) => `side_${i}`);
  for (const name of siblings) await zenith.run('branch', name, 'main');
  for (const name of siblings) await zenith.startPostgres(name);
  const all = ['main', ...siblings];
  await Promise.all(
    all.map((name) => zenith.query(name, `insert into beside select '${name}' from generate_series(1, 100)`)),
  );
  for (const name of all) {
    expect(
      await zenith.query(name, 'select branch, count(*)::int from beside group by branch order by count(*)'),
    ).toEqual([
      { branch: 'at the start', count: 1 },
      { branch: name, count: 100 },
    ]);
    if (name !== 'main') await zenith.run('pg', 'stop', name);
  }
});

test('branches made while transfers run are each a consistent moment that has every transfer acknowledged before', async () => {
  const options = { clients: 4, accounts: 100 };
  const client = await zenith.connect();
  await createBank(client, options);
  await client.end();
  const repository = openRepository(zenith.directory);
  const acknowledged = new Set<number>();
  /** What was acknowledged just before the branch was asked for: in this process, as many more are acknowledged while a command begins. */
  const owed = new Map<string, ReadonlySet<number>>();
  const result = await runBank(() => zenith.connect(), options, {
    firstId: 1,
    onAcknowledged: (_, id) => acknowledged.add(id),
    until: (async () => {
      for (const name of ['busy_1', 'busy_2', 'busy_3']) {
        const before = acknowledged.size;
        await expect.poll(() => acknowledged.size, { timeout: 60_000 }).toBeGreaterThan(before + 20);
        owed.set(name, new Set(acknowledged));
        await createBranch(repository, name);
      }
    })(),
  });
  expect(result.errors).toEqual([]);
  expect(owed.size).toBe(3);
  const made = new Set([...result.acknowledged, ...result.unknown]);
  for (const [name, ids] of owed) {
    await zenith.startPostgres(name);
    const branchClient = await zenith.connect(name);
    expect(await auditBank(branchClient, [{ acknowledged: ids, unknown: made }])).toEqual([]);
    await branchClient.end();
    await zenith.run('pg', 'stop', name);
  }
});
