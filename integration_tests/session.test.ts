import { afterAll, beforeAll, expect, test } from 'vitest';
import { Zenith } from './support/zenith.ts';

let zenith: Zenith;
beforeAll(async () => {
  zenith = await Zenith.init();
});
afterAll(() => zenith.destroy());

test('the session of the README: init, start, a table, a branch of it, and changes there that main does not see', async () => {
  expect(await zenith.run('start')).toMatch(
    /Starting pageserver at '127\.0\.0\.1:\d+' in \.zenith\nPageserver started\n/,
  );
  await zenith.startPostgres('main');
  expect(await zenith.run('pg', 'list')).toMatch(
    /^BRANCH\tADDRESS\t\tLSN\t\tSTATUS\nmain\t127\.0\.0\.1:\d+\t0\/[0-9A-F]+\trunning\n$/,
  );
  await zenith.query('main', 'create table t(key int primary key, value text)');
  await zenith.query('main', 'insert into t values(1,1)');

  expect(await zenith.run('branch', 'migration_check', 'main')).toMatch(
    /^Created branch 'migration_check' at 0\/[0-9A-F]+\n$/,
  );
  expect(await zenith.run('branch')).toMatch(/^ main\n ┗━ @0\/[0-9A-F]+: migration_check\n$/);
  await zenith.startPostgres('migration_check');
  expect(await zenith.query('migration_check', 'select * from t')).toEqual([{ key: 1, value: '1' }]);
  await zenith.query('migration_check', 'insert into t values(2,2)');
  expect(await zenith.query('migration_check', 'select count(*)::int from t')).toEqual([{ count: 2 }]);
  expect(await zenith.query('main', 'select count(*)::int from t')).toEqual([{ count: 1 }]);
});

test('a stop and a start of everything keep everything', async () => {
  await zenith.run('stop');
  await zenith.run('start');
  await zenith.startPostgres('main');
  await zenith.startPostgres('migration_check');
  expect(await zenith.query('main', 'select count(*)::int from t')).toEqual([{ count: 1 }]);
  expect(await zenith.query('migration_check', 'select count(*)::int from t')).toEqual([{ count: 2 }]);
});

test('a killed compute comes back with all that was acknowledged', async () => {
  await zenith.query('main', 'insert into t select g, g from generate_series(100, 199) g');
  const supervisor = zenith.pid('compute main');
  for (const child of zenith.children(supervisor)) process.kill(child, 'SIGKILL');
  await zenith.kill('compute main');
  await zenith.startPostgres('main');
  expect(await zenith.query('main', 'select count(*)::int from t')).toEqual([{ count: 101 }]);
});
