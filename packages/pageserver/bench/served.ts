import { readdirSync } from 'node:fs';
import { newTenantId, newTimelineId } from '@zenith/base';
import { DEFAULT_WAL_SEGMENT_SIZE as SEGMENT_SIZE, parseWalSegmentFileName, walSegmentNumber } from '@zenith/pg-format';
import { temporaryDirectory } from '@zenith/testing';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { inspectCluster } from '../src/import/cluster.ts';
import { importCluster } from '../src/import/import-cluster.ts';
import { pageServiceMetrics } from '../src/page-service/metrics.ts';
import { PageService } from '../src/page-service/page-service.ts';
import { ResponseBufferPool } from '../src/page-service/response-buffer.ts';
import { storePageSource } from '../src/page-service/store-source.ts';
import { TimelineStore } from '../src/timeline/timeline-store.ts';
import { ingestLocalWal } from '../src/verify/local-wal.ts';
import { LayerWorkerPool } from '../src/workers/layer-worker-pool.ts';

// What serves pages in a pageserver, for bench/reads.ts: served.ts BASE WAL PARTS. It says what a client needs to know; told to ingest, it ingests the next of PARTS parts of the WAL, flushes and compacts, and says when that is done.
const [base = '', wal = ''] = process.argv.slice(2);
const PARTS = Number(process.argv[4]);
const directory = temporaryDirectory('zenith-bench-');
const workers = new LayerWorkerPool({ count: 1 });
const now = (): number => performance.now();
// Small layers: flushes and compactions within seconds.
const store = TimelineStore.open(directory.path, { workers, options: { checkpointDistanceBytes: 8 * 1024 * 1024 } });
const [tenant, timeline] = [newTenantId(), newTimelineId()];
const cluster = inspectCluster(base);
const load = store.importTimeline({ tenant, timeline, pgMajor: cluster.pgMajor, initialLsn: cluster.lsn });
await importCluster(cluster, load.writer, () => undefined);
const loaded = await load.finish();
const service = new PageService({
  source: storePageSource(store),
  gate: undefined,
  log: pino({ level: 'silent' }),
  metrics: pageServiceMetrics(new Registry()),
  buffers: new ResponseBufferPool(),
  waitTimeoutMs: 1000,
  now,
});
const port = await service.listen({ host: '127.0.0.1', port: 0 });

const ahead = readdirSync(wal).filter(
  (name) =>
    (parseWalSegmentFileName(name, SEGMENT_SIZE)?.segmentNumber ?? -1) >= walSegmentNumber(cluster.lsn, SEGMENT_SIZE),
);
const part = (ahead.length / PARTS) * SEGMENT_SIZE;
let end: number = cluster.lsn;

async function ingest(): Promise<void> {
  const start = loaded.lastRecordLsn;
  end += part;
  await ingestLocalWal(loaded, wal, now, end);
  await loaded.flush();
  await loaded.compact();
  const { deltaLayers, imageLayers } = loaded.statistics;
  process.send?.({ bytes: loaded.lastRecordLsn - start, deltaLayers, imageLayers });
}

async function stop(): Promise<void> {
  await service.close();
  await store.close();
  await workers.close();
  directory.remove();
  process.exit(0);
}

process.on('message', (message) => void (message === 'ingest' ? ingest() : stop()));
process.send?.({ port, tenant, timeline, lsn: cluster.lsn });
