import { BLCKSZ, RELSEG_SIZE } from '@zenith/pg-format';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { compareCluster } from '../../conformance/oracle/compare-cluster.ts';
import { Zenith } from '../support/zenith.ts';

// Block 131,072 of a relation is the first of its second file. A table gets there with little WAL when each page has one small row: with fillfactor 10 a page that has a row of 416 bytes takes no other, so the row
// `id` is in block `id - 1`.

/** Enough of them are behind the boundary for VACUUM to give them back (PG 18: vacuumlazy.c, REL_TRUNCATE_MINIMUM). */
const BLOCKS = RELSEG_SIZE + 3_500;

/** What is changed, blocks of both files. */
const CHANGED = RELSEG_SIZE - 50;
const CHANGED_END = RELSEG_SIZE + 50;

/** Removes all dead rows, however few they are. */
const VACUUM = 'vacuum (index_cleanup on) large';

/** A row that is not there. */
const NOTHING = { id: null, block: null };

let zenith: Zenith;
beforeAll(async () => {
  zenith = await Zenith.init();
  await zenith.run('start');
});
afterAll(() => zenith.destroy());

/** A compute that has none of the table's pages yet, and no room for them. */
async function startSmallCompute(): Promise<void> {
  await zenith.startPostgres('main', '--set', 'shared_buffers=1MB', '--set', 'autovacuum=off');
}

/** The query of the rows of the blocks from `first` to before `end`. */
function rows(first: number, end: number, text = 'written'): string {
  return `select g as id, repeat(md5('${text}' || g), 12) as v from generate_series(${first + 1}, ${end}) g`;
}

/** The same with rows that fit into no page that has another one. */
function wideRows(first: number, end: number): string {
  return `select g, repeat('x', 7900) from generate_series(${first + 1}, ${end}) g`;
}

/** A scan finds exactly these rows, and the last one in the last of so many blocks. */
async function expectRows(blocks: number, ...queries: readonly string[]): Promise<void> {
  const contents = 'count(*)::int as count, sum(id) as ids, sum(hashtext(v)) as texts';
  const [expected] = await zenith.query('main', `select ${contents} from (${queries.join(' union all ')}) rows`);
  expect(
    await zenith.query(
      'main',
      `select ${contents}, min(ctid)::text as first, max(ctid)::text as last, (pg_relation_size('large') / ${BLCKSZ})::int as blocks from large`,
    ),
  ).toEqual([{ ...expected, first: '(0,1)', last: `(${blocks - 1},1)`, blocks }]);
}

/** What lies where the index says that the rows are which were written into these blocks. */
async function lookUp(...blocks: readonly number[]): Promise<{ id: number | null; block: number | null }[]> {
  const client = await zenith.connect();
  try {
    await client.query('set enable_seqscan = off');
    const { rows: found } = await client.query<{ id: number | null; block: number | null }>(
      `select large.id, (large.ctid::text::point)[0]::int as block
         from unnest($1::int[]) with ordinality as wanted (id, position) left join large on large.id = wanted.id order by position`,
      [blocks.map((block) => block + 1)],
    );
    return found;
  } finally {
    await client.end();
  }
}

/** They lie where they were written. */
async function expectInPlace(...blocks: readonly number[]): Promise<void> {
  expect(await lookUp(...blocks)).toEqual(blocks.map((block) => ({ id: block + 1, block })));
}

test('a new compute finds rows of both files of a table by the index, and all of them by a scan', async () => {
  await zenith.startPostgres('main', '--set', 'autovacuum=off');
  await zenith.query('main', 'create table large (id int primary key, v text) with (fillfactor = 10)');
  await zenith.query('main', 'alter table large alter v set storage plain');
  await zenith.query('main', `insert into large ${rows(0, BLOCKS)}`);
  await zenith.run('pg', 'stop', 'main');

  await startSmallCompute();
  await expectInPlace(0, RELSEG_SIZE - 1, RELSEG_SIZE, RELSEG_SIZE + 1, BLOCKS - 1);
  expect(await lookUp(BLOCKS)).toEqual([NOTHING]);
  await expectRows(BLOCKS, rows(0, BLOCKS));
});

test('rows of both files are moved to the end of the table, and VACUUM clears what they leave', async () => {
  await zenith.query(
    'main',
    `update large set v = wide.v from (${wideRows(CHANGED, CHANGED_END)}) as wide (id, v) where large.id = wide.id`,
  );
  await zenith.query('main', VACUUM);
  await expectInPlace(CHANGED - 1, CHANGED_END);
  const [before, behind] = await lookUp(RELSEG_SIZE - 1, RELSEG_SIZE);
  expect([before?.id, behind?.id]).toEqual([RELSEG_SIZE, RELSEG_SIZE + 1]);
  expect(before?.block).toBeGreaterThanOrEqual(BLOCKS);
  expect(behind?.block).toBeGreaterThanOrEqual(BLOCKS);
  const blocks = BLOCKS + CHANGED_END - CHANGED;
  await expectRows(blocks, rows(0, CHANGED), wideRows(CHANGED, CHANGED_END), rows(CHANGED_END, BLOCKS));
  expect(await zenith.query('main', "select relpages, relallvisible from pg_class where relname = 'large'")).toEqual([
    { relpages: blocks, relallvisible: blocks },
  ]);
});

test('a table cut back into its first file grows into the second one again', async () => {
  await zenith.query('main', `delete from large where id > ${CHANGED}`);
  await zenith.query('main', VACUUM);
  await expectRows(CHANGED, rows(0, CHANGED));
  await expectInPlace(CHANGED - 1);
  expect(await lookUp(CHANGED, RELSEG_SIZE)).toEqual([NOTHING, NOTHING]);
  await zenith.query('main', `insert into large ${rows(CHANGED, CHANGED_END, 'again')}`);
  await expectRows(CHANGED_END, rows(0, CHANGED), rows(CHANGED, CHANGED_END, 'again'));
});

test('the pageserver has every page as the compute has it in its files, and so has a new compute', async () => {
  await zenith.run('pg', 'stop', 'main');
  const branch = await zenith.branch('main');
  await zenith.run('stop');
  const comparison = await compareCluster(zenith, 'main', branch, branch.commitLsn);
  expect(comparison.differences).toEqual([]);
  expect(comparison.relationPages).toBeGreaterThan(CHANGED_END);

  await zenith.run('start');
  await startSmallCompute();
  await expectInPlace(CHANGED, RELSEG_SIZE - 1, RELSEG_SIZE, CHANGED_END - 1);
  await expectRows(CHANGED_END, rows(0, CHANGED), rows(CHANGED, CHANGED_END, 'again'));
});
