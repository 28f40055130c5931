/**
 * How the storage engine grows: ingest, read latency, memory, disk and write amplification after 1, 2, 4 … GB of WAL of random updates, while a table of a given size is updated as a whole several times, with more and more branches, and the start with
 * many timelines. Layers are flushed and merged by worker threads, as in a pageserver; remote storage takes no part.
 * Run: npm run bench:scale -- [--gigabytes 1,2,4,8,16] [--bulk-update 1] [--branches 1,10,100,500] [--timelines 1000] [--rows 2000000] [--workers 1] [--step-megabytes 250]
 * --bulk-update: size of that table in GB, 0 for none. --workers 0: one thread does everything. --step-megabytes: WAL made before it is ingested and the server may drop it, and how much each row of branches takes in.
 */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { newTenantId, newTimelineId, type TenantId, type TimelineId } from '@zenith/base';
import {
  importCluster,
  ingestLocalWal,
  inspectCluster,
  LayerWorkerPool,
  type Timeline,
  TimelineStore,
} from '@zenith/pageserver';
import { allocatePage } from '@zenith/pg-format';
import { StockPostgres, temporaryDirectory } from '@zenith/testing';
import { medianOf } from './support/report.ts';

const MB = 1e6;
const GB = 1e9;

/** Random pages read after each step, while layers are merged: a figure is that of all steps since the last. */
const READS = 500;

const WAL_BYTES = `pg_current_wal_insert_lsn() - '0/0'`;

/** Rows changed by one statement. */
const ROWS_AT_ONCE = 100_000;

/** How often the table of --bulk-update is updated as a whole. */
const BULK_ROUNDS = 4;

/** Rows of that table in one GB: about 8 of 1,000 bytes a page. */
const BULK_ROWS_PER_GB = 950_000;

/** Branches that take WAL in, of those that were made last. */
const BRANCHES_SAMPLED = 4;

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
    'bulk-update': { type: 'string', default: '1' },
    workers: { type: 'string', default: '1' },
    'step-megabytes': { type: 'string', default: '250' },
  },
});
const STEP_BYTES = Number(values['step-megabytes']) * MB;
const numbers = (text: string): readonly number[] => text.split(',').map(Number);

/** A table as its pages are found. */
interface Table {
  readonly db: number;
  readonly rel: number;
}

/** What everything is done with. */
interface Bench {
  readonly store: TimelineStore;
  readonly timeline: Timeline;
  readonly postgres: StockPostgres;
  /** The store's. */
  readonly directory: string;
  /** Where the timeline was before any WAL. Unit: bytes. */
  readonly startLsn: number;
}

