import { assert, CorruptionError, formatLsn, type Lsn, type TenantId, type TimelineId, isId } from '@zenith/base';
import type { PgMajor } from '@zenith/pg-format';
import { ObjectTable } from '../key-space/object-table.ts';
import type { CollectionResult } from '../gc/collect.ts';
import { leasedLsns, planCollection, type HistoryPolicy } from '../gc/plan.ts';
import { BlockCache } from '../layers/block-cache.ts';
import { FileHandles } from '../layers/file-handles.ts';
import { type FileSystem, localFileSystem } from '../layers/file-system.ts';
import type { LayerAccess } from '../layers/layer-file.ts';
import { SLAB_BYTES, SlabPool } from '../layers/slab.ts';
import { StorageError } from './errors.ts';
import { DEFAULT_STORAGE_OPTIONS, layerMemoryBytes, type StorageOptions } from './options.ts';
import { PageReader } from './page-reader.ts';
import { type PageRedo, postgresRedo } from './redo.ts';
import type { RemoteLayers } from './remote-layers.ts';
import type { DiskBudget, StorageLog, StorageShared } from './shared.ts';
import type { TimelineSizes } from './sizes.ts';
import { StorageCounts } from './storage-counts.ts';
import { loadTimelines } from './load-timelines.ts';
import { Timeline } from './timeline.ts';
import { ImportWriter } from './timeline-import.ts';
import { INDEX_FILE, indexedLayer, type TimelineIndex, writeIndex } from './timeline-index.ts';
import { LayerDisk } from './layer-disk.ts';
import { LayerLoans } from './layer-loans.ts';
import type { LayerWorkers } from '../workers/job-duties.ts';
import { layersDirectory, TimelineState } from './timeline-state.ts';
import { timelineDirectory, timelinesDirectory } from './store-layout.ts';

/** What a store is given besides its folder; everything has a default but tests replace. */
export interface StoreOptions {
  readonly options?: Partial<StorageOptions>;
  readonly redo?: PageRedo;
  readonly fileSystem?: FileSystem;
  readonly log?: StorageLog;
  /** Where layers go as well, so that they outlive this disk. */
  readonly remote?: RemoteLayers;
  /** Threads for compaction and flushes, which read and write the files of the operating system; the caller's, to be closed after the store. */
  readonly workers?: LayerWorkers;
  /** Monotonic time. Unit: milliseconds. */
  readonly now?: () => number;
}

/** Names a timeline to be. */
export interface NewTimeline {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly pgMajor: PgMajor;
  /** Where its history begins. */
  readonly initialLsn: Lsn;
}

/** A bulk load in progress, see {@link TimelineStore.importTimeline}. */
export interface TimelineImport {
  /** Takes the content, at the initial LSN. */
  readonly writer: ImportWriter;
  /** Makes everything durable and the timeline of it. @throws what the file system throws: then nothing has been made, and `abandon` is to be called */
  finish(): Promise<Timeline>;
  /** Gives up and removes what there is. */
  abandon(): void;
}

/** Where a timeline leaves the one whose history it shares. */
interface BranchPoint {
  readonly timeline: Timeline;
  readonly lsn: Lsn;
}

const SILENT: StorageLog = { info: () => undefined, warn: () => undefined };

/** Most unused slabs kept. Unit: bytes. */
const IDLE_SLAB_BYTES = 64 * 1024 * 1024;

/**
 * The timelines of a pageserver in their folder, `DIR/tenants/<tenant>/timelines/<timeline>/{index.json, layers/}`. Single-threaded: one process has a folder open. A timeline exists from the
 * moment its index is durable. One that cannot be opened is reported and refused, the others are served.
 */
export class TimelineStore {
  readonly #directory: string;
  readonly #shared: StorageShared;
  readonly #objects = new Map<TenantId, ObjectTable>();
  readonly #timelines = new Map<string, Timeline>();
  readonly #states = new Map<string, TimelineState>();
  readonly #broken = new Map<string, Error>();
  /** Tenants whose folder's name, and those above it, are known to be durable. */
  readonly #syncedTenants = new Set<TenantId>();
  /** Ids in the making, or on their way out. */
  readonly #making = new Set<string>();
  /**
   * Where timelines leave their ancestors that are being made or removed, by name, until it is durable that they are there or gone: until then the next start may find them. What an attempt that failed
   * has left stays until another succeeds.
   */
  readonly #unsettled = new Map<string, readonly BranchPoint[]>();
  #timelineCount = 0;

  private constructor(directory: string, shared: StorageShared) {
    this.#directory = directory;
    this.#shared = shared;
  }

