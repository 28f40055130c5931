/**
 * How the storage engine grows: ingest, read latency, memory, disk and write amplification after 1, 2, 4 … GB of WAL, with more and more branches, and the start with many timelines.
 * Run: npm run bench:scale -- [--gigabytes 1,2,4,8,16] [--branches 1,10,100,500] [--timelines 1000] [--rows 2000000]
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { newTenantId, newTimelineId, type TenantId, type TimelineId } from '@zenith/base';
import { importCluster, ingestLocalWal, inspectCluster, type Timeline, TimelineStore } from '@zenith/pageserver';
import { allocatePage } from '@zenith/pg-format';
import { StockPostgres, temporaryDirectory } from '@zenith/testing';
import { medianOf } from './support/report.ts';

const MB = 1e6;
const GB = 1e9;

/** WAL made before it is ingested and the server may drop it. Unit: bytes. */
const STEP_BYTES = 250 * MB;

/** Random pages read after each step, while layers are merged: a figure is that of all steps since the last. */
const READS = 500;

const WAL_BYTES = `pg_current_wal_insert_lsn() - '0/0'`;

/** Rows changed by one statement. */
const ROWS_AT_ONCE = 100_000;

const SETTINGS = {
  wal_keep_size: '2GB',
  max_wal_size: '2GB',
  checkpoint_timeout: '1h',
  full_page_writes: 'off',
  autovacuum: 'off',
  synchronous_commit: 'off',
  shared_buffers: '512MB',
};

const { values } = parseArgs({
  options: {
    gigabytes: { type: 'string', default: '1,2,4,8,16' },
    branches: { type: 'string', default: '1,10,100,500' },
    timelines: { type: 'string', default: '1000' },
    rows: { type: 'string', default: '2000000' },
  },
});
const numbers = (text: string): readonly number[] => text.split(',').map(Number);

/** Reads random pages of the table at the head, one by one. @returns how long each took. Unit: µs */
function readRandomPages(timeline: Timeline, table: { db: number; rel: number }): number[] {
  const page = allocatePage();
  const object = timeline.find(0, 1663, table.db, table.rel, 0);
  const lsn = timeline.lastRecordLsn;
  const blocks = timeline.blockCount(object, lsn) ?? 0;
  const times: number[] = [];
  for (let i = 0; i < READS; i++) {
    const block = Math.floor(Math.random() * blocks);
    const began = performance.now();
    timeline.readPage(object, block, lsn, page);
    times.push((performance.now() - began) * 1000);
  }
  return times;
}

/** Mean and 99th percentile of the layer files of the pages read since `before`. */
function layersPerPage(store: TimelineStore, before: Float64Array): { mean: number; p99: number } {
  const counts = store.counts.pagesByLayers.map((count, i) => count - (before[i] as number));
  const total = counts.reduce((sum, count) => sum + count, 0);
  let seen = 0;
  const p99 = counts.findIndex((count) => (seen += count) >= 0.99 * total);
  return { mean: counts.reduce((sum, count, layers) => sum + count * layers, 0) / total, p99 };
}

function bytesBelow(directory: string): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

