import { afterAll, beforeAll, expect, test } from 'vitest';
import { Zenith } from './support/zenith.ts';

let zenith: Zenith;
beforeAll(async () => {
  zenith = await Zenith.init();
  await zenith.run('start');
  await zenith.startPostgres('main');
  await zenith.query('main', 'create table t (n int); insert into t values (1)');
});
afterAll(() => zenith.destroy());

interface BranchesJson {
  readonly branches: readonly { readonly name: string; readonly timeline: string; readonly startLsn: string }[];
}

/** The timelines that the pageserver has, and those that branches name. */
async function timelines(): Promise<{ readonly stored: string[]; readonly named: string[] }> {
  const { tenant, pageserverHttpPort } = await zenith.branch('main');
  const response = await fetch(`http://127.0.0.1:${pageserverHttpPort}/v1/tenant/${tenant}/timeline`);
  const stored = ((await response.json()) as { timeline: string }[]).map(({ timeline }) => timeline);
  const { branches } = await zenith.json<BranchesJson>('branch');
  return { stored: stored.sort(), named: branches.map(({ timeline }) => timeline).sort() };
}

test('a command that is killed at any moment leaves the old state or the new, and nothing that no branch names', async () => {
  // Moments across the commands' lives, which take some hundred milliseconds each; where they fall decides nothing about what must hold.
  for (const [round, afterMs] of [120, 170, 200, 230, 260, 320].entries()) {
    const name = `victim_${round}`;
    const kept = `kept_${round}`;
    await zenith.run('branch', name);
    const before = (await zenith.json<BranchesJson>('branch')).branches;
    const args =
      [
        ['delete', name],
        ['reset', name],
        ['restore', name, '--to', String(before.find((one) => one.name === name)?.startLsn), '--keep-as', kept],
      ][round % 3] ?? [];
    await zenith.killed(afterMs, 'branch', ...args);
    const after = (await zenith.json<BranchesJson>('branch')).branches;
    const old = before.find((one) => one.name === name)?.timeline;
    const now = after.find((one) => one.name === name)?.timeline;
    const isOld = now === old && after.length === before.length;
    const isNew =
      args[0] === 'delete'
        ? now === undefined
        : args[0] === 'reset'
          ? now !== undefined && after.length === before.length
          : now !== old && after.find((one) => one.name === kept)?.timeline === old;
    expect({ args, isOld: isOld || isNew }).toEqual({ args, isOld: true });
    await zenith.run('start'); // what was left is removed
    const { stored, named } = await timelines();
    expect(stored).toEqual(named);
  }
  await zenith.startPostgres('victim_1');
  expect(await zenith.query('victim_1', 'select n from t')).toEqual([{ n: 1 }]);
});

test('a time given in words of people finds what was committed by then', async () => {
  const [row] = await zenith.query<{ now: string }>('main', 'select clock_timestamp()::text as now');
  await zenith.query('main', 'insert into t values (2)');
  const { lsn } = await zenith.json<{ lsn: string }>('lsn', 'main', '--at', row?.now ?? '');
  expect(await zenith.run('lsn', 'main', '--at', row?.now ?? '')).toMatch(/^0\/[0-9A-F]+, last commit .* UTC/);
  const made = await zenith.json<{ startLsn: string }>('branch', 'then', `main@${row?.now}`);
  expect(made.startLsn).toBe(lsn);
  await zenith.startPostgres('then');
  expect(await zenith.query('then', 'select n from t')).toEqual([{ n: 1 }]);
  const late = await zenith.try('branch', 'never', "main@'2100-01-01'".replaceAll("'", ''));
  expect(late.code).toBe(1);
  expect(late.stderr).toMatch(/^zenith: .* lies after the last commit/);
});