  /**
   * Opens the store in `directory`, or makes an empty one: reads the index of every timeline, nothing of its layers, and removes files that no index names. A timeline whose index is corrupt, or names a layer that is nowhere, goes to {@link broken}.
   * @throws what the file system throws
   */
  static open(directory: string, given: StoreOptions = {}): TimelineStore {
    const options = { ...DEFAULT_STORAGE_OPTIONS, ...given.options };
    const fileSystem = given.fileSystem ?? localFileSystem;
    const redo = given.redo ?? postgresRedo();
    const counts = new StorageCounts();
    let layers = 0;
    const access: LayerAccess = {
      fileSystem,
      handles: new FileHandles(fileSystem, options.openFilesMax),
      indexBlocks: new BlockCache(options.indexCacheBytes),
      nextLayerNumber: () => ++layers,
      uses: { count: 0 },
      canFetch: given.remote !== undefined,
    };
    const log = given.log ?? SILENT;
    const loans = new LayerLoans();
    const shared: StorageShared = {
      options,
      access,
      slabs: new SlabPool(Math.ceil(Math.min(IDLE_SLAB_BYTES, options.checkpointDistanceBytes) / SLAB_BYTES)),
      counts,
      reader: new PageReader(redo, options.pageCacheBytes, counts),
      redo,
      log,
      loans,
      workers: given.workers,
      disk: new LayerDisk({
        access,
        loans,
        remote: given.remote,
        log,
        bytesMax: options.diskBytes,
        timelines: () => store.#states.values(),
      }),
      memory: {
        open: 0,
        frozen: 0,
        max: layerMemoryBytes(options, given.workers !== undefined),
        relieve: () => undefined,
      },
      remote: given.remote,
      now: given.now ?? (() => performance.now()),
    };
    const store = new TimelineStore(directory, shared);
    shared.memory.relieve = () => store.#relieve();
    given.remote?.whenDurable(() => shared.disk.keepWithin());
    for (const loaded of loadTimelines(fileSystem, directory, shared.log)) {
      if ('error' in loaded) store.#broken.set(nameOf(loaded.tenant, loaded.timeline), loaded.error);
      else store.#open(loaded.index, loaded.here);
    }
    return store;
  }