async function growth(
  store: TimelineStore,
  timeline: Timeline,
  postgres: StockPostgres,
  directory: string,
): Promise<{ db: number; rel: number }> {
  const wal = join(postgres.dataDirectory, 'pg_wal');
  const rows = Number(values.rows);
  await postgres.query(`create table scale (id int primary key, n int, filler char(84)) with (fillfactor = 90)`);
  await postgres.query(`insert into scale select g, 0, '' from generate_series(1, ${rows}) g`);
  const numberOf = async (expression: string): Promise<number> =>
    Number((await postgres.query(`select ${expression} as n`))[0]?.['n']);
  const table = {
    db: await numberOf('(select oid from pg_database where datname = current_database())'),
    rel: await numberOf(`pg_relation_filenode('scale')`),
  };
  const start = timeline.lastRecordLsn;
  console.log(
    '  WAL GB | ingest MB/s, durable | read µs p50, p99 | files a page mean, p99 | RSS MB | disk GB | of logical + WAL | write amplification',
  );
  for (const gigabytes of numbers(values.gigabytes)) {
    const [from, began] = [timeline.lastRecordLsn, performance.now()];
    // Making WAL and reading pages.
    let besides = 0;
    const times: number[] = [];
    const before = store.counts.pagesByLayers.slice();
    while (timeline.lastRecordLsn - start < gigabytes * GB) {
      const makes = performance.now();
      const step = (await numberOf(WAL_BYTES)) + STEP_BYTES;
      while ((await numberOf(WAL_BYTES)) < step)
        await postgres.query(
          `update scale set n = n + 1 where id = any (array(select (1 + random() * ${rows - 1})::int from generate_series(1, ${ROWS_AT_ONCE})))`,
        );
      await postgres.query('vacuum scale');
      await postgres.query('select pg_switch_wal()');
      besides += performance.now() - makes;
      await ingestLocalWal(timeline, wal, () => performance.now());
      const reads = performance.now();
      times.push(...readRandomPages(timeline, table));
      besides += performance.now() - reads;
    }
    await timeline.flush();
    const seconds = (performance.now() - began - besides) / 1000;
    times.sort((a, b) => a - b);
    const files = layersPerPage(store, before);
    const disk = bytesBelow(directory);
    const total = timeline.lastRecordLsn - start;
    const logical = bytesBelow(postgres.dataDirectory) - bytesBelow(wal);
    console.log(
      [
        (total / GB).toFixed(1).padStart(8),
        ((timeline.lastRecordLsn - from) / MB / seconds).toFixed(0).padStart(21),
        `${medianOf(times).toFixed(0)}, ${(times[Math.floor(times.length * 0.99)] ?? Number.NaN).toFixed(0)}`.padStart(
          16,
        ),
        `${files.mean.toFixed(1)}, ${files.p99}`.padStart(22),
        (process.memoryUsage().rss / MB).toFixed(0).padStart(6),
        (disk / GB).toFixed(2).padStart(7),
        (disk / (logical + total)).toFixed(2).padStart(16),
        store.counts.writeAmplification.toFixed(2).padStart(19),
      ].join(' | '),
    );
  }
  return table;
}

async function branches(store: TimelineStore, parent: Timeline, table: { db: number; rel: number }): Promise<void> {
  console.log('  branches | create ms, median, worst | a page of each µs p50 | RSS MB');
  const page = allocatePage();
  const object = parent.find(0, 1663, table.db, table.rel, 0);
  const made: Timeline[] = [];
  for (const count of numbers(values.branches)) {
    const times: number[] = [];
    while (made.length < count) {
      const began = performance.now();
      made.push(await store.createBranch(parent.tenant, newTimelineId(), parent.timeline, parent.lastRecordLsn));
      times.push(performance.now() - began);
    }
    const reads = made.map((branch) => {
      const began = performance.now();
      branch.readPage(object, 7, branch.initialLsn, page);
      return (performance.now() - began) * 1000;
    });
    console.log(
      [
        String(count).padStart(10),
        `${medianOf(times).toFixed(1)}, ${Math.max(...times).toFixed(1)}`.padStart(24),
        medianOf(reads).toFixed(0).padStart(21),
        (process.memoryUsage().rss / MB).toFixed(0).padStart(6),
      ].join(' | '),
    );
  }
}

const directory = temporaryDirectory('zenith-scale-');
const postgres = StockPostgres.create({ major: 18, settings: SETTINGS });
const ids: { tenant: TenantId; timeline: TimelineId } = { tenant: newTenantId(), timeline: newTimelineId() };
try {
  let store = TimelineStore.open(directory.path);
  const cluster = inspectCluster(postgres.dataDirectory);
  const load = store.importTimeline({ ...ids, pgMajor: cluster.pgMajor, initialLsn: cluster.lsn });
  await importCluster(cluster, load.writer, () => undefined);
  const timeline = await load.finish();
  await postgres.start();
  const table = await growth(store, timeline, postgres, directory.path);
  await postgres.stop();
  await branches(store, timeline, table);
  while (store.list().length < Number(values.timelines))
    await store.createBranch(ids.tenant, newTimelineId(), ids.timeline, timeline.lastRecordLsn);
  const { length } = store.list();
  await store.close();
  const began = performance.now();
  store = TimelineStore.open(directory.path);
  console.log(`  a store of ${length} timelines opens in ${(performance.now() - began).toFixed(0)} ms`);
  await store.close();
  await import('./restart.ts');
} finally {
  await postgres.remove();
  directory.remove();
}
