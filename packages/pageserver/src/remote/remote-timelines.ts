import { setTimeout as sleep } from 'node:timers/promises';
import { AssertionError, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import { backoffMs, type RemoteStorage, type RetryPolicy } from '@zenith/remote-storage';
import type { FileSystem } from '../layers/file-system.ts';
import type { LayerTail } from '../layers/layer-summary.ts';
import type { RemoteLayerName, RemoteLayers } from '../timeline/remote-layers.ts';
import type { StorageLog } from '../timeline/shared.ts';
import { StorageError } from '../timeline/errors.ts';
import { layersDirectory } from '../timeline/timeline-state.ts';
import { timelineDirectory } from '../timeline/store-layout.ts';
import type { IndexedLayer, TimelineIndex } from '../timeline/timeline-index.ts';
import { removeRemote, type RemoteWriter } from './attach.ts';
import { Concurrency } from './concurrency.ts';
import { fetchLayer, fetchLayerTail } from './fetch-layer.ts';
import { dataDirectoryIdentity } from './identity.ts';
import { isLayerFile } from './layer-checksum.ts';
import type { RemoteGauges, RemoteMetrics } from './metrics.ts';
import type { RemoteLayer } from './remote-index.ts';
import { absentTimelines, restoreTimelines } from './restore.ts';
import { TimelineUploads, UPLOAD_RETRIES, type UploadContext, type UploadState } from './timeline-uploads.ts';

/** Operations on remote storage under way at once. */
const OPERATIONS_AT_ONCE = 8;

/** Layers that readers wait for, fetched at once: apart from those, so that a queue of uploads keeps no read waiting. */
const DOWNLOADS_AT_ONCE = 8;

/** A start with timelines on its own disk waits so long for what only remote storage may have. Unit: ms. */
const START_WAIT_MS = 10_000;

/** What a pageserver's use of remote storage is made of. */
export interface RemoteSetup {
  readonly storage: RemoteStorage;
  /** This pageserver's turn; each start has a higher one. */
  readonly generation: number;
  readonly dataDirectory: string;
  readonly fileSystem: FileSystem;
  readonly log: StorageLog;
  readonly metrics: RemoteMetrics;
  /** Pauses after failed uploads; a default but for tests. */
  readonly retries?: RetryPolicy;
  /** How long a start with timelines on its own disk waits for remote storage; a default but for tests. Unit: ms. */
  readonly startWaitMs?: number;
}

/** How a timeline stands in remote storage. */
export interface RemoteStatus {
  readonly state: UploadState;
  readonly queuedLayers: number;
  readonly failure: Error | undefined;
}

/** The timelines of a data directory in remote storage: uploads what is written, restores what only remote storage has. */
export class RemoteTimelines implements RemoteLayers {
  readonly #setup: RemoteSetup;
  readonly #context: UploadContext;
  readonly #abort: AbortController;
  readonly #uploads = new Map<string, TimelineUploads>();
  readonly #downloads = new Concurrency(DOWNLOADS_AT_ONCE);
  #whenDurable = (): void => undefined;
  /** Those that could not be restored. */
  #unknown: readonly { readonly tenant: TenantId; readonly timeline: TimelineId }[] = [];
  /** Looks for those that were not looked for at the start; undefined when it is known which there are. */
  #looking: Promise<void> | undefined;

  private constructor(setup: RemoteSetup, context: UploadContext, abort: AbortController) {
    this.#setup = setup;
    this.#context = context;
    this.#abort = abort;
  }

  /**
   * Opens remote storage for a data directory and restores the indexes of timelines that it has lost; to be called before the store is opened. Without an answer from remote storage, which is waited for ten
   * seconds, the timelines that are here are served, and a later start looks again.
   * @throws RemoteStorageError when remote storage does not answer and nothing is here
   */
  static async open(setup: RemoteSetup): Promise<RemoteTimelines> {
    const { storage, generation, dataDirectory, fileSystem, log, metrics } = setup;
    const abort = new AbortController();
    const identity = await dataDirectoryIdentity(fileSystem, dataDirectory);
    const writer: RemoteWriter = { storage, identity, generation, signal: abort.signal };
    const concurrency = new Concurrency(OPERATIONS_AT_ONCE);
    const remote = new RemoteTimelines(
      setup,
      {
        writer,
        fileSystem,
        log,
        metrics,
        concurrency,
        retries: setup.retries ?? UPLOAD_RETRIES,
        onDurable: () => remote.#whenDurable(),
      },
      abort,
    );
    const isEmpty = fileSystem.list(`${dataDirectory}/tenants`).length === 0;
    const patience = isEmpty ? [] : [AbortSignal.timeout(setup.startWaitMs ?? START_WAIT_MS)];
    const restorer = { ...writer, signal: AbortSignal.any([abort.signal, ...patience]) };
    try {
      const restored = await restoreTimelines(restorer, concurrency, fileSystem, dataDirectory, {
        onDamage: (tenant, timeline, err) =>
          log.warn(
            { tenant, timeline, err },
            'the index of a timeline is damaged: that in remote storage takes its place',
          ),
        onFailure: (tenant, timeline, err) => {
          remote.#unknown = [...remote.#unknown, { tenant, timeline }];
          metrics.failures.inc();
          log.warn({ tenant, timeline, err }, 'a timeline could not be restored from remote storage');
        },
      });
      for (const one of restored) {
        const { tenant, timeline } = one.index;
        const layers = layersDirectory(timelineDirectory(dataDirectory, tenant, timeline));
        remote.#uploads.set(nameOf(tenant, timeline), new TimelineUploads(remote.#context, layers, one.index, one));
        log.info({ tenant, timeline, layers: one.layers.size }, 'timeline restored from remote storage');
      }
    } catch (err) {
      if (isEmpty) throw err;
      metrics.failures.inc();
      log.warn({ err }, 'remote storage does not answer: what only it has is restored at the next start');
      remote.#looking = remote.#look();
    }
    return remote;
  }

  indexWritten(layers: string, index: TimelineIndex): void {
    const name = nameOf(index.tenant, index.timeline);
    const known = this.#uploads.get(name);
    if (known === undefined) this.#uploads.set(name, new TimelineUploads(this.#context, layers, index));
    else known.update(layers, index);
  }

  async fetch(name: RemoteLayerName): Promise<void> {
    const { fileSystem, log, metrics } = this.#setup;
    const { tenant, timeline, fileName } = name;
    const bytes = await this.#download(name, async (found) => {
      await fetchLayer(this.#context.writer, fileSystem, metrics, { ...name, ...found });
      return found.indexed.fileBytes;
    });
    log.info({ tenant, timeline, fileName, bytes }, 'layer fetched');
  }

  async fetchTail(name: RemoteLayerName): Promise<LayerTail> {
    return this.#download(name, (found) =>
      fetchLayerTail(this.#context.writer, this.#setup.metrics, { ...name, ...found }),
    );
  }

  async isAsFetched({ tenant, timeline, layersDirectory, fileName }: RemoteLayerName): Promise<boolean> {
    const uploads = this.#uploads.get(nameOf(tenant, timeline));
    if (uploads === undefined) throw new StorageError('no-such-timeline', `timeline ${timeline} was removed`);
    const { indexed, remote } = await uploads.locate(fileName);
    const path = `${layersDirectory}/${fileName}`;
    return isLayerFile(path, { length: indexed.fileBytes, crc32c: remote.crc32c }, this.#context.writer.signal);
  }

  isDurable(tenant: TenantId, timeline: TimelineId, fileName: string): boolean {
    return this.#uploads.get(nameOf(tenant, timeline))?.isDurable(fileName) === true;
  }

  whenDurable(listener: () => void): void {
    this.#whenDurable = listener;
  }

  async #download<T>(
    { tenant, timeline, fileName }: RemoteLayerName,
    work: (found: { readonly indexed: IndexedLayer; readonly remote: RemoteLayer }) => Promise<T>,
  ): Promise<T> {
    try {
      const uploads = this.#uploads.get(nameOf(tenant, timeline));
      if (uploads === undefined) throw new StorageError('no-such-timeline', `timeline ${timeline} was removed`);
      const found = await uploads.locate(fileName);
      return await this.#downloads.run(() => work(found));
    } catch (error) {
      this.#setup.metrics.failures.inc();
      throw error;
    }
  }

  unknownTimeline(tenant: TenantId): string | undefined {
    if (this.#looking !== undefined) return 'what remote storage may have, which did not answer at the start,';
    const found = this.#unknown.find((one) => one.tenant === tenant);
    return found === undefined ? undefined : `timeline ${found.timeline}, which only remote storage has,`;
  }

  remoteConsistentLsn(tenant: TenantId, timeline: TimelineId): Lsn {
    return this.#uploads.get(nameOf(tenant, timeline))?.remoteConsistentLsn ?? (0 as Lsn);
  }

  /**
   * Removes everything of a timeline from remote storage; harmless when there is nothing. Its uploads end first.
   * @throws PageserverError `superseded` when it belongs to a newer generation; RemoteStorageError
   */
  async remove(tenant: TenantId, timeline: TimelineId): Promise<void> {
    const { writer, metrics, concurrency } = this.#context;
    const name = nameOf(tenant, timeline);
    await this.#uploads.get(name)?.end();
    metrics.deletedObjects.inc(await concurrency.run(() => removeRemote(writer, tenant, timeline)));
    this.#uploads.delete(name);
    this.#unknown = this.#unknown.filter((one) => one.tenant !== tenant || one.timeline !== timeline);
  }

  /** How a timeline stands. */
  status(tenant: TenantId, timeline: TimelineId): RemoteStatus | undefined {
    const found = this.#uploads.get(nameOf(tenant, timeline));
    return found === undefined
      ? undefined
      : { state: found.state, queuedLayers: found.queue.length, failure: found.failure };
  }

  /** All timelines summed up, for metrics. */
  get gauges(): RemoteGauges {
    let [queuedLayers, queuedBytes, superseded] = [0, 0, 0];
    for (const uploads of this.#uploads.values()) {
      for (const { fileBytes } of uploads.queue) {
        queuedLayers++;
        queuedBytes += fileBytes;
      }
      if (uploads.state === 'superseded') superseded++;
    }
    return { queuedLayers, queuedBytes, superseded };
  }

  /** Resolves when everything that was written is in remote storage, or cannot get there. */
  async settled(): Promise<void> {
    await Promise.all([...this.#uploads.values()].map((uploads) => uploads.settled()));
  }

  /** Gives uploads so much time to finish, then ends them: the next start goes on with them. Unit: ms. */
  async close(graceMs: number): Promise<void> {
    const timer = setTimeout(() => this.#abort.abort(new Error('the pageserver is shutting down')), graceMs);
    await this.settled();
    clearTimeout(timer);
    this.#abort.abort(new Error('the pageserver is shutting down'));
    await this.#looking;
    this.#setup.storage.close();
  }

  /** Finds out, until it is known, which timelines there are that are not here: only then is it known whose history may go. They are not restored under a running store. */
  async #look(): Promise<void> {
    const { log, fileSystem, dataDirectory, metrics } = this.#setup;
    const { writer, concurrency, retries } = this.#context;
    let lastFailure = '';
    for (let failures = 1; !writer.signal.aborted; failures++) {
      try {
        await sleep(backoffMs(retries, failures), undefined, { signal: writer.signal, ref: false });
        // One that is made meanwhile is here before it is there. What is damaged here was found by the store.
        this.#unknown = await concurrency.run(() =>
          absentTimelines(writer, fileSystem, dataDirectory, () => undefined),
        );
        this.#looking = undefined;
        const timelines = this.#unknown.map(({ timeline }) => timeline);
        log.info({ timelines }, 'remote storage answers; the next start restores the timelines that only it has');
        return;
      } catch (error) {
        if (error instanceof AssertionError) throw error;
        if (writer.signal.aborted) return;
        metrics.failures.inc();
        const failure = String(error);
        if (failure !== lastFailure)
          log.warn({ err: error }, 'it is still not known which timelines only remote storage has');
        lastFailure = failure;
      }
    }
  }
}

function nameOf(tenant: TenantId, timeline: TimelineId): string {
  return `${tenant}/${timeline}`;
}
