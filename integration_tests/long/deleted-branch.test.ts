import { existsSync, readFileSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { killAndWait, Zenith } from '../support/zenith.ts';

const SAFEKEEPERS = [1, 2, 3] as const;

const LOOK = { timeout: 120_000, interval: 100 };

let zenith: Zenith;
beforeAll(async () => {
  zenith = await Zenith.init('--safekeepers', '3');
  await zenith.run('start');
  await zenith.startPostgres('main', '--set', 'autovacuum=off');
  await zenith.query('main', 'create table t (id int, v text)');
});
afterAll(() => zenith.destroy());

/** Commits more WAL than a segment holds. */
async function write(branch: string): Promise<void> {
  await zenith.query(
    branch,
    "insert into t select g, (select string_agg(md5(random()::text || g || i), '') from generate_series(1, 220) i) from generate_series(1, 4000) g",
  );
}

/** The archived objects of a timeline. */
async function archived(timeline: string): Promise<string[]> {
  const { tenant } = await zenith.branch('main');
  const folder = join(zenith.repository, 'remote/wal', tenant, timeline);
  return existsSync(folder) ? readdirSync(folder) : [];
}

/** Statuses with which the safekeepers answer for a timeline. */
async function known(timeline: string): Promise<number[]> {
  const { tenant } = await zenith.branch('main');
  const { nodes } = await zenith.status();
  const ports = nodes.filter(({ service }) => service === 'safekeeper').map(({ httpPort }) => httpPort);
  return Promise.all(
    ports.map(
      async (port) => (await fetch(`http://127.0.0.1:${port}/v1/tenant/${tenant}/timeline/${timeline}`)).status,
    ),
  );
}

test.each(['delete', 'reset'] as const)(
  'a branch %s leaves no WAL of the timeline, neither on a safekeeper nor in the archive',
  async (command) => {
    const name = `to_${command}`;
    await zenith.run('branch', name);
    await zenith.startPostgres(name, '--set', 'autovacuum=off');
    const { timeline } = await zenith.branch(name);
    await write(name);
    await expect.poll(() => archived(timeline), LOOK).not.toEqual([]);
    expect(await known(timeline)).toEqual([200, 200, 200]);
    await zenith.run('pg', 'stop', name);
    // A safekeeper that is away is made up for.
    await zenith.kill('safekeeper 2');
    await zenith.run('branch', command, name);
    await zenith.run('start');
    expect(await archived(timeline)).toEqual([]);
    expect(await known(timeline)).toEqual([404, 404, 404]);
    if (command === 'delete') return;
    await zenith.startPostgres(name);
    expect(await zenith.query(name, 'select count(*)::int as count from t')).toEqual([{ count: 0 }]);
    await zenith.run('pg', 'stop', name);
  },
);

test('a compute that nobody knows of any more does not make its deleted timeline again', async () => {
  await zenith.run('branch', 'gone');
  await zenith.startPostgres('gone');
  const { timeline } = await zenith.branch('gone');
  await zenith.query('gone', "insert into t values (1, 'before')");
  const client = await zenith.connect('gone');
  const supervisor = zenith.pid('compute gone');
  const pidFile = join(zenith.repository, 'computes/gone/supervisor.pid');
  renameSync(pidFile, `${pidFile}.away`); // to the command it looks as if it had ended
  try {
    await zenith.run('branch', 'delete', 'gone');
    expect(await known(timeline)).toEqual([404, 404, 404]);
    let committed = false;
    client.query("insert into t values (2, 'after')").then(
      () => (committed = true),
      () => undefined, // its files are gone from under it
    );
    // It comes back to each of them, and is told.
    for (const id of SAFEKEEPERS) {
      const log = join(zenith.repository, `safekeepers/${id}/safekeeper.log`);
      await expect
        .poll(() => readFileSync(log, 'utf8').includes(`${timeline} cannot be created: it was removed`), LOOK)
        .toBe(true);
    }
    expect(committed).toBe(false);
    expect(await known(timeline)).toEqual([404, 404, 404]);
    expect(await archived(timeline)).toEqual([]);
  } finally {
    for (const pid of [supervisor, ...zenith.children(supervisor)]) await killAndWait(pid);
    await client.end().catch(() => undefined);
  }
  // After a restart they still know that it is gone.
  for (const id of SAFEKEEPERS) await zenith.kill(`safekeeper ${id}`);
  await zenith.run('start');
  expect(await known(timeline)).toEqual([404, 404, 404]);
});
