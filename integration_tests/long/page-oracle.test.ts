import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32c, parseLsn, type Lsn } from '@zenith/base';
import { PageClient } from '@zenith/wire';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pageserverMetric } from '../support/pageserver-metric.ts';
import { Zenith } from '../support/zenith.ts';

const PAGE = 8192;
const BATCH = 64;
const ROUNDS = 24;

/** So many comparisons are to hold after each thing that happens to the history, those pages not counted that are not kept. */
const SAMPLES = 10_000;

/** What is kept at last: about half of what each branch wrote. */
const HISTORY_KEPT = '2MB';

/** Less than the layers with pages take. Unit: bytes. */
const DISK_BYTES = 2 * 1024 * 1024;

/** A page at an LSN, as it was when the LSN was the present. */
interface RecordedPage {
  readonly branch: string;
  readonly lsn: Lsn;
  readonly rel: number;
  readonly block: number;
  readonly crc: number;
}

interface RelationFile {
  readonly db: number;
  readonly rel: number;
  readonly blocks: number;
}

interface CollectedJson {
  readonly branches: readonly { readonly branch: string; readonly cutoff: string; readonly removedLayers: number }[];
}

let zenith: Zenith;
const recorded: RecordedPage[] = [];
const cutoffs = new Map<string, Lsn>();
let db = 0;

beforeAll(async () => {
  zenith = await Zenith.init();
  configurePageserver({});
  await zenith.run('start');
  await zenith.startPostgres('main');
  await zenith.query(
    'main',
    'create table cold as select n, repeat(n::text, 50) as filler from generate_series(1, 5000) n',
  );
  await zenith.query('main', 'create table accounts (aid int primary key, balance int, filler char(84))');
  await zenith.query('main', "insert into accounts select n, 0, '' from generate_series(1, 14000) n");
  await zenith.query('main', 'create table history (aid int, delta int, at timestamptz default now())');
  // What this server has not read is missing on it from now on: it is read at its start LSN, however old that gets.
  await zenith.run('pg', 'stop', 'main');
  await zenith.startPostgres('main');
}, 600_000);
afterAll(() => zenith.destroy());

/** History is dropped when the test says so, and only then. */
function configurePageserver(storage: { readonly diskBytes?: number }): void {
  const folder = join(zenith.repository, 'pageserver');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'pageserver.json'), JSON.stringify({ storage, gcIntervalMs: 24 * 3600 * 1000 }));
}

