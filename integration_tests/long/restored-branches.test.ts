import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseLsn, type Lsn } from '@zenith/base';
import { afterEach, expect, test } from 'vitest';
import {
  loseSafekeepers,
  restoreBranches,
  safekeeperTimeline,
  SEGMENT_SIZE,
  type RestoredJson,
} from '../support/lost-safekeepers.ts';
import { flushBranch, pageserverTimeline } from '../support/pageserver-timeline.ts';
import { Zenith } from '../support/zenith.ts';

// What becomes of branches when every safekeeper loses its disk, and the archived WAL of their parent ends before or behind where they begin.

const DAY_MS = 86_400_000;
/** Written into a branch that is to have whole segments in the archive. Unit: MB, about. */
const MEGABYTES = 40;

let zenith: Zenith;
afterEach(() => zenith.destroy());

async function init(): Promise<void> {
  zenith = await Zenith.init('--safekeepers', '3');
  mkdirSync(join(zenith.repository, 'pageserver'), { recursive: true });
  // The pageserver flushes when it is told to.
  writeFileSync(join(zenith.repository, 'pageserver/pageserver.json'), JSON.stringify({ flushIntervalMs: DAY_MS }));
  await zenith.run('start');
}

const start = (branch: string): Promise<void> =>
  zenith.startPostgres(branch, '--set', 'autovacuum=off', '--set', 'checkpoint_timeout=1h');

/** Commits `count` rows in order, of a megabyte of WAL each. */
async function write(branch: string, from: number, count: number): Promise<void> {
  for (let id = from; id < from + count; id++)
    await zenith.query(
      branch,
      `insert into t select ${id}, g, (select string_agg(md5(random()::text || g || i), '') from generate_series(1, 220) i) from generate_series(1, 140) g`,
    );
}

/** Which commits a branch has, in order. */
async function commits(branch: string): Promise<number[]> {
  const rows = await zenith.query<{ id: number; n: number }>(
    branch,
    'select id, count(v)::int as n from t group by id order by id',
  );
  expect(rows.filter(({ id, n }) => id > 0 && n !== 140)).toEqual([]);
  return rows.map(({ id }) => id);
}

/** Waits until every whole segment of a branch is archived; gives where the archive ends. */
async function archived(branch: string): Promise<Lsn> {
  const { commitLsn } = await zenith.branch(branch);
  const complete = (commitLsn - (commitLsn % SEGMENT_SIZE)) as Lsn;
  await expect
    .poll(async () => (await safekeeperTimeline(zenith, branch, 1)).backupLsn, { timeout: 120_000 })
    .toBe(complete);
  return complete;
}

async function startFails(branch: string): Promise<string> {
  const { code, stderr } = await zenith.try('pg', 'start', branch);
  expect(code).toBe(1);
  return stderr;
}

