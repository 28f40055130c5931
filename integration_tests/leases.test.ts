import { afterAll, beforeAll, expect, test } from 'vitest';
import { flushBranch } from './support/pageserver-timeline.ts';
import { Zenith } from './support/zenith.ts';

interface LeaseJson {
  readonly branch: string;
  readonly name: string;
  readonly lsn: string;
  readonly until: string;
}

interface SizesJson {
  readonly branches: readonly {
    readonly name: string;
    readonly logicalBytes: number;
    readonly historyBytes: number;
    readonly uniqueBytes: number;
  }[];
}

let zenith: Zenith;
beforeAll(async () => {
  zenith = await Zenith.init();
  await zenith.run('start');
  await zenith.startPostgres('main');
});
afterAll(() => zenith.destroy());

const HOUR_MS = 3_600_000;

/** Drops all history that nobody holds. */
async function collect(): Promise<void> {
  await flushBranch(zenith, 'main');
  await zenith.run('gc', 'main');
}

test('a lease keeps an LSN that the policy drops, to be read and to branch from, until it is released', async () => {
  await zenith.run('config', 'set', 'history', '0s');
  await zenith.run('config', 'set', 'history-bytes', '0B');
  await zenith.query('main', 'create table t as select 1 as n');
  const audit = await zenith.json<LeaseJson>('lease', 'main', '--for', '2h', '--name', 'audit');
  expect(new Date(audit.until).getTime()).toBeGreaterThan(Date.now() + HOUR_MS);
  await zenith.query('main', 'update t set n = 2');
  const { lsn: unleased } = await zenith.json<{ lsn: string }>('lsn', 'main');
  for (let n = 3; n < 6; n++) {
    await zenith.query('main', `update t set n = ${n}`);
    await collect();
  }
  expect((await zenith.try('branch', 'dropped', `main@${unleased}`)).stderr).toMatch(/has no history below/);
  expect((await zenith.try('lease', 'main', '--lsn', unleased)).stderr).toMatch(/lies below the kept history/);
  await zenith.run('branch', 'kept', `main@${audit.lsn}`);
  await zenith.startPostgres('kept');
  expect(await zenith.query('kept', 'select n from t')).toEqual([{ n: 1 }]);
  await zenith.run('pg', 'stop', 'kept', '--destroy');
  await zenith.run('branch', 'delete', 'kept');
  const { leases } = await zenith.json<{ leases: LeaseJson[] }>('lease', 'list', 'main');
  expect(leases.find(({ name }) => name === 'audit')).toEqual(audit);
  expect(leases.filter(({ name }) => name.startsWith('compute-'))).toHaveLength(1);
  await zenith.run('lease', 'release', 'main', 'audit');
  expect((await zenith.try('lease', 'release', 'main', 'audit')).stderr).toMatch(/^zenith: no lease 'audit' on 'main'/);
  await collect();
  expect((await zenith.try('branch', 'late', `main@${audit.lsn}`)).stderr).toMatch(/has no history below/);
});

test('sizes of a branch: what there is at its end, its history, and what only it has', async () => {
  const sizes = async (name: string): Promise<Omit<SizesJson['branches'][number], 'name'>> => {
    await flushBranch(zenith, name);
    const { branches } = await zenith.json<SizesJson>('branch', '--sizes');
    const found = branches.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no sizes of ${name}`);
    return found;
  };
  const before = await sizes('main');
  await zenith.query('main', 'create table large as select repeat(md5(g::text), 30) from generate_series(1, 4000) g');
  const [row] = await zenith.query<{ bytes: number }>('main', "select pg_relation_size('large')::int as bytes");
  const bytes = row?.bytes ?? Number.NaN;
  const after = await sizes('main');
  expect(after.logicalBytes - before.logicalBytes).toBeGreaterThan(bytes * 0.9); // PostgreSQL extends files ahead of what it has written
  expect(after.logicalBytes - before.logicalBytes).toBeLessThan(2 * bytes);
  expect(after.historyBytes - before.historyBytes).toBeGreaterThan(bytes / 2);
  await zenith.run('branch', 'child', 'main');
  const child = await sizes('child');
  expect(child).toMatchObject({ logicalBytes: after.logicalBytes, historyBytes: 0, uniqueBytes: 0 });
  expect((await sizes('main')).uniqueBytes).toBeLessThanOrEqual(after.uniqueBytes);
  await zenith.startPostgres('child');
  await zenith.query('child', 'drop table large');
  const changed = await sizes('child');
  expect(changed.logicalBytes).toBeLessThan(child.logicalBytes - bytes / 2);
  expect(changed.uniqueBytes).toBeGreaterThan(0);
  expect(await zenith.run('branch', '--sizes')).toMatch(/^BRANCH +LOGICAL +HISTORY +UNIQUE\n/);
  expect((await zenith.try('branch', 'x', '--sizes')).code).toBe(2);
});