async function pages<T>(branch: string, work: (client: PageClient) => Promise<T>): Promise<T> {
  const { tenant, timeline, pageserverPort } = await zenith.branch(branch);
  const address = { kind: 'tcp', host: '127.0.0.1', port: pageserverPort } as const;
  const client = await PageClient.connect({ address, tenant, timeline, timeoutMs: 60_000 });
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

/** Updates as pgbench makes them, then the pages of the tables and their indexes as they are after them. */
async function round(branch: string, seed: number): Promise<Lsn> {
  await zenith.query(
    branch,
    `do $$ begin
       for i in 1..40 loop
         update accounts set balance = balance + i where aid % 997 = (i * 31 + ${seed}) % 997;
         insert into history(aid, delta) select aid, i from accounts where aid % 499 = (i + ${seed}) % 499;
         commit;
       end loop;
     end $$`,
  );
  if (seed % 3 === 0) await zenith.query(branch, 'vacuum accounts');
  const [now] = await zenith.query<{ lsn: string }>(branch, 'select pg_current_wal_flush_lsn()::text as lsn');
  const files = await zenith.query<RelationFile>(
    branch,
    `select d.oid::int as db, pg_relation_filenode(c.oid)::int as rel, (pg_relation_size(c.oid) / ${PAGE})::int as blocks
       from pg_class c, pg_database d
      where d.datname = current_database() and c.relname in ('accounts', 'accounts_pkey', 'history')`,
  );
  const lsn = parseLsn(now?.lsn ?? '');
  await pages(branch, async (client) => {
    for (const { db: database, rel, blocks } of files) {
      db = database;
      for (let first = 0; first < blocks; first += BATCH) {
        const count = Math.min(BATCH, blocks - first);
        const bytes = await client.getPages({ spc: 1663, db, rel, fork: 0 }, first, count, lsn);
        for (let i = 0; i < count; i++)
          recorded.push({ branch, lsn, rel, block: first + i, crc: crc32c(bytes, i * PAGE, (i + 1) * PAGE) });
      }
    }
  });
  return lsn;
}

/** Flushes a branch, and compacts it. */
async function checkpoint(branch: string): Promise<void> {
  const { tenant, timeline, pageserverHttpPort } = await zenith.branch(branch);
  const url = `http://127.0.0.1:${pageserverHttpPort}/v1/tenant/${tenant}/timeline/${timeline}/checkpoint`;
  expect((await fetch(url, { method: 'POST' })).status).toBe(200);
}

/** What has been evicted since the pageserver's start. Unit: bytes. */
const evictedBytes = (): Promise<number> => pageserverMetric(zenith, 'zenith_pageserver_evicted_bytes_total');

/** `zenith gc`; from then on what lies below its cutoffs is to be refused. */
async function collect(): Promise<CollectedJson> {
  const collected = await zenith.json<CollectedJson>('gc');
  for (const { branch, cutoff } of collected.branches) cutoffs.set(branch, parseLsn(cutoff));
  return collected;
}

/** Reads what was recorded: how many pages are as they were, how many were refused because their LSN is not kept, and what is wrong. */
async function compare(
  expected: readonly RecordedPage[] = recorded,
): Promise<{ same: number; refused: number; wrong: string[] }> {
  const result = { same: 0, refused: 0, wrong: [] as string[] };
  for (const branch of new Set(expected.map((page) => page.branch))) {
    const own = expected.filter((page) => page.branch === branch);
    const cutoff = cutoffs.get(branch) ?? 0;
    await pages(branch, async (client) => {
      for (let from = 0; from < own.length;) {
        const first = own[from] as RecordedPage;
        const { lsn, rel, block } = first;
        let to = from + 1;
        while (to < own.length && to - from < BATCH && own[to]?.lsn === lsn && own[to]?.rel === rel) to++;
        const what = `${branch}: relation ${rel} block ${block} at ${lsn}`;
        try {
          const bytes = await client.getPages({ spc: 1663, db, rel, fork: 0 }, block, to - from, lsn);
          for (let i = 0; i < to - from; i++) {
            if (crc32c(bytes, i * PAGE, (i + 1) * PAGE) === own[from + i]?.crc) result.same++;
            else result.wrong.push(`${what}: the page ${i} behind it is another one`);
          }
          if (lsn < cutoff) result.wrong.push(`${what}: it was read below the cutoff`);
        } catch (error) {
          if ((error as { code?: string }).code === 'lsn-not-available' && lsn < cutoff) result.refused += to - from;
          else result.wrong.push(`${what}: ${(error as Error).message}`);
        }
        from = to;
      }
    });
  }
  return result;
}

test('pages at every retained LSN are what they were when it was the present: before and after compaction, collection, restart and eviction, on a parent, a child and a grandchild', async () => {
  const lsns: Lsn[] = [];
  for (let n = 0; n < ROUNDS; n++) {
    lsns.push(await round('main', n));
    if (n % 2 === 1) await checkpoint('main');
    if (n === 3) {
      await zenith.run('branch', 'child', 'main');
      await zenith.startPostgres('child');
    }
    if (n > 3) await round('child', 100 + n);
    if (n === 6) {
      await checkpoint('child');
      await zenith.run('branch', 'grandchild', 'child');
      await zenith.startPostgres('grandchild');
    }
    if (n > 6) await round('grandchild', 200 + n);
  }
  expect(recorded.length).toBeGreaterThanOrEqual(SAMPLES);
  expect(await compare()).toEqual({ same: recorded.length, refused: 0, wrong: [] });
  // What a branch shares with its parent is the same when it is read there.
  const shared = recorded.flatMap((page) =>
    page.branch === 'main' && page.lsn <= (lsns[3] ?? 0) ? [{ ...page, branch: 'child' }] : [],
  );
  expect(shared.length).toBeGreaterThan(0);
  expect(await compare(shared)).toEqual({ same: shared.length, refused: 0, wrong: [] });

  for (const branch of ['main', 'child', 'grandchild']) await checkpoint(branch);
  expect(await compare()).toEqual({ same: recorded.length, refused: 0, wrong: [] });

  await zenith.run('config', 'set', 'history', '0s');
  await zenith.run('config', 'set', 'history-bytes', HISTORY_KEPT);
  const collected = await collect();
  expect(collected.branches.find(({ branch }) => branch === 'main')?.removedLayers).toBeGreaterThan(0);
  const after = await compare();
  expect(after.wrong).toEqual([]);
  expect(after.same + after.refused).toBe(recorded.length);
  expect(after.same).toBeGreaterThanOrEqual(SAMPLES);
  expect(after.refused).toBeGreaterThan(0);

  // The server on main began below the cutoff: its lease keeps what it has not read yet.
  const [cold] = await zenith.query<{ n: number }>('main', 'select sum(length(filler))::int as n from cold');
  const [length] = await zenith.query<{ n: number }>(
    'main',
    'select sum(length(n::text) * 50)::int as n from generate_series(1, 5000) n',
  );
  expect(cold).toEqual(length);
  const late = await zenith.try('branch', 'late', `main@0/${(lsns[0] ?? 0).toString(16).toUpperCase()}`);
  expect({
    code: late.code,
    isSaid: /has no history below 0\/[0-9A-F]+; a branch at .* is not possible/.test(late.stderr),
  }).toEqual({ code: 1, isSaid: true });

  await zenith.run('restart');
  expect(await compare()).toEqual(after);
  await collect();
  const again = await compare();
  expect({ wrong: again.wrong, pages: again.same + again.refused }).toEqual({ wrong: [], pages: recorded.length });
  expect(again.same).toBeGreaterThanOrEqual(SAMPLES);

  // From now on the disk is too small for the layers: reads fetch what other reads have evicted.
  await zenith.run('stop');
  configurePageserver({ diskBytes: DISK_BYTES });
  await zenith.run('start');
  expect(await compare()).toEqual(again);
  expect(await evictedBytes()).toBeGreaterThan(0);
});
