import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseLsn, type Lsn } from '@zenith/base';
import type { Client } from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loseSafekeepers, restoreBranch, safekeeperTimeline, SEGMENT_SIZE } from '../support/lost-safekeepers.ts';
import { uploadBranch } from '../support/pageserver-timeline.ts';
import { Zenith } from '../support/zenith.ts';

// A branch goes on from the archive: once where a segment ends in the middle of a record, then, from what the archive got since and the oldest layers, where one was switched.

const SAFEKEEPERS = [1, 2, 3] as const;

/** Rows of one statement. */
const ROWS = 500;

const DAY_MS = 24 * 60 * 60 * 1000;

let zenith: Zenith;
/** The ids of the rows that must be there. */
const ids: number[] = [];
let lastId = 0;
/** What remote storage has of the branch before the first loss; until the pageserver's disk is lost, it gets no more. */
let uploadedLsn: Lsn;

beforeAll(async () => {
  zenith = await Zenith.init('--safekeepers', '3');
  // The pageserver makes durable what it is asked to, and nothing later.
  writeFileSync(join(zenith.repository, 'pageserver/pageserver.json'), JSON.stringify({ flushIntervalMs: DAY_MS }));
  await zenith.run('start');
  await startCompute();
  await zenith.query('main', 'create extension amcheck');
  await zenith.query('main', 'create table t (id int primary key, v text)');
  await withClient(insert);
  uploadedLsn = await uploadBranch(zenith, 'main');
});
afterAll(() => zenith.destroy());

/** It writes no WAL but for what it is asked for. */
function startCompute(): Promise<void> {
  return zenith.startPostgres('main', '--set', 'autovacuum=off', '--set', 'checkpoint_timeout=1h');
}

async function withClient<T>(work: (client: Client) => Promise<T>): Promise<T> {
  const client = await zenith.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** Inserts new rows. */
async function insert(client: Client): Promise<void> {
  const first = lastId + 1;
  lastId += ROWS;
  await client.query(`insert into t select g, md5(g::text) from generate_series(${first}, ${lastId}) g`);
  for (let id = first; id <= lastId; id++) ids.push(id);
}

/** Ends a segment. @returns where it ends */
async function switchSegment(client: Client): Promise<Lsn> {
  const { rows } = await client.query<{ lsn: string }>('select pg_switch_wal() as lsn');
  return (Math.ceil(parseLsn(rows[0]?.lsn ?? '') / SEGMENT_SIZE) * SEGMENT_SIZE) as Lsn;
}

/** Inserts rows in a transaction that commits in another segment than it begins in. @returns where the segment before the commit ends */
async function insertOverSegments(client: Client): Promise<Lsn> {
  await client.query('begin');
  await insert(client);
  const segmentStart = async (): Promise<Lsn> => {
    const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_insert_lsn() as lsn');
    const lsn = parseLsn(rows[0]?.lsn ?? '');
    return (lsn - (lsn % SEGMENT_SIZE)) as Lsn;
  };
  const first = await segmentStart();
  while ((await segmentStart()) === first)
    await client.query("select pg_logical_emit_message(true, 'fill', repeat('x', 1000000))");
  const end = await segmentStart();
  await client.query('commit');
  return end;
}

/**
 * Commits rows, and kills the pageserver; then more rows, and by `endSegment` and after it some that will be lost with the safekeepers.
 * @returns where the archived WAL ends
 */
function write(endSegment: (client: Client) => Promise<Lsn>): Promise<Lsn> {
  return withClient(async (client) => {
    // What the statements read of the catalog is local from here on.
    await insertOverSegments(client);
    await switchSegment(client);
    await zenith.kill('pageserver');
    await insertOverSegments(client);
    const kept = ids.length;
    const end = await endSegment(client);
    await insert(client);
    await expectArchived(end);
    ids.length = kept;
    return end;
  });
}

/** Every safekeeper knows that the archive has whole segments up to there. */
async function expectArchived(end: Lsn): Promise<void> {
  for (const id of SAFEKEEPERS)
    await expect
      .poll(async () => (await safekeeperTimeline(zenith, 'main', id)).backupLsn, { timeout: 120_000 })
      .toBe(end);
}

/** Heap and index have the rows of {@link ids} and no others. */
async function expectRows(): Promise<void> {
  const rows = await zenith.query<{ id: number }>('main', 'select id from t where v = md5(id::text) order by id');
  expect(rows.map(({ id }) => id)).toEqual(ids);
  expect(await zenith.query('main', 'select count(*)::int as count from t')).toEqual([{ count: ids.length }]);
  await zenith.query('main', "select bt_index_check('t_pkey', true)");
  expect(await zenith.query('main', "select * from verify_heapam('t')")).toEqual([]);
}

test('every safekeeper lost with its disk, the pageserver killed: the branch goes on after the last whole record in the archive', async () => {
  const end = await write(insertOverSegments);
  await zenith.kill('compute main');
  await loseSafekeepers(zenith);
  await zenith.run('start');
  const restored = await restoreBranch(zenith, 'main');
  expect(restored?.outcome).toBe('restored');
  const endLsn = parseLsn(restored?.endLsn ?? '');
  expect(endLsn).toBeLessThan(end);
  expect(endLsn).toBeGreaterThan(end - SEGMENT_SIZE);
  expect(parseLsn(restored?.ingestedLsn ?? '')).toBeLessThan(endLsn);
  await startCompute();
  await expectRows();
});

test('the pageserver’s disk lost with them, too, later on: what was written since is in the archive, and the branch goes on where its last segment was switched', async () => {
  const end = await write(switchSegment);
  await zenith.kill('compute main');
  await loseSafekeepers(zenith);
  rmSync(join(zenith.repository, 'pageserver'), { recursive: true });
  mkdirSync(join(zenith.repository, 'pageserver'));
  await zenith.run('start');
  const restored = await restoreBranch(zenith, 'main');
  expect(restored?.outcome).toBe('restored');
  expect(parseLsn(restored?.endLsn ?? '')).toBe(end);
  expect(parseLsn(restored?.ingestedLsn ?? '')).toBe(uploadedLsn);
  await startCompute();
  await expectRows();
});

test('what is written afterwards is archived and uploaded as ever, and everything is there after a restart', async () => {
  await withClient(async (client) => {
    await insert(client);
    const end = await switchSegment(client);
    await insert(client);
    await expectArchived(end);
  });
  await uploadBranch(zenith, 'main');
  expect(await zenith.json('scrub')).toMatchObject({ missing: [], corrupt: [], foreign: [] });
  await zenith.run('stop');
  await zenith.run('start');
  await startCompute();
  await expectRows();
});