  /** Every timeline that is served. */
  list(): readonly Timeline[] {
    return [...this.#timelines.values()];
  }

  /** Timelines that could not be opened, `tenant/timeline`, and why. */
  get broken(): ReadonlyMap<string, Error> {
    return this.#broken;
  }

  /** @throws StorageError `no-such-timeline`; the error of a timeline that could not be opened */
  get(tenant: TenantId, timeline: TimelineId): Timeline {
    const name = nameOf(tenant, timeline);
    const found = this.#timelines.get(name);
    if (found !== undefined) return found;
    const broken = this.#broken.get(name);
    if (broken !== undefined) throw broken;
    throw new StorageError('no-such-timeline', `there is no timeline ${timeline} of tenant ${tenant} here`);
  }

  /** The timeline, or undefined when it is not served. */
  find(tenant: TenantId, timeline: TimelineId): Timeline | undefined {
    return this.#timelines.get(nameOf(tenant, timeline));
  }

  /** Makes an empty timeline; durable when it resolves. @throws StorageError `timeline-exists`; what the file system throws */
  async create(wanted: NewTimeline): Promise<Timeline> {
    return this.#make({
      ...wanted,
      ancestor: undefined,
      diskConsistentLsn: wanted.initialLsn,
      nextGeneration: 1,
      layers: [],
    });
  }

  /**
   * Makes a branch that shares the history of `ancestor` up to `lsn`: durable when it resolves, at a cost that does not depend on what the ancestor holds. The ancestor need not have
   * ingested `lsn` yet; reads that reach into it wait. Repeating it is harmless. When it fails, nothing is left, or what is left is whole and can be removed.
   * @throws StorageError `timeline-exists` when the id is that of another timeline, `no-such-timeline`, `lsn-outside-history`; what the file system throws
   */
  async createBranch(tenant: TenantId, timeline: TimelineId, ancestor: TimelineId, lsn: Lsn): Promise<Timeline> {
    const existing = this.find(tenant, timeline);
    if (existing !== undefined && existing.ancestor?.timeline.timeline === ancestor && existing.ancestor.lsn === lsn)
      return existing;
    const from = this.get(tenant, ancestor);
    const begin = Math.max(from.initialLsn, from.gcCutoff) as Lsn;
    // What a lease keeps below its own history is that of its ancestors.
    if (lsn < from.initialLsn || (lsn < begin && !from.isRetained(lsn)))
      throw new StorageError(
        'lsn-outside-history',
        `timeline ${ancestor} has no history below ${formatLsn(begin)}; a branch at ${formatLsn(lsn)} is not possible`,
      );
    return this.#make(
      {
        tenant,
        timeline,
        pgMajor: from.pgMajor,
        initialLsn: lsn,
        ancestor: { timeline: ancestor, lsn },
        diskConsistentLsn: lsn,
        nextGeneration: 1,
        layers: [],
      },
      { timeline: from, lsn },
    );
  }

  /** Begins a bulk load of a new timeline. Until it is finished, the timeline does not exist. @throws StorageError `timeline-exists`; what the file system throws */
  importTimeline(wanted: NewTimeline): TimelineImport {
    const { tenant, timeline, initialLsn } = wanted;
    this.#claim(tenant, timeline);
    const directory = timelineDirectory(this.#directory, tenant, timeline);
    this.#makeDirectory(directory);
    const writer = new ImportWriter({
      shared: this.#shared,
      directory,
      plan: { tenant, timeline, objects: this.#objectsOf(tenant) },
      lsn: initialLsn,
    });
    return {
      writer,
      finish: async () => {
        const written = await writer.finish();
        await this.#shared.access.fileSystem.syncDirectory(layersDirectory(directory));
        const layers = written.map((layer) => indexedLayer(layer, 1));
        return this.#publish({
          ...wanted,
          ancestor: undefined,
          diskConsistentLsn: initialLsn,
          nextGeneration: writer.nextGeneration,
          layers,
        });
      },
      abandon: () => {
        writer.abandon();
        this.#shared.access.fileSystem.removeDirectory(directory);
        this.#making.delete(nameOf(tenant, timeline));
      },
    };
  }

  /**
   * Removes a timeline and everything of it, on this disk and in remote storage; harmless when there is none. It is gone from the moment its indexes are: what a crash leaves of it has none, and the next opening removes
   * it. Until then it is whole: what it needs of its ancestor is kept, and the ancestor is not removed.
   * @param endIngest resolves when nothing more is put
   * @throws StorageError `timeline-has-branches`; what the file system and remote storage throw: then it is to be called again, for what is left and has an index is there again at the next opening
   */
  async remove(
    tenant: TenantId,
    timeline: TimelineId,
    endIngest: (timeline: Timeline) => Promise<void>,
  ): Promise<void> {
    const name = nameOf(tenant, timeline);
    const found = this.#timelines.get(name);
    const branches = [...this.#states.values()].filter((state) => state.ancestor?.state === this.#states.get(name));
    if (found !== undefined && (branches.length > 0 || this.#unsettledPoints(found).length > 0))
      throw new StorageError(
        'timeline-has-branches',
        `timeline ${timeline} cannot be removed: ${branches[0]?.timeline ?? 'one that is being made or removed'} shares history of it`,
      );
    if (this.#making.has(name))
      throw new StorageError('timeline-exists', `timeline ${timeline} is being made or removed`);
    this.#making.add(name);
    try {
      found?.beginRemoval();
      // In one turn: a collection of the ancestor that is planned from now on keeps the branch point as well.
      this.#keepPoint(name, found?.ancestor);
      this.#timelines.delete(name);
      this.#states.delete(name);
      if (found !== undefined) {
        await endIngest(found);
        await found.endRemoval();
      }
      await this.#removeFiles(tenant, timeline);
      await this.#shared.remote?.remove(tenant, timeline);
      // Only now does nobody need the history that it shared, or, where nobody knew, any history of the tenant.
      this.#unsettled.delete(name);
      this.#broken.delete(name);
    } finally {
      this.#making.delete(name);
    }
  }

  /**
   * Drops what the policy does not keep of a timeline's history and nobody can read.
   * @param force also when little can be dropped
   * @param now unit: ms since 1970
   * @throws StorageError `no-such-timeline`; `history-needed` while a timeline of the tenant that may be a branch of this one, or leases, cannot be read; CorruptionError; what the file system throws
   */
  async collect(
    tenant: TenantId,
    timeline: TimelineId,
    policy: HistoryPolicy,
    force: boolean,
    now: () => number,
  ): Promise<CollectionResult> {
    const found = this.get(tenant, timeline);
    const name = nameOf(tenant, timeline);
    return found.collect(() => {
      const state = this.#states.get(name);
      if (state === undefined) throw new StorageError('no-such-timeline', 'the timeline was removed');
      const broken = [...this.#broken.keys()].find((other) => other.startsWith(`${tenant}/`));
      const unknown = broken === undefined ? this.#shared.remote?.unknownTimeline(tenant) : `timeline ${broken}`;
      if (unknown !== undefined)
        throw new StorageError('history-needed', `history is kept while ${unknown} cannot be opened: it may need it`);
      this.#requireLeases(tenant);
      const branches = [...this.#states.values()].filter((other) => other.ancestor?.state === state);
      const points = [...branches.map((branch) => branch.initialLsn), ...this.#unsettledPoints(found)];
      const time = now();
      return planCollection(state, policy, points, leasedLsns(state, this.#states.values(), time), time);
    }, force);
  }

  /** @throws StorageError `history-needed` while it is not known what leases of the tenant keep */
  #requireLeases(tenant: TenantId): void {
    for (const { tenant: of, timeline, leases } of this.#states.values())
      if (of === tenant && leases.damage !== undefined)
        throw new StorageError(
          'history-needed',
          `history is kept while it is not known what leases on timeline ${timeline} need: ${leases.damage.message}`,
        );
  }

  /** How large a timeline is, see {@link TimelineSizes}. @throws StorageError `no-such-timeline`; CorruptionError; what fetching layers throws */
  async sizes(tenant: TenantId, timeline: TimelineId): Promise<TimelineSizes> {
    const found = this.get(tenant, timeline);
    return found.sizes(this.lastBranchLsn(found));
  }

  /** Where the last of the branches begins that share the history of a timeline; undefined when none does. */
  lastBranchLsn(timeline: Timeline): Lsn | undefined {
    let last: Lsn | undefined;
    for (const { ancestor } of this.list())
      if (ancestor?.timeline === timeline && ancestor.lsn > (last ?? 0)) last = ancestor.lsn;
    return last;
  }

  /** What was written and read since the store was opened; live. */
  get counts(): StorageCounts {
    return this.#shared.counts;
  }

  /** Memory in use by layers and caches. Unit: bytes. */
  get memoryBytes(): number {
    const { memory, access, reader } = this.#shared;
    return memory.open + memory.frozen + access.indexBlocks.bytes + reader.pageCache.bytes;
  }

  /** Layer files on this disk, and what was evicted since the start. */
  get disk(): Omit<DiskBudget, 'arriving'> {
    return this.#shared.disk;
  }

  /** Flushes and closes every timeline. @throws AggregateError of what flushes threw; everything is closed all the same */
  async close(): Promise<void> {
    const results = await Promise.allSettled(this.list().map((timeline) => timeline.close()));
    this.#shared.access.handles.closeAll();
    const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : []));
    if (failures.length > 0) throw new AggregateError(failures, `${failures.length} timelines could not be flushed`);
  }

  async #removeFiles(tenant: TenantId, timeline: TimelineId): Promise<void> {
    const { fileSystem } = this.#shared.access;
    const directory = timelineDirectory(this.#directory, tenant, timeline);
    const index = `${directory}/${INDEX_FILE}`;
    if (fileSystem.size(index) !== undefined) {
      fileSystem.unlink(index);
      await fileSystem.syncDirectory(directory);
    }
    fileSystem.removeDirectory(directory);
  }

  #claim(tenant: TenantId, timeline: TimelineId): void {
    const name = nameOf(tenant, timeline);
    if (this.#timelines.has(name) || this.#broken.has(name) || this.#making.has(name))
      throw new StorageError('timeline-exists', `there is a timeline ${timeline} of tenant ${tenant} already`);
    this.#making.add(name);
  }

  /** @param branchPoint of a branch: a collection that is planned from this turn on keeps it */
  async #make(index: TimelineIndex, branchPoint?: BranchPoint): Promise<Timeline> {
    const { tenant, timeline } = index;
    const name = nameOf(tenant, timeline);
    this.#claim(tenant, timeline);
    this.#keepPoint(name, branchPoint);
    try {
      this.#makeDirectory(timelineDirectory(this.#directory, tenant, timeline));
      const made = await this.#publish(index);
      this.#unsettled.delete(name);
      return made;
    } catch (error) {
      await this.#undoMaking(tenant, timeline);
      throw error;
    }
  }

  /** Its index may be there, although it could not be made. */
  async #undoMaking(tenant: TenantId, timeline: TimelineId): Promise<void> {
    const name = nameOf(tenant, timeline);
    this.#making.add(name);
    try {
      await this.#removeFiles(tenant, timeline);
      this.#unsettled.delete(name);
      this.#broken.delete(name);
    } catch (err) {
      this.#shared.log.warn(
        { tenant, timeline, err },
        'what is left of a timeline that could not be made may be there at the next start: what it needs is kept',
      );
    } finally {
      this.#making.delete(name);
    }
  }

  #keepPoint(name: string, branchPoint: BranchPoint | undefined): void {
    if (branchPoint !== undefined) this.#unsettled.set(name, [...(this.#unsettled.get(name) ?? []), branchPoint]);
  }

  /** Where branches that are being made or removed leave a timeline. */
  #unsettledPoints(ancestor: Timeline): readonly Lsn[] {
    return [...this.#unsettled.values()].flat().flatMap(({ timeline, lsn }) => (timeline === ancestor ? [lsn] : []));
  }

  #makeDirectory(directory: string): void {
    // What an earlier attempt has left has no index, else the timeline would be known.
    this.#shared.access.fileSystem.removeDirectory(directory);
    this.#shared.access.fileSystem.makeDirectory(layersDirectory(directory));
  }

  /** The index makes the timeline; it counts when the names of the folders above it are durable too. Independent syncs run side by side, the disk makes one of them. */
  async #publish(index: TimelineIndex): Promise<Timeline> {
    const { fileSystem } = this.#shared.access;
    const timelines = timelinesDirectory(this.#directory, index.tenant);
    const above = this.#syncedTenants.has(index.tenant)
      ? []
      : [this.#directory, `${this.#directory}/tenants`, `${this.#directory}/tenants/${index.tenant}`];
    const results = await Promise.allSettled([
      writeIndex(fileSystem, timelineDirectory(this.#directory, index.tenant, index.timeline), index),
      ...[timelines, ...above].map((path) => fileSystem.syncDirectory(path)),
    ]);
    for (const result of results) if (result.status === 'rejected') throw result.reason;
    this.#syncedTenants.add(index.tenant);
    this.#making.delete(nameOf(index.tenant, index.timeline));
    const timeline = this.#open(index);
    if (timeline === undefined) throw this.#broken.get(nameOf(index.tenant, index.timeline)) as Error;
    return timeline;
  }

  /** Opens a timeline whose ancestor is open. Undefined when it, or the ancestor, is broken. */
  #open(index: TimelineIndex, here?: ReadonlySet<string>): Timeline | undefined {
    const name = nameOf(index.tenant, index.timeline);
    const ancestorName = index.ancestor === undefined ? undefined : nameOf(index.tenant, index.ancestor.timeline);
    try {
      const ancestorState = ancestorName === undefined ? undefined : this.#states.get(ancestorName);
      if (ancestorName !== undefined && ancestorState === undefined)
        throw new CorruptionError(`the ancestor ${ancestorName} cannot be opened`, undefined, {
          cause: this.#broken.get(ancestorName),
        });
      const directory = timelineDirectory(this.#directory, index.tenant, index.timeline);
      const lsn = index.ancestor?.lsn;
      const state = new TimelineState(
        this.#shared,
        ++this.#timelineCount,
        directory,
        this.#objectsOf(index.tenant),
        index,
        ancestorState === undefined || lsn === undefined ? undefined : { state: ancestorState, lsn },
        here,
      );
      const ancestor = ancestorName === undefined ? undefined : this.#timelines.get(ancestorName);
      const timeline = new Timeline(
        state,
        ancestor === undefined || lsn === undefined ? undefined : { timeline: ancestor, lsn },
      );
      this.#states.set(name, state);
      this.#timelines.set(name, timeline);
      this.#shared.remote?.indexWritten(state.layersDirectory, index);
      return timeline;
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      this.#shared.log.warn(
        { tenant: index.tenant, timeline: index.timeline, err: error },
        'a timeline cannot be opened',
      );
      this.#broken.set(name, error);
      return undefined;
    }
  }

  #objectsOf(tenant: TenantId): ObjectTable {
    assert(isId(tenant), 'a tenant id is checked where it comes in');
    const known = this.#objects.get(tenant) ?? new ObjectTable();
    this.#objects.set(tenant, known);
    return known;
  }

  /** Has the timeline with the largest open layer flush it. */
  #relieve(): void {
    let largest: Timeline | undefined;
    for (const timeline of this.#timelines.values()) {
      if (largest === undefined || timeline.openLayerBytes > largest.openLayerBytes) largest = timeline;
    }
    largest?.relieve();
  }
}

function nameOf(tenant: TenantId, timeline: TimelineId): string {
  return `${tenant}/${timeline}`;
}
