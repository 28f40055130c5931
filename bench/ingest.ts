import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { newTenantId, newTimelineId } from '@zenith/base';
import { LayerWorkerPool, TimelineStore, importCluster, ingestLocalWal, inspectCluster } from '@zenith/pageserver';
import { StockPostgres, temporaryDirectory } from '@zenith/testing';
import { lastRecovery } from './support/recovery.ts';
import { atLeast, type Measurement } from './support/report.ts';

const ACCOUNTS = 500_000;
const MB = 1e6;

const SCHEMA = `
  create table branches (bid int primary key, bbalance int, filler char(88)) with (fillfactor = 100);
  create table tellers (tid int primary key, bid int, tbalance int, filler char(84)) with (fillfactor = 100);
  create table accounts (aid int primary key, bid int, abalance int, filler char(84)) with (fillfactor = 100);
  create table history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
  insert into branches select g, 0, '' from generate_series(1, 5) g;
  insert into tellers select g, g % 5, 0, '' from generate_series(1, 50) g;
  insert into accounts select g, g % 5, 0, '' from generate_series(1, ${ACCOUNTS}) g;`;

const WORK = `
  create procedure work(n int) language plpgsql as $$
  declare d int; a int;
  begin
    for i in 1..n loop
      d := (random() * 10000)::int - 5000;
      a := 1 + (random() * ${ACCOUNTS - 1})::int;
      update accounts set abalance = abalance + d where aid = a;
      update tellers set tbalance = tbalance + d where tid = 1 + a % 50;
      update branches set bbalance = bbalance + d where bid = 1 + a % 5;
      insert into history values (1 + a % 50, 1 + a % 5, a, d, now());
      commit;
    end loop;
  end $$`;

const SETTINGS = {
  wal_keep_size: '20GB',
  max_wal_size: '20GB',
  checkpoint_timeout: '1h',
  full_page_writes: 'off',
  autovacuum: 'off',
  synchronous_commit: 'off',
  shared_buffers: '256MB',
  bgwriter_lru_maxpages: '0',
};

/** What writes the WAL that is ingested. */
interface IngestWorkload {
  readonly name: string;
  /** Statements whose WAL is not measured. @param directory one that the server can write to */
  readonly prepare: (directory: string) => readonly string[];
  /** Statements whose WAL is. */
  readonly work: (directory: string) => readonly string[];
}

function tpcb(transactions: number): IngestWorkload {
  return { name: 'TPC-B', prepare: () => [WORK], work: () => [`call work(${transactions})`] };
}

/** COPY, whose records hold a page of rows each, and an index built at once, of which every page is an image. */
function bulkLoad(rows: number): IngestWorkload {
  return {
    name: 'bulk load',
    prepare: (directory) => [
      `copy (select g, g % 5, 0, '' from generate_series(1, ${rows}) g) to '${directory}/rows'`,
      'create table loaded (like accounts)',
    ],
    work: (directory) => [`copy loaded from '${directory}/rows'`, 'alter table loaded add primary key (aid)'],
  };
}

/**
 * Ingest of a TPC-B-like WAL of `transactions`, and of that of a bulk load of five times as many rows, from the WAL files into layers, against a stock server's own crash recovery from the same files; both read them
 * from the page cache. The server's figure is its "redo done … elapsed", without the checkpoint that makes it durable; ours is given both ways. Layers are written by a worker thread, as in a pageserver.
 */
export async function benchIngest(transactions: number, report: (measurement: Measurement) => void): Promise<void> {
  for (const workload of [tpcb(transactions), bulkLoad(5 * transactions)]) await ingestOf(workload, report);
}

async function ingestOf(
  { name, prepare, work }: IngestWorkload,
  report: (measurement: Measurement) => void,
): Promise<void> {
  const postgres = StockPostgres.create({ major: 18, settings: SETTINGS });
  const directory = temporaryDirectory('zenith-bench-');
  const workers = new LayerWorkerPool({ count: 1 });
  try {
    const store = TimelineStore.open(directory.path, { workers });
    const cluster = inspectCluster(postgres.dataDirectory);
    const load = store.importTimeline({
      tenant: newTenantId(),
      timeline: newTimelineId(),
      pgMajor: cluster.pgMajor,
      initialLsn: cluster.lsn,
    });
    await importCluster(cluster, load.writer, () => undefined);
    const timeline = await load.finish();

    await postgres.start();
    await postgres.query(SCHEMA);
    for (const statement of prepare(postgres.dataDirectory)) await postgres.query(statement);
    await postgres.query('checkpoint');
    const wal = join(postgres.dataDirectory, 'pg_wal');
    await ingestLocalWal(timeline, wal, () => performance.now());
    await timeline.flush();
    for (const statement of work(postgres.dataDirectory)) await postgres.query(statement);
    await postgres.query('select pg_switch_wal()');
    await postgres.kill();

    const from = timeline.lastRecordLsn;
    const began = performance.now();
    await ingestLocalWal(timeline, wal, () => performance.now());
    const ingested = (performance.now() - began) / 1000;
    await timeline.flush();
    const durable = (performance.now() - began) / 1000;
    const megabytes = (timeline.lastRecordLsn - from) / MB;
    await store.close();

    await postgres.start();
    const redo = lastRecovery(readFileSync(join(dirname(postgres.dataDirectory), 'postgres.log'), 'utf8'));
    await postgres.stop();
    const stock = (redo.end - redo.start) / MB / redo.seconds;
    report(
      atLeast(
        `${name}, ingest of ${megabytes.toFixed(0)} MB of WAL against stock recovery`,
        megabytes / ingested,
        stock,
        1,
        'MB/s',
      ),
    );
    report(atLeast(`${name}, the same until it is durable in layers`, megabytes / durable, stock, 0.5, 'MB/s'));
  } finally {
    await workers.close();
    await postgres.remove();
    directory.remove();
  }
}