test('the parent’s archive ends before a branch begins, and the pageserver has no more: that branch is lost and said to be, the parent goes on only without it, and others from their own archives', async () => {
  await init();
  await start('main');
  await zenith.query('main', 'create table t (id int, g int, v text)');
  await zenith.query('main', 'insert into t values (0)');
  const flushedLsn = await flushBranch(zenith, 'main');

  await zenith.run('branch', 'kept', 'main');
  await start('kept');
  await write('kept', 1001, MEGABYTES);
  await archived('kept');
  await zenith.run('pg', 'stop', 'kept');

  await write('main', 1, MEGABYTES);
  const completeLsn = await archived('main');
  await zenith.query('main', 'insert into t values (-1)');
  await zenith.run('branch', 'late', 'main');
  const { startLsn } = await zenith.branch('late');
  expect(startLsn).toBeGreaterThan(completeLsn);
  await start('late');
  await zenith.query('late', 'insert into t values (-2)');
  await zenith.run('branch', 'later', 'late');
  await zenith.run('pg', 'stop', 'late');
  await zenith.run('pg', 'stop', 'main');

  // What the pageserver has in memory only is lost with the safekeepers.
  expect(parseLsn((await pageserverTimeline(zenith, 'main')).diskConsistentLsn)).toBe(flushedLsn);
  await zenith.kill('pageserver');
  await loseSafekeepers(zenith);
  await zenith.run('start');
  const restored = new Map((await restoreBranches(zenith)).map((one) => [one.branch, one]));
  const main = restored.get('main') as RestoredJson;
  expect(main.outcome).toBe('readable');
  const endLsn = parseLsn(main.endLsn ?? '0/0');
  expect(endLsn).toBeGreaterThan(flushedLsn);
  expect(endLsn).toBeLessThanOrEqual(completeLsn);
  expect(restored.get('kept')?.outcome).toBe('restored');
  for (const branch of ['late', 'later'])
    expect(restored.get(branch)).toMatchObject({ outcome: 'lost', endLsn: main.endLsn });
  // Given once more it says the same of them.
  const again = new Map((await restoreBranches(zenith)).map((one) => [one.branch, one.outcome]));
  expect(Object.fromEntries(again)).toEqual({ main: 'readable', kept: 'present', late: 'lost', later: 'lost' });

  // Other WAL than what was lost would be taken for the lost branch's history.
  expect(await startFails('main')).toContain('a branch begins at');
  expect(await startFails('late')).toContain('of the timeline it was branched from');

  await start('kept');
  const kept = await commits('kept');
  expect(kept).toEqual([0, ...Array.from({ length: kept.length - 1 }, (_, i) => 1001 + i)]);
  expect(kept.length).toBeGreaterThan(MEGABYTES / 2);
  await zenith.query('kept', 'insert into t values (5000)');
  await zenith.run('pg', 'stop', 'kept');

  await zenith.run('branch', 'rescued', `main@${main.endLsn}`);
  await start('rescued');
  const rescued = await commits('rescued');
  expect(rescued).toEqual(Array.from({ length: rescued.length }, (_, i) => i));
  expect(rescued.length).toBeGreaterThan(MEGABYTES / 2);
  await zenith.run('pg', 'stop', 'rescued');

  await zenith.run('branch', 'delete', 'later');
  await zenith.run('branch', 'delete', 'late');
  await start('main');
  expect(await commits('main')).toEqual(rescued);
  await write('main', 100, 3);
  await zenith.run('pg', 'stop', 'main');
  await start('main');
  expect(await commits('main')).toEqual([...rescued, 100, 101, 102]);
  await start('rescued');
  expect(await commits('rescued')).toEqual(rescued);
});

test('nothing was archived, of the parent or of a branch, but the pageserver has it all: it says so, and branches go on from there', async () => {
  await init();
  await start('main');
  await zenith.query('main', 'create table t (id int, g int, v text)');
  await zenith.query('main', 'insert into t values (0)');
  await zenith.run('branch', 'small', 'main');
  await start('small');
  await zenith.query('small', 'insert into t values (-1)');
  await zenith.run('branch', 'untouched', 'small');
  for (const branch of ['main', 'small']) {
    await flushBranch(zenith, branch);
    await zenith.run('pg', 'stop', branch);
  }
  await loseSafekeepers(zenith);
  await zenith.run('start');
  const restored = new Map((await restoreBranches(zenith)).map((one) => [one.branch, one]));
  for (const branch of ['main', 'small'])
    expect(restored.get(branch)).toMatchObject({ outcome: 'behind', endLsn: null });
  expect(restored.get('untouched')?.outcome).toBe('empty');
  for (const branch of ['main', 'small']) expect(await startFails(branch)).toContain('have lost what was committed');
  for (const [branch, expected] of [
    ['main', [0]],
    ['small', [-1, 0]],
  ] as const) {
    await zenith.run('branch', `${branch}-2`, `${branch}@${restored.get(branch)?.ingestedLsn}`);
    await start(`${branch}-2`);
    expect(await commits(`${branch}-2`)).toEqual(expected);
  }
  await start('untouched');
  await zenith.query('untouched', 'insert into t values (-3)');
  expect(await commits('untouched')).toEqual([-3, -1, 0]);
});
