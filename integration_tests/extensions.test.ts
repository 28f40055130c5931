import { afterAll, beforeAll, expect, test } from 'vitest';
import { Zenith } from './support/zenith.ts';

let zenith: Zenith;
beforeAll(async () => {
  zenith = await Zenith.init();
  await zenith.run('start');
});
afterAll(() => zenith.destroy());

test('pg_stat_statements in shared_preload_libraries works', async () => {
  await zenith.startPostgres('main', '--set', 'shared_preload_libraries=pg_stat_statements');
  await zenith.query('main', 'create extension pg_stat_statements');
  await zenith.query('main', 'select 42 as answer');
  expect(
    await zenith.query('main', "select count(*)::int from pg_stat_statements where query like '%as answer'"),
  ).toEqual([{ count: 1 }]);
});

test('every contrib extension of the distribution can be created, and is there after a restart', async () => {
  const available = await zenith.query<{ name: string }>(
    'main',
    // those that need a language or library this build of PostgreSQL does not have are not ours to judge
    "select name from pg_available_extensions where name !~ 'pl(perl|python|tcl)|plperl|plpython|transform|_plperl|_plpython|sepgsql' order by name",
  );
  const failed: string[] = [];
  for (const { name } of available) {
    try {
      await zenith.query('main', `create extension if not exists "${name}" cascade`);
    } catch (error) {
      failed.push(`${name}: ${(error as Error).message}`);
    }
  }
  expect(failed).toEqual([]);
  expect(available.length).toBeGreaterThan(30);
  const before = await zenith.query('main', 'select extname, extversion from pg_extension order by 1');
  await zenith.run('pg', 'stop', 'main');
  await zenith.startPostgres('main');
  expect(await zenith.query('main', 'select extname, extversion from pg_extension order by 1')).toEqual(before);
  expect(await zenith.query('main', "select 'a=>1'::hstore -> 'a' as value")).toEqual([{ value: '1' }]);
});

test('the PostgreSQL that runs is byte for byte the one npm delivered', async () => {
  const { readFileSync, realpathSync } = await import('node:fs');
  const { stockInstallation } = await import('@zenith/testing');
  const [postmaster] = zenith.children(zenith.pid('compute main'));
  const running = readFileSync(realpathSync(`/proc/${postmaster}/exe`));
  expect(running.equals(readFileSync(`${stockInstallation(18)}/bin/postgres`))).toBe(true);
});
