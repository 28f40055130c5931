import { afterAll, beforeAll, expect, test } from 'vitest';
import { Zenith } from './support/zenith.ts';

let zenith: Zenith;
beforeAll(async () => {
  zenith = await Zenith.init();
  await zenith.run('start');
});
afterAll(() => zenith.destroy());

test('a tablespace in place and what lies in it are there after a restart and on a branch, and can be dropped', async () => {
  await zenith.startPostgres('main', '--set', 'allow_in_place_tablespaces=on');
  await zenith.query('main', "create tablespace inside location ''");
  await zenith.query('main', 'create table kept tablespace inside as select 42 as answer');
  await zenith.run('branch', 'child', 'main');
  await zenith.startPostgres('child');
  await zenith.run('pg', 'stop', 'main');
  await zenith.startPostgres('main');
  for (const branch of ['main', 'child'])
    expect(await zenith.query(branch, 'select answer from kept')).toEqual([{ answer: 42 }]);
  await zenith.query('main', 'drop table kept');
  await zenith.query('main', 'drop tablespace inside');
  await zenith.run('pg', 'stop', 'main');
  await zenith.startPostgres('main');
  const names = 'select spcname as name from pg_tablespace order by 1';
  expect(await zenith.query('main', names)).toEqual([{ name: 'pg_default' }, { name: 'pg_global' }]);
  expect((await zenith.query('child', names)).length).toBe(3);
});
