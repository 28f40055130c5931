import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { Zenith } from '../support/zenith.ts';

let zenith: Zenith;
beforeAll(async () => {
  zenith = await Zenith.init();
  await zenith.run('start');
  await zenith.startPostgres('main');
  await zenith.run('branch', 'child', 'main');
  await zenith.startPostgres('child');
});
afterEach(() => {
  vi.unstubAllEnvs();
});
afterAll(() => zenith.destroy());

const WHERE = "select 1, current_setting('port'), current_user, current_database()";

test.each([
  { words: 'main -- -XAtc', branch: 'main' },
  { words: 'main -XAtc', branch: 'main' },
  { words: '-- -XAtc', branch: 'main' },
  { words: '-XAtc', branch: 'main' },
  { words: 'child -- -XAtc', branch: 'child' },
  { words: 'child -XAtc', branch: 'child' },
])('zenith psql $words runs the statement on $branch', async ({ words, branch }) => {
  expect(await zenith.try('psql', ...words.split(' '), WHERE)).toEqual({
    code: 0,
    stdout: `1|${zenith.port(branch)}|${zenith.user}|postgres\n`,
    stderr: '',
  });
});

test("a statement or a script that fails gives psql's own exit status, and psql's own words only", async () => {
  expect(await zenith.try('psql', 'main', '--', '-XAtc', 'select 1/0')).toEqual({
    code: 1,
    stdout: '',
    stderr: 'ERROR:  division by zero\n',
  });
  const script = join(zenith.directory, 'failing.sql');
  writeFileSync(script, 'select 1/0;\nselect 2;\n');
  const stderr = `psql:${script}:1: ERROR:  division by zero\n`;
  expect(await zenith.try('psql', 'main', '--', '-XAtf', script)).toEqual({ code: 0, stdout: '2\n', stderr });
  const stopping = await zenith.try('psql', 'main', '--', '-v', 'ON_ERROR_STOP=1', '-XAtf', script);
  expect(stopping).toEqual({ code: 3, stdout: '', stderr });
});

test('without psql on the PATH one line says so, and how another client connects', async () => {
  vi.stubEnv('PATH', zenith.directory);
  expect(await zenith.try('psql', 'main', '--', '-XAtc', 'select 1')).toEqual({
    code: 1,
    stdout: '',
    stderr: `zenith: psql is not installed here (it comes with a distribution's PostgreSQL client); any other client can use postgresql://${zenith.user}@127.0.0.1:${zenith.port('main')}/postgres\n`,
  });
});