/** Reads random pages of the table at the head, one by one. @returns how long each took. Unit: µs */
function readRandomPages(timeline: Timeline, table: Table): number[] {
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

const percentile = (sorted: readonly number[], part: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;

async function numberOf({ postgres }: Bench, expression: string): Promise<number> {
  return Number((await postgres.query(`select ${expression} as n`))[0]?.['n']);
}

async function tableOf(bench: Bench, name: string): Promise<Table> {
  return {
    db: await numberOf(bench, '(select oid from pg_database where datname = current_database())'),
    rel: await numberOf(bench, `pg_relation_filenode('${name}')`),
  };
}

const walOf = ({ postgres }: Bench): string => join(postgres.dataDirectory, 'pg_wal');

/** Has the server change random rows until there is so much more WAL, whole segments of it. */
async function makeWal(bench: Bench, bytes: number): Promise<void> {
  const rows = Number(values.rows);
  const end = (await numberOf(bench, WAL_BYTES)) + bytes;
  while ((await numberOf(bench, WAL_BYTES)) < end)
    await bench.postgres.query(
      `update scale set n = n + 1 where id = any (array(select (1 + random() * ${rows - 1})::int from generate_series(1, ${ROWS_AT_ONCE})))`,
    );
  await bench.postgres.query('vacuum scale');
  await bench.postgres.query('select pg_switch_wal()');
}

/** Columns of {@link figures}. */
const FIGURES =
  'ingest MB/s, durable | read µs p50, p99 | files a page mean, p99 | RSS MB | disk GB | of logical + WAL | write amplification';

/** What was measured of one stretch of WAL. */
interface Stretch {
  /** WAL that was taken in, by all timelines. Unit: bytes. */
  readonly ingestedBytes: number;
  readonly seconds: number;
  /** Unit: µs. */
  readonly readTimes: number[];
  /** `pagesByLayers` before it. */
  readonly pagesBefore: Float64Array;
  /** WAL of all timelines since the beginning. Unit: bytes. */
  readonly walBytes: number;
  readonly writeAmplification: number;
}

function figures({ store, postgres, directory }: Bench, stretch: Stretch, wal: string): string[] {
  const times = stretch.readTimes.toSorted((a, b) => a - b);
  const files = layersPerPage(store, stretch.pagesBefore);
  const disk = bytesBelow(directory);
  const logical = bytesBelow(postgres.dataDirectory) - bytesBelow(wal);
  return [
    (stretch.ingestedBytes / MB / stretch.seconds).toFixed(0).padStart(20),
    `${percentile(times, 0.5).toFixed(0)}, ${percentile(times, 0.99).toFixed(0)}`.padStart(16),
    `${files.mean.toFixed(1)}, ${files.p99}`.padStart(22),
    (process.memoryUsage().rss / MB).toFixed(0).padStart(6),
    (disk / GB).toFixed(2).padStart(7),
    (disk / (logical + stretch.walBytes)).toFixed(2).padStart(16),
    stretch.writeAmplification.toFixed(2).padStart(19),
  ];
}

async function growth(bench: Bench): Promise<Table> {
  const { store, timeline, postgres, startLsn } = bench;
  const wal = walOf(bench);
  await postgres.query(`create table scale (id int primary key, n int, filler char(84)) with (fillfactor = 90)`);
  await postgres.query(`insert into scale select g, 0, '' from generate_series(1, ${Number(values.rows)}) g`);
  const table = await tableOf(bench, 'scale');
  console.log(`  WAL GB | ${FIGURES}`);
  for (const gigabytes of numbers(values.gigabytes)) {
    const [from, began] = [timeline.lastRecordLsn, performance.now()];
    // Making WAL and reading pages.
    let besides = 0;
    const readTimes: number[] = [];
    const pagesBefore = store.counts.pagesByLayers.slice();
    while (timeline.lastRecordLsn - startLsn < gigabytes * GB) {
      const makes = performance.now();
      await makeWal(bench, STEP_BYTES);
      besides += performance.now() - makes;
      await ingestLocalWal(timeline, wal, () => performance.now());
      const reads = performance.now();
      readTimes.push(...readRandomPages(timeline, table));
      besides += performance.now() - reads;
    }
    await timeline.flush();
    const stretch = {
      ingestedBytes: timeline.lastRecordLsn - from,
      seconds: (performance.now() - began - besides) / 1000,
      readTimes,
      pagesBefore,
      walBytes: timeline.lastRecordLsn - startLsn,
      writeAmplification: store.counts.writeAmplification,
    };
    console.log(
      [((timeline.lastRecordLsn - startLsn) / GB).toFixed(1).padStart(8), ...figures(bench, stretch, wal)].join(' | '),
    );
  }
  return table;
}

/** A table that is updated as a whole again and again. Its figures are of each update alone, but for the disk. */
async function bulkUpdate(bench: Bench): Promise<void> {
  const { store, timeline, postgres, startLsn } = bench;
  const wal = walOf(bench);
  const rows = Math.round(Number(values['bulk-update']) * BULK_ROWS_PER_GB);
  await postgres.query('create table bulk (id int, n int, filler text) with (fillfactor = 50)');
  console.log(`  bulk update | WAL GB | written GB | ${FIGURES}`);
  let table: Table | undefined;
  for (let round = 0; round <= BULK_ROUNDS; round++) {
    const { levelZeroBytes, runBytes, imageBytes, walBytes, pagesByLayers } = store.counts;
    const writtenBefore = levelZeroBytes + runBytes + imageBytes;
    const pagesBefore = pagesByLayers.slice();
    const from = timeline.lastRecordLsn;
    let seconds = 0;
    // In parts: the server keeps no more WAL than it may.
    for (let first = 1; first <= rows; first += ROWS_AT_ONCE) {
      const last = Math.min(rows, first + ROWS_AT_ONCE - 1);
      await postgres.query(
        round === 0
          ? `insert into bulk select g, 0, repeat(md5(g::text), 14) from generate_series(${first}, ${last}) g`
          : `update bulk set n = n + 1, filler = repeat(md5((id + n)::text), 14) where id between ${first} and ${last}`,
      );
      await postgres.query('select pg_switch_wal()');
      const began = performance.now();
      await ingestLocalWal(timeline, wal, () => performance.now());
      seconds += (performance.now() - began) / 1000;
    }
    await postgres.query('vacuum bulk');
    if (round === 0) await postgres.query('create index on bulk (id)');
    await postgres.query('select pg_switch_wal()');
    const began = performance.now();
    await ingestLocalWal(timeline, wal, () => performance.now());
    await timeline.flush();
    await timeline.compact();
    seconds += (performance.now() - began) / 1000;
    table ??= await tableOf(bench, 'bulk');
    const { counts } = store;
    const written = counts.levelZeroBytes + counts.runBytes + counts.imageBytes - writtenBefore;
    const stretch = {
      ingestedBytes: timeline.lastRecordLsn - from,
      seconds,
      readTimes: readRandomPages(timeline, table),
      pagesBefore,
      walBytes: timeline.lastRecordLsn - startLsn,
      writeAmplification: written / (counts.walBytes - walBytes),
    };
    console.log(
      [
        (round === 0 ? 'filled' : String(round)).padStart(13),
        ((timeline.lastRecordLsn - from) / GB).toFixed(2).padStart(6),
        (written / GB).toFixed(2).padStart(10),
        ...figures(bench, stretch, wal),
      ].join(' | '),
    );
  }
}

/** How long branches took to make, and what the store was doing at the longest. */
class Creations {
  readonly times: number[] = [];
  #worst = 0;
  #atWorst = '';

  /** Makes a branch at the end of the parent. */
  async make({ store, timeline }: Bench): Promise<Timeline> {
    const { memoryLayerBytes, frozenLayers, levelZeroLayers } = timeline.statistics;
    const { levelZeroBytes, runBytes, imageBytes } = store.counts;
    const began = performance.now();
    const branch = await store.createBranch(
      timeline.tenant,
      newTimelineId(),
      timeline.timeline,
      timeline.lastRecordLsn,
    );
    const time = performance.now() - began;
    this.times.push(time);
    if (time > this.#worst) {
      this.#worst = time;
      const after = store.counts;
      const wrote = [
        after.levelZeroBytes > levelZeroBytes ? 'flushed' : '',
        after.runBytes > runBytes ? 'merged' : '',
        after.imageBytes > imageBytes ? 'images' : '',
      ].filter((what) => what !== '');
      this.#atWorst = `${(memoryLayerBytes / MB).toFixed(0)} MB in memory, ${frozenLayers} frozen, ${levelZeroLayers} L0${wrote.length === 0 ? '' : `; ended meanwhile: ${wrote.join(', ')}`}`;
    }
    return branch;
  }

  get text(): string {
    if (this.times.length === 0) return 'none';
    const sorted = this.times.toSorted((a, b) => a - b);
    const figure = (part: number): string => percentile(sorted, part).toFixed(1);
    return `${this.times.length}: ${figure(0.5)}, ${figure(0.99)}, ${this.#worst.toFixed(1)} ms (${this.#atWorst})`;
  }
}

/** More and more branches of one parent; at each number the parent and some of the newest take WAL in, the same for all, since they begin where it does. */
async function branches(bench: Bench, table: Table): Promise<void> {
  const { store, timeline, startLsn } = bench;
  const wal = walOf(bench);
  console.log(`  branches | first page of each µs p50 | ${FIGURES}`);
  const made: Timeline[] = [];
  let walBytes = timeline.lastRecordLsn - startLsn;
  for (const count of numbers(values.branches)) {
    const [quiet, busy] = [new Creations(), new Creations()];
    const fresh: Timeline[] = [];
    const half = made.length + Math.ceil((count - made.length) / 2);
    while (made.length < half) {
      fresh.push(await quiet.make(bench));
      made.push(fresh.at(-1) as Timeline);
    }
    const page = allocatePage();
    const object = timeline.find(0, 1663, table.db, table.rel, 0);
    const firstReads = made.map((branch) => {
      const began = performance.now();
      branch.readPage(object, 7, branch.initialLsn, page);
      return (performance.now() - began) * 1000;
    });
    await makeWal(bench, STEP_BYTES);
    const pagesBefore = store.counts.pagesByLayers.slice();
    const { levelZeroBytes, runBytes, imageBytes, walBytes: durableBefore } = store.counts;
    const from = timeline.lastRecordLsn;
    const began = performance.now();
    // The other half is made while the parent takes its WAL in, and what is left of it afterwards.
    let isIngesting = true;
    const ingesting = ingestLocalWal(timeline, wal, () => performance.now()).finally(() => {
      isIngesting = false;
    });
    while (made.length < count) made.push(await (isIngesting ? busy : quiet).make(bench));
    await ingesting;
    await timeline.flush();
    let ingestedBytes = timeline.lastRecordLsn - from;
    const sample = fresh.slice(0, BRANCHES_SAMPLED);
    for (const branch of sample) {
      const branchFrom = branch.lastRecordLsn;
      await ingestLocalWal(branch, wal, () => performance.now());
      await branch.flush();
      ingestedBytes += branch.lastRecordLsn - branchFrom;
    }
    const seconds = (performance.now() - began) / 1000;
    walBytes += ingestedBytes;
    const { counts } = store;
    const stretch = {
      ingestedBytes,
      seconds,
      readTimes: [timeline, ...sample].flatMap((one) => readRandomPages(one, table)),
      pagesBefore,
      walBytes,
      writeAmplification:
        (counts.levelZeroBytes + counts.runBytes + counts.imageBytes - levelZeroBytes - runBytes - imageBytes) /
        (counts.walBytes - durableBefore),
    };
    console.log(
      [String(count).padStart(10), medianOf(firstReads).toFixed(0).padStart(25), ...figures(bench, stretch, wal)].join(
        ' | ',
      ),
    );
    console.log(`             made p50, p99, worst, nothing being ingested: ${quiet.text}`);
    console.log(`             while the parent takes WAL in: ${busy.text}`);
  }
}

const directory = temporaryDirectory('zenith-scale-');
const postgres = StockPostgres.create({ major: 18, settings: SETTINGS });
const ids: { tenant: TenantId; timeline: TimelineId } = { tenant: newTenantId(), timeline: newTimelineId() };
const count = Number(values.workers);
const workers = count === 0 ? undefined : new LayerWorkerPool({ count });
const options = workers === undefined ? {} : { workers, options: { compactionWorkers: count } };
try {
  let store = TimelineStore.open(directory.path, options);
  const cluster = inspectCluster(postgres.dataDirectory);
  const load = store.importTimeline({ ...ids, pgMajor: cluster.pgMajor, initialLsn: cluster.lsn });
  await importCluster(cluster, load.writer, () => undefined);
  const timeline = await load.finish();
  await postgres.start();
  const startLsn = timeline.lastRecordLsn;
  const bench: Bench = { store, timeline, postgres, directory: directory.path, startLsn };
  const table = await growth(bench);
  if (Number(values['bulk-update']) > 0) await bulkUpdate(bench);
  await branches(bench, table);
  await postgres.stop();
  while (store.list().length < Number(values.timelines))
    await store.createBranch(ids.tenant, newTimelineId(), ids.timeline, timeline.lastRecordLsn);
  const { length } = store.list();
  await store.close();
  const began = performance.now();
  store = TimelineStore.open(directory.path, options);
  console.log(`  a store of ${length} timelines opens in ${(performance.now() - began).toFixed(0)} ms`);
  await store.close();
  // It reads the command line, too, and knows only some of these options.
  process.argv.splice(2, process.argv.length, '--timelines', values.timelines);
  await import('./restart.ts');
} finally {
  await workers?.close();
  await postgres.remove();
  directory.remove();
}
