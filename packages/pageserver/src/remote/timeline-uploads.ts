import { setTimeout as sleep } from 'node:timers/promises';
import { AssertionError, CorruptionError, formatLsn, type Lsn } from '@zenith/base';
import { backoffMs, DELETE_KEYS_MAX, fileSource, type RetryPolicy } from '@zenith/remote-storage';
import { PageserverError } from '../errors.ts';
import type { FileSystem } from '../layers/file-system.ts';
import { encodeIndex, type IndexedLayer, type TimelineIndex } from '../timeline/timeline-index.ts';
import type { StorageLog } from '../timeline/shared.ts';
import { attach, putIndex, requireNewest, superfluousKeys, type RemoteWriter } from './attach.ts';
import type { Concurrency } from './concurrency.ts';
import { layerChecksum } from './layer-checksum.ts';
import type { RemoteMetrics } from './metrics.ts';
import { layerKey } from './object-keys.ts';
import type { RemoteIndex, RemoteLayer } from './remote-index.ts';

/** Pauses between attempts of a timeline's uploads, each of which has its own retries; it is tried for ever. */
export const UPLOAD_RETRIES: RetryPolicy = {
  attemptsMax: Number.POSITIVE_INFINITY,
  backoffMinMs: 500,
  backoffMaxMs: 30_000,
};

/** Layers of one timeline uploaded at once. */
const LAYERS_AT_ONCE = 2;

/** What the uploads of all timelines share. */
export interface UploadContext {
  readonly writer: RemoteWriter;
  readonly fileSystem: FileSystem;
  readonly log: StorageLog;
  readonly metrics: RemoteMetrics;
  /** Bounds operations under way, of all timelines together. */
  readonly concurrency: Concurrency;
  /** Pauses after failures. */
  readonly retries: RetryPolicy;
  /** Called when remote storage is known to have more than before. */
  readonly onDurable: () => void;
}

/**
 * How the uploads of a timeline are. `retrying`: the last attempt failed, another will be made. `superseded`: another pageserver has the timeline. `diverged`: remote storage has more than the local
 * disk, written by another data directory.
 */
export type UploadState = 'idle' | 'uploading' | 'retrying' | 'superseded' | 'diverged';

/**
 * Brings remote storage up to one timeline's index: first the layers that it does not have, then an index that names them, then, once no newer generation has claimed the timeline, the removal of what no
 * index names any more. It works towards the newest index it was given, by way of those whose layers it has put, and skips the others between. Whatever fails is begun again: nothing is assumed about what an attempt has done.
 */
export class TimelineUploads {
  readonly #context: UploadContext;
  #layersDirectory: string;
  #wanted: TimelineIndex;
  /** The newest index in remote storage; undefined until the timeline is attached. */
  #remote: RemoteIndex | undefined;
  #attached = false;
  /** Layers that are there, named by an index or not yet. */
  readonly #uploaded = new Map<string, RemoteLayer>();
  /** Layers whose put has begun: they may be there although it failed. */
  readonly #begun = new Set<string>();
  /** Keys that no index names any more. */
  readonly #garbage = new Set<string>();
  /** The next index's. Never used twice: an index whose put seemed to fail may be there all the same. */
  #nextSequence = 0;
  #remoteConsistentLsn = 0 as Lsn;
  #state: UploadState = 'idle';
  #failure: Error | undefined;
  #running: Promise<void> | undefined;
  #attaching: Promise<void> | undefined;
  readonly #ended = new AbortController();

  /** Begins to work. @param attached what restoring the timeline has found and put */
  constructor(context: UploadContext, layersDirectory: string, index: TimelineIndex, attached?: RemoteIndex) {
    const { writer } = context;
    this.#context = { ...context, writer: { ...writer, signal: AbortSignal.any([writer.signal, this.#ended.signal]) } };
    this.#layersDirectory = layersDirectory;
    this.#wanted = index;
    if (attached !== undefined) this.#adopt(attached);
    this.#start();
  }

