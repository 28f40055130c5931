/**
 * Cold sequential scan, index scan and bitmap scan over missing blocks, against the same server with all its files local (in the page cache) in the same
 * run. Usage: node --conditions=source --import tsx packages/compute/bench/cold-scan.ts [megabytes]
 */
import { StockPostgres } from '@zenith/testing';
import { makeOverlay } from '../src/presence-map/overlay.test-support.ts';
import { FilePageServer } from '../src/presence-map/page-server.test-support.ts';
import { readPresenceMap } from '../src/presence-map/reader.ts';

const megabytes = Number(process.argv[2] ?? 128);
const SETTINGS = { autovacuum: 'off', shared_buffers: '16MB', max_parallel_workers_per_gather: '0' };
const QUERIES = {
  sequential: 'select count(v) from t',
  bitmap: 'set enable_seqscan = off; set enable_indexscan = off; select count(v) from t where k < 20',
};

/** Milliseconds of each query, on a server that has nothing of the table in its buffers. */
async function measure(server: StockPostgres, query: string): Promise<number> {
  const client = await server.connect();
  await client.query('select 1 from pg_class limit 1');
  const begun = performance.now();
  await client.query(query);
  const ms = performance.now() - begun;
  await client.end();
  return ms;
}

for (const major of [18, 17] as const) {
  const stock = StockPostgres.create({ major, settings: SETTINGS });
  await stock.start();
  await stock.query(
    `create table t as select g as id, (hashint4(g) & 65535) % 5000 as k, repeat('x', 400) as v from generate_series(1, ${Math.round(megabytes * 2300)}) g`,
  );
  await stock.query('create index t_k on t (k); analyze t');
  await stock.query('vacuum t');
  const [{ blocks }] = (await stock.query(`select (pg_relation_size('t') / 8192)::int as blocks`)) as [
    { blocks: number },
  ];
  await stock.stop();
  const floor: Record<string, number> = {};
  for (const [name, query] of Object.entries(QUERIES)) {
    await stock.start();
    floor[name] = await measure(stock, query);
    await stock.stop();
  }
  console.log(
    `PostgreSQL ${major}: ${blocks} blocks, all local: ${Object.entries(floor)
      .map(([name, ms]) => `${name} ${ms.toFixed(0)} ms`)
      .join(', ')}`,
  );
  for (const method of major === 18 ? ['worker', 'sync'] : ['']) {
    for (const latencyMs of [0, 1]) {
      for (const [name, query] of Object.entries(QUERIES)) {
        const pages = new FilePageServer(stock.dataDirectory, '');
        pages.latencyMs = latencyMs;
        const overlay = makeOverlay(
          stock.dataDirectory,
          await pages.listen(),
          {},
          method === '' ? {} : { io_method: method },
        );
        const server = StockPostgres.create({ major, dataDirectory: overlay.dataDirectory, env: overlay.env });
        await server.start();
        const before = readPresenceMap(overlay.mapPath).counters;
        const ms = await measure(server, query);
        const after = readPresenceMap(overlay.mapPath).counters;
        const fetched = after.blocksFetched - before.blocksFetched;
        console.log(
          `  ${method.padEnd(7)} +${latencyMs} ms ${name.padEnd(10)} ${ms.toFixed(0).padStart(6)} ms, ${((fetched * 8192) / 1e3 / ms).toFixed(0).padStart(4)} MB/s, ` +
            `${((floor[name] ?? 0) / ms).toFixed(2)}× all local, ${after.requests - before.requests} requests, ${fetched} blocks fetched, ${after.blocksInstalled - before.blocksInstalled} installed`,
        );
        await server.stop();
        overlay.remove();
        await pages.close();
      }
    }
  }
  await stock.remove();
}
