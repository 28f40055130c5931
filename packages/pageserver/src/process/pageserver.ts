import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { certificateOf, gateOf, tokensOf } from '@zenith/auth';
import { openRemoteStorage } from '@zenith/remote-storage';
import { PidFile } from '@zenith/service';
import type { Logger } from 'pino';
import { Counter, Gauge, Registry, collectDefaultMetrics } from 'prom-client';
import { Collector } from '../gc/collector.ts';
import { gcMetrics } from '../gc/metrics.ts';
import { HttpService } from '../http/http-service.ts';
import { ingestMetrics, type IngestGauges } from '../ingest/metrics.ts';
import { WalSources } from '../ingest/wal-sources.ts';
import { storageOptions, type PageserverOptions } from '../options.ts';
import { pageServiceMetrics } from '../page-service/metrics.ts';
import { PageService } from '../page-service/page-service.ts';
import { ResponseBufferPool } from '../page-service/response-buffer.ts';
import { storePageSource } from '../page-service/store-source.ts';
import { localFileSystem } from '../layers/file-system.ts';
import { remoteMetrics } from '../remote/metrics.ts';
import { RemoteTimelines } from '../remote/remote-timelines.ts';
import type { TimelineStatistics } from '../timeline/statistics.ts';
import { LayerWorkerPool } from '../workers/layer-worker-pool.ts';
import { TimelineStore } from '../timeline/timeline-store.ts';
import { PeriodicFlush } from './periodic-flush.ts';

/** Name of the file that holds the data directory. */
export const PID_FILE = 'pageserver.pid';

/** How long a stop waits for what is on its way to remote storage. Unit: ms. */
const UPLOAD_GRACE_MS = 10_000;

/** How often the delay of the event loop is sampled: each time wakes the process. Unit: ms. */
const EVENT_LOOP_SAMPLE_MS = 200;

/** Where a pageserver serves. */
export interface PageserverAddresses {
  readonly listen: { readonly host: string; readonly port: number };
  readonly http: { readonly host: string; readonly port: number };
}

/** What a pageserver is made of. */
export interface PageserverSetup {
  readonly dataDirectory: string;
  readonly options: PageserverOptions;
  readonly log: Logger;
  readonly version: string;
  /** A monotonic clock. Unit: ms. */
  readonly now: () => number;
  /** The time of day. Unit: ms since 1970. */
  readonly wallClock: () => number;
}

/** A running pageserver: storage, ingest, page service and HTTP over one data directory. */
export class Pageserver {
  readonly addresses: PageserverAddresses;
  readonly #stop: () => Promise<void>;

  private constructor(addresses: PageserverAddresses, stop: () => Promise<void>) {
    this.addresses = addresses;
    this.#stop = stop;
  }

  /**
   * Opens the data directory and begins to serve; when it fails, nothing is left running.
   * @throws ServiceError `data-directory-in-use`; PageserverError `address-unavailable`; what the file system throws
   */
  static async start(setup: PageserverSetup): Promise<Pageserver> {
    const { dataDirectory, options, log, version, now, wallClock } = setup;
    mkdirSync(dataDirectory, { recursive: true });
    /** What to undo, the last first. */
    const undo: (() => Promise<void> | void)[] = [];
    const stop = async (): Promise<void> => {
      for (let step = undo.pop(); step !== undefined; step = undo.pop()) await step();
    };
    try {
      const pidFile = PidFile.acquire(join(dataDirectory, PID_FILE));
      undo.push(() => pidFile.release());
      const metrics = new Registry();
      const gate = gateOf(options.auth, log);
      const certificate = certificateOf(options.tls, log);
      const remote = await openRemote(setup, metrics);
      undo.push(() => remote?.close(UPLOAD_GRACE_MS));
      const { compactionWorkers } = options.storage;
      const workers = compactionWorkers === 0 ? undefined : new LayerWorkerPool({ count: compactionWorkers });
      undo.push(() => workers?.close());
      const store = TimelineStore.open(dataDirectory, {
        options: storageOptions(options),
        log,
        now,
        ...(workers === undefined ? {} : { workers }),
        ...(remote === undefined ? {} : { remote }),
      });
      undo.push(() => store.close());
      const flush = new PeriodicFlush(store, options.flushIntervalMs);
      undo.push(() => flush.stop());
      const collector = new Collector(
        { store, log, metrics: gcMetrics(metrics), wallClock, intervalMs: options.gcIntervalMs },
        options.history,
      );
      undo.push(() => collector.stop());
      collectDefaultMetrics({ register: metrics, eventLoopMonitoringPrecision: EVENT_LOOP_SAMPLE_MS });
      const sources: WalSources = new WalSources(store, options.safekeepers, {
        log,
        tokens: tokensOf(options),
        now,
        wallClock,
        metrics: ingestMetrics(metrics, () => ingestGauges(store, sources)),
      });
      undo.push(() => sources.stop());
      storeMetrics(metrics, store, options.storage.diskBytes);
      const pages = new PageService({
        source: storePageSource(store),
        gate,
        certificate,
        log,
        now,
        buffers: new ResponseBufferPool(),
        metrics: pageServiceMetrics(metrics),
        waitTimeoutMs: options.waitTimeoutMs,
      });
      undo.push(() => pages.close());
      const pagePort = await pages.listen(options.listen);
      if (options.unixSocket !== undefined) await pages.listenUnix(options.unixSocket);
      const http = new HttpService({
        store,
        sources,
        remote,
        collector,
        gate,
        certificate,
        metrics,
        version,
        now,
        wallClock,
        waitTimeoutMs: options.waitTimeoutMs,
      });
      undo.push(() => http.close());
      const httpPort = await http.listen(options.http.host, options.http.port);
      sources.start();
      return new Pageserver(
        { listen: { host: options.listen.host, port: pagePort }, http: { host: options.http.host, port: httpPort } },
        stop,
      );
    } catch (error) {
      await stop();
      throw error;
    }
  }