  /** Everything up to here can be had from remote storage, and no other pageserver will say otherwise. */
  get remoteConsistentLsn(): Lsn {
    return this.#remoteConsistentLsn;
  }

  /** How it goes. */
  get state(): UploadState {
    return this.#state;
  }

  /** Why it is not going on; undefined while it is. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Layers that are to be uploaded. */
  get queue(): readonly IndexedLayer[] {
    return this.#wanted.layers.filter(({ fileName }) => !this.#uploaded.has(fileName));
  }

  /** True when the newest index, which counts, names the layer. */
  isDurable(fileName: string): boolean {
    const { writer } = this.#context;
    return this.#remote?.writer === writer.identity && this.#remote.layers.has(fileName) && !this.#stopped();
  }

  /**
   * Where a layer is that the local index names and the local disk does not have.
   * @throws CorruptionError when it is not in remote storage either; what attaching throws
   */
  async locate(fileName: string): Promise<{ readonly indexed: IndexedLayer; readonly remote: RemoteLayer }> {
    if (!this.#attached) await this.#attachOnce();
    const remote = this.#uploaded.get(fileName);
    const indexed = this.#wanted.layers.find((layer) => layer.fileName === fileName);
    if (remote === undefined || indexed === undefined)
      throw new CorruptionError('the layer file does not exist, neither here nor in remote storage', {
        source: `${this.#layersDirectory}/${fileName}`,
      });
    return { indexed, remote };
  }

  /** There is a newer local index. */
  update(layersDirectory: string, index: TimelineIndex): void {
    this.#layersDirectory = layersDirectory;
    if (!isSame(this.#wanted, index)) this.#wanted = index;
    this.#start();
  }

  /** Resolves when there is nothing left to do, or nothing can be done. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /** Gives up what is under way; nothing more is put or removed when it resolves. */
  async end(): Promise<void> {
    this.#ended.abort(new Error('the timeline is being removed'));
    await this.#running;
  }

  /** The timeline's folder. */
  get #directory(): string {
    return this.#layersDirectory.replace(/\/layers$/, '');
  }

  #start(): void {
    if (this.#running !== undefined || this.#stopped()) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  #stopped(): boolean {
    return this.#state === 'superseded' || this.#state === 'diverged' || this.#context.writer.signal.aborted;
  }

  async #run(): Promise<void> {
    const { writer, log, metrics } = this.#context;
    for (let failures = 0; this.#remote?.index !== this.#wanted || this.#garbage.size > 0;) {
      try {
        this.#state = failures === 0 ? 'uploading' : 'retrying';
        await this.#attempt();
        if (this.#failure !== undefined) log.info(this.#fields(), 'uploads go on');
        failures = 0;
        this.#failure = undefined;
      } catch (error) {
        if (error instanceof AssertionError) throw error;
        if (writer.signal.aborted) return;
        if (this.#isOver(error as Error)) return;
        metrics.failures.inc();
        failures++;
        this.#state = 'retrying';
        if (this.#failure?.name !== (error as Error).name)
          log.warn({ ...this.#fields(), err: error }, 'an upload failed and will be tried again');
        this.#failure = error as Error;
        await sleep(backoffMs(this.#context.retries, failures), undefined, { signal: writer.signal, ref: false }).catch(
          () => undefined,
        );
        if (writer.signal.aborted) return;
      }
    }
    this.#state = 'idle';
  }

  /** True when there is no use in another attempt. */
  #isOver(error: Error): boolean {
    if (!(error instanceof PageserverError) || (error.code !== 'superseded' && error.code !== 'remote-diverged'))
      return false;
    this.#state = error.code === 'superseded' ? 'superseded' : 'diverged';
    this.#failure = error;
    this.#context.log.warn({ ...this.#fields(), err: error }, 'nothing more of this timeline is uploaded');
    return true;
  }

  async #attempt(): Promise<void> {
    if (!this.#attached) await this.#attachOnce();
    const wanted = this.#wanted;
    if (this.#remote?.index !== wanted) {
      await this.#putLayers(wanted);
      // What is newer may need less. But where all of an index's layers are there, it is put, however many came after it: under a load that flushes faster than layers are put, nothing would ever be durable otherwise.
      if (!wanted.layers.every(({ fileName }) => this.#uploaded.has(fileName))) return;
      await this.#putIndex(wanted);
    }
    await this.#removeGarbage();
  }

  #attachOnce(): Promise<void> {
    this.#attaching ??= this.#attach().finally(() => {
      this.#attaching = undefined;
    });
    return this.#attaching;
  }

  async #attach(): Promise<void> {
    const { writer, concurrency } = this.#context;
    const { tenant, timeline, diskConsistentLsn } = this.#wanted;
    const found = await concurrency.run(() => attach(writer, tenant, timeline));
    if (found !== undefined && found.writer !== writer.identity && found.index.diskConsistentLsn > diskConsistentLsn)
      throw new PageserverError(
        'remote-diverged',
        `${writer.storage.name} has timeline ${timeline} up to ${formatLsn(found.index.diskConsistentLsn)}, written by another data directory; here it ends at ${formatLsn(diskConsistentLsn)}. Stop the pageserver, remove ${this.#directory} and start it again to have what is there`,
      );
    if (found !== undefined) this.#adopt(found);
    this.#attached = true;
  }

  /** Begins where an index left off. Layers of another data directory may have the names of ours and other content: they are none of ours. */
  #adopt(found: RemoteIndex): void {
    const { writer } = this.#context;
    const isOwn = found.writer === writer.identity;
    const isWanted = isOwn && isSame(found.index, this.#wanted);
    this.#remote = isWanted ? { ...found, index: this.#wanted } : found;
    this.#attached = true;
    this.#remoteConsistentLsn = found.index.diskConsistentLsn;
    if (found.generation === writer.generation) this.#nextSequence = found.sequence + 1;
    if (isOwn) for (const [fileName, layer] of found.layers) this.#uploaded.set(fileName, layer);
    this.#context.onDurable();
  }

  async #putLayers(wanted: TimelineIndex): Promise<void> {
    const queue = wanted.layers.filter(({ fileName }) => !this.#uploaded.has(fileName));
    await allOf(LAYERS_AT_ONCE, queue, async (layer) => {
      // Compaction may have replaced it meanwhile.
      if (this.#wanted !== wanted && !this.#wanted.layers.some(({ fileName }) => fileName === layer.fileName)) return;
      await this.#context.concurrency.run(() => this.#putLayer(layer));
    });
  }

  async #putLayer(layer: IndexedLayer): Promise<void> {
    const { writer, fileSystem, metrics } = this.#context;
    const { tenant, timeline } = this.#wanted;
    const { generation, signal } = writer;
    const { fileName, fileBytes } = layer;
    const path = `${this.#layersDirectory}/${fileName}`;
    try {
      const crc32c = await layerChecksum(fileSystem, path, layer, signal);
      const key = layerKey(tenant, timeline, fileName, generation);
      this.#begun.add(fileName);
      // Refuses a file that is not of this length and checksum.
      await writer.storage.put(key, fileSource(path, { length: fileBytes, crc32c }), { signal });
      this.#uploaded.set(fileName, { generation, crc32c });
    } catch (error) {
      throw error instanceof CorruptionError ? this.#damage(path, error) : error;
    }
    metrics.uploadedLayers.inc();
    metrics.uploadedBytes.inc(fileBytes);
  }

  /** Remote storage gets no damaged layer: it is not known to have what the layer was to hold, and the safekeepers keep the WAL of it. */
  #damage(path: string, cause: CorruptionError): CorruptionError {
    const restart =
      this.#remote === undefined
        ? ''
        : `, or stop the pageserver, remove ${this.#directory} and start it again to have what is in ${this.#context.writer.storage.name} and what is newer from the safekeepers`;
    const message = `the layer file is not as it was written, and is not uploaded: put a sound copy in its place${restart}`;
    return new CorruptionError(message, { source: path }, { cause });
  }

  async #putIndex(wanted: TimelineIndex): Promise<void> {
    const { writer, metrics, concurrency, log } = this.#context;
    const { tenant, timeline } = wanted;
    const before = this.#remote;
    const layers = new Map<string, RemoteLayer>();
    for (const { fileName } of wanted.layers) layers.set(fileName, this.#uploaded.get(fileName) as RemoteLayer);
    const next: RemoteIndex = {
      writer: writer.identity,
      generation: writer.generation,
      sequence: this.#nextSequence++,
      index: wanted,
      layers,
    };
    await concurrency.run(async () => {
      await putIndex(writer, next);
      // From here on the index is what counts, but only if nobody has begun a newer generation from the one before.
      await requireNewest(writer, tenant, timeline);
    });
    this.#remote = next;
    this.#remoteConsistentLsn = wanted.diskConsistentLsn;
    metrics.indexes.inc();
    const named = new Set<string>();
    for (const [fileName, { generation }] of layers) named.add(layerKey(tenant, timeline, fileName, generation));
    for (const [fileName, { generation }] of [...(before?.layers ?? []), ...this.#uploaded]) {
      const key = layerKey(tenant, timeline, fileName, generation);
      if (!named.has(key)) this.#garbage.add(key);
      if (!layers.has(fileName)) this.#uploaded.delete(fileName);
    }
    // One whose put failed on its way, and which is not wanted any more, may be there.
    for (const fileName of this.#begun) {
      if (this.#wanted.layers.some((layer) => layer.fileName === fileName) && !layers.has(fileName)) continue;
      this.#begun.delete(fileName);
      if (!layers.has(fileName)) this.#garbage.add(layerKey(tenant, timeline, fileName, writer.generation));
    }
    for (const key of await concurrency.run(() => superfluousKeys(writer, next))) this.#garbage.add(key);
    log.info({ ...this.#fields(), layers: layers.size, sequence: next.sequence }, 'index uploaded');
    this.#context.onDurable();
  }

  /** Removes what the newest index does not name. It was validated after that index was put, so that no index that counts, here or at a newer writer, names it. */
  async #removeGarbage(): Promise<void> {
    const { writer, metrics, concurrency } = this.#context;
    while (this.#garbage.size > 0) {
      const keys = [...this.#garbage].slice(0, DELETE_KEYS_MAX);
      await concurrency.run(() => writer.storage.delete(keys, { signal: writer.signal }));
      for (const key of keys) this.#garbage.delete(key);
      metrics.deletedObjects.inc(keys.length);
    }
  }

  #fields(): Record<string, unknown> {
    const { tenant, timeline } = this.#wanted;
    return { tenant, timeline, remoteConsistentLsn: formatLsn(this.#remoteConsistentLsn) };
  }
}

/** True when two indexes say the same. */
function isSame(a: TimelineIndex, b: TimelineIndex): boolean {
  return (
    a.diskConsistentLsn === b.diskConsistentLsn &&
    a.nextGeneration === b.nextGeneration &&
    a.layers.length === b.layers.length &&
    Buffer.compare(encodeIndex(a), encodeIndex(b)) === 0
  );
}

/** Runs `work` for every item, so many at once; throws the first failure after all that began have ended. */
async function allOf<T>(atOnce: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  let failed = false;
  const lanes = Array.from({ length: Math.min(atOnce, items.length) }, async () => {
    for (let item = left.shift(); item !== undefined && !failed; item = left.shift()) {
      try {
        await work(item);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  });
  const results = await Promise.allSettled(lanes);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