  /** Sends clients away, stops ingest, makes everything that was ingested durable. @throws what a flush threw */
  async stop(): Promise<void> {
    await this.#stop();
  }
}

async function openRemote(setup: PageserverSetup, registry: Registry): Promise<RemoteTimelines | undefined> {
  const { dataDirectory, options, log } = setup;
  if (options.remoteStorage === undefined) return undefined;
  const { location, generation } = options.remoteStorage;
  const storage = await openRemoteStorage(location);
  // Assigned before anybody asks: metrics are collected on request.
  let remote: RemoteTimelines | undefined;
  const metrics = remoteMetrics(registry, () => remote?.gauges ?? { queuedLayers: 0, queuedBytes: 0, superseded: 0 });
  const fileSystem = localFileSystem;
  remote = await RemoteTimelines.open({ storage, generation, dataDirectory, fileSystem, log, metrics });
  return remote;
}

function ingestGauges(store: TimelineStore, sources: WalSources): readonly IngestGauges[] {
  return store.list().map((timeline) => {
    const { tenant, timeline: id, lastRecordLsn, diskConsistentLsn, remoteConsistentLsn } = timeline;
    const follower = sources.follower(timeline);
    return {
      tenant,
      timeline: id,
      lastRecordLsn,
      diskConsistentLsn,
      remoteConsistentLsn,
      commitLsn: follower?.commitLsn ?? lastRecordLsn,
      recordsByRmid: follower?.statistics?.recordsByRmid,
      unknownRecords: follower?.statistics?.unknownRecords ?? 0,
    };
  });
}

/** Memory and layers of the storage engine, summed up over the timelines. */
function storeMetrics(registry: Registry, store: TimelineStore, diskBytes: number): void {
  const gauge = (name: string, help: string, value: () => number): void => {
    const metric: Gauge = new Gauge({ name, help, registers: [registry], collect: () => metric.set(value()) });
  };
  const counter = (name: string, help: string, value: () => number): void => {
    const metric: Counter = new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        metric.reset();
        metric.inc(value());
      },
    });
  };
  const sum = (value: (statistics: TimelineStatistics) => number) => (): number =>
    store.list().reduce((total, timeline) => total + value(timeline.statistics), 0);
  gauge('zenith_pageserver_timelines', 'Timelines that are served', () => store.list().length);
  gauge('zenith_pageserver_broken_timelines', 'Timelines that could not be opened', () => store.broken.size);
  gauge('zenith_pageserver_memory_bytes', 'Memory of in-memory layers and caches', () => store.memoryBytes);
  gauge(
    'zenith_pageserver_frozen_layers',
    'In-memory layers that wait for their flush',
    sum(({ frozenLayers }) => frozenLayers),
  );
  gauge(
    'zenith_pageserver_l0_layers',
    'L0 delta layers',
    sum(({ levelZeroLayers }) => levelZeroLayers),
  );
  gauge(
    'zenith_pageserver_delta_layers',
    'Compacted delta layers',
    sum(({ deltaLayers }) => deltaLayers),
  );
  gauge(
    'zenith_pageserver_image_layers',
    'Image layers',
    sum(({ imageLayers }) => imageLayers),
  );
  gauge(
    'zenith_pageserver_layer_file_bytes',
    'Size of all layer files',
    sum(({ layerFileBytes }) => layerFileBytes),
  );
  gauge(
    'zenith_pageserver_resident_layer_bytes',
    'Size of the layer files on this disk',
    () => store.disk.residentBytes,
  );
  gauge(
    'zenith_pageserver_absent_layers',
    'Layers whose files are only in remote storage',
    sum(({ absentLayers }) => absentLayers),
  );
  gauge('zenith_pageserver_layer_disk_budget_bytes', 'Layer files may have so much of the disk', () => diskBytes);
  counter(
    'zenith_pageserver_evicted_layers_total',
    'Layer files evicted from this disk',
    () => store.disk.evictedLayers,
  );
  counter('zenith_pageserver_evicted_bytes_total', 'Layer files evicted from this disk', () => store.disk.evictedBytes);
  gauge(
    'zenith_pageserver_write_amplification_ratio',
    'Bytes of layers written for each byte of WAL, since the start',
    () => store.counts.writeAmplification,
  );
  counter(
    'zenith_pageserver_durable_wal_bytes_total',
    'WAL that became durable in layers',
    () => store.counts.walBytes,
  );
  counter('zenith_pageserver_l0_written_bytes_total', 'L0 layers written', () => store.counts.levelZeroBytes);
  counter('zenith_pageserver_delta_written_bytes_total', 'Compacted delta layers', () => store.counts.runBytes);
  counter('zenith_pageserver_image_written_bytes_total', 'Image layers written', () => store.counts.imageBytes);
  const pages: Counter<'layers'> = new Counter({
    name: 'zenith_pageserver_pages_read_total',
    help: 'Pages read, by the number of layer files they came from; the highest stands for more, too',
    labelNames: ['layers'],
    registers: [registry],
    collect() {
      pages.reset();
      store.counts.pagesByLayers.forEach((count, layers) => count > 0 && pages.inc({ layers }, count));
    },
  });
  gauge(
    'zenith_pageserver_lsn_waiters',
    'Readers that wait for WAL',
    sum(({ waiters }) => waiters),
  );
}
