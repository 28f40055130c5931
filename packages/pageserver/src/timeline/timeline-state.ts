import { CorruptionError, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import type { PgMajor } from '@zenith/pg-format';
import type { ObjectTable } from '../key-space/object-table.ts';
import type { CommitTail } from '../commit-times/commit-tail.ts';
import { Leases } from '../gc/leases.ts';
import { InMemoryLayer } from '../layers/in-memory-layer.ts';
import { LayerFile } from '../layers/layer-file.ts';
import { LayerKind } from '../layers/layer-format.ts';
import { LayerMap, type PlacedLayer } from '../layers/layer-map.ts';
import { parseLayerName } from '../layers/layer-name.ts';
import type { LayerResidency } from '../layers/layer-residency.ts';
import type { LayerTail } from '../layers/layer-summary.ts';
import type { WrittenLayer } from '../layers/layer-writer.ts';
import type { StorageShared } from './shared.ts';
import { INDEX_FILE, indexedLayer, type IndexedLayer, type TimelineIndex, writeIndex } from './timeline-index.ts';
import type { TimelineView } from './view.ts';

/** A change of which layers there are. */
export interface LayerChange {
  /** Whole and synced files. */
  readonly added: readonly WrittenLayer[];
  readonly level: 0 | 1;
  readonly removed: ReadonlySet<LayerFile>;
  /** How far the timeline is durable with the change; without it as far as before. */
  readonly diskConsistentLsn?: Lsn;
  /** Runs in the turn in which readers begin to see the new layers. */
  readonly whenPublished?: () => void;
}

/** What a timeline is made of. The read path sees it as a {@link TimelineView}; flush and compaction change it through {@link publish}, ingest through its open layer. */
export class TimelineState implements TimelineView {
  readonly number: number;
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly pgMajor: PgMajor;
  readonly objects: ObjectTable;
  readonly initialLsn: Lsn;
  readonly ancestor: { readonly state: TimelineState; readonly lsn: Lsn } | undefined;
  readonly ancestorView: TimelineView['ancestorView'];
  readonly leases: Leases;
  gcCutoff: Lsn;
  retained: ReadonlySet<Lsn>;
  /** What leases kept when it was opened: who had one asks for it again, or has forgotten it with its disk. */
  readonly retainedBefore: ReadonlySet<Lsn>;
  /** When it was opened, by the monotonic clock. Unit: ms. */
  readonly openedAt: number;
  /** The timeline's folder. */
  readonly directory: string;
  readonly shared: StorageShared;
  /** Newest first: the open layer, if there is one, then the frozen. */
  memoryLayers: InMemoryLayer[] = [];
  layerMap: LayerMap;
  isRemoved = false;
  /** Commits that no layer has yet; undefined before the first of this process. */
  commitTail: CommitTail | undefined;
  lastRecordLsn: Lsn;
  diskConsistentLsn: Lsn;
  /** The next generation, in memory that worker threads share. */
  readonly generations = new Uint32Array(new SharedArrayBuffer(4));
  #durableCutoff: string;
  #publishing: Promise<void> = Promise.resolve();

  /**
   * @param here which of the layers that `index` names are on this disk: none of them is read before it is needed. Without it all are opened.
   * @throws CorruptionError naming the file that is missing or wrong
   */
  constructor(
    shared: StorageShared,
    number: number,
    directory: string,
    objects: ObjectTable,
    index: TimelineIndex,
    ancestor: { readonly state: TimelineState; readonly lsn: Lsn } | undefined,
    here?: ReadonlySet<string>,
  ) {
    this.shared = shared;
    this.number = number;
    this.directory = directory;
    this.objects = objects;
    this.tenant = index.tenant;
    this.timeline = index.timeline;
    this.pgMajor = index.pgMajor;
    this.initialLsn = index.initialLsn;
    this.ancestor = ancestor;
    this.ancestorView = ancestor === undefined ? undefined : { view: ancestor.state, lsn: ancestor.lsn };
    this.leases = new Leases(shared.access.fileSystem, directory);
    if (this.leases.damage !== undefined)
      shared.log.warn(
        { tenant: this.tenant, timeline: this.timeline, err: this.leases.damage },
        'it is not known which leases a timeline has: all history of its tenant is kept',
      );
    this.gcCutoff = index.gcCutoff ?? (0 as Lsn);
    this.retained = new Set(index.retained);
    this.retainedBefore = this.retained;
    this.#durableCutoff = cutoffOf(index);
    this.openedAt = shared.now();
    this.lastRecordLsn = index.diskConsistentLsn;
    this.diskConsistentLsn = index.diskConsistentLsn;
    this.generations[0] = index.nextGeneration;
    this.layerMap = new LayerMap(index.layers.map((layer) => this.#place(layer, here?.has(layer.fileName))));
  }

  /** Where the layer files are. */
  get layersDirectory(): string {
    return layersDirectory(this.directory);
  }

  /** A generation no layer file of this timeline has had. */
  nextGeneration(): number {
    return Atomics.add(this.generations, 0, 1);
  }

  /** The open layer, made now if there is none. */
  openLayer(): InMemoryLayer {
    const first = this.memoryLayers[0];
    if (first !== undefined && !first.frozen) return first;
    const layer = new InMemoryLayer((this.lastRecordLsn + 1) as Lsn, this.shared.slabs);
    this.memoryLayers = [layer, ...this.memoryLayers];
    return layer;
  }

  /** True when the index on disk has the present cutoff, and what is kept below it. */
  get isCutoffDurable(): boolean {
    return this.#durableCutoff === cutoffOf(this.index());
  }

  /** The index as it is now. */
  index(): TimelineIndex {
    return this.#indexWith(this.layerMap.placed, this.diskConsistentLsn);
  }

  /**
   * Makes a change of the layers durable, then visible; changes follow one another. The directory of the layers is synced first, so that the index never names a file that a crash
   * could take away. When it fails, nothing is visible; the files added are removed, unless the index on disk may name them already.
   */
  publish(change: LayerChange): Promise<void> {
    const result = this.#publishing.then(() => this.#publish(change));
    this.#publishing = result.catch(() => undefined);
    return result;
  }

  /** True while the layer is one of the timeline's. */
  has(layer: LayerResidency): boolean {
    return this.layerMap.placed.some((one) => one.layer === layer);
  }

  /** A layer's name, as the index has it. */
  fileNameOf(layer: Pick<LayerResidency, 'path'>): string {
    return layer.path.slice(this.layersDirectory.length + 1);
  }

  /** Opens a closed layer by its last bytes, in its place in the map. @throws CorruptionError */
  openByTail(layer: LayerResidency, tail: LayerTail): Promise<void> {
    return this.#betweenChanges(layer, (found) => found.openByTail(tail, this.objects));
  }

  /** The file of a layer has come to its place on this disk. That of one that compaction has replaced meanwhile is removed. @throws CorruptionError */
  fileArrived(layer: LayerResidency): Promise<void> {
    return this.#betweenChanges(
      layer,
      (found) => found.fileArrived(this.objects),
      () => this.shared.access.fileSystem.unlink(layer.path),
    );
  }

  /** Changes how a layer stands, in its place in the map, or does something else when it has none any more. The index stays as it is. */
  #betweenChanges(
    layer: LayerResidency,
    change: (found: LayerFile) => void,
    otherwise = (): void => undefined,
  ): Promise<void> {
    const result = this.#publishing.then(() => {
      for (const tier of this.layerMap.tiers) {
        const found = tier.layers.find((one) => one === layer);
        if (found === undefined) continue;
        const wasOpen = found.isOpen;
        change(found);
        if (!wasOpen) tier.layerOpened();
        return;
      }
      otherwise();
    });
    this.#publishing = result.catch(() => undefined);
    return result;
  }

  async #publish(change: LayerChange): Promise<void> {
    let isNamed = false;
    try {
      await this.#publishNaming(change, () => {
        isNamed = true;
      });
    } catch (error) {
      // On a disk that is full each attempt would leave its layers, until there is no room for an index either.
      if (!isNamed) this.#removeAdded(change.added);
      throw error;
    }
  }

  #removeAdded(added: readonly WrittenLayer[]): void {
    const { fileSystem, handles } = this.shared.access;
    for (const { fileName } of added) {
      const path = `${this.layersDirectory}/${fileName}`;
      handles.forget(path);
      try {
        fileSystem.unlink(path);
      } catch {
        // What is left is an orphan, which the next opening of the timeline removes.
      }
    }
  }

  /** @param onNamed called when the index on disk may name what is added */
  async #publishNaming(change: LayerChange, onNamed: () => void): Promise<void> {
    const { fileSystem } = this.shared.access;
    if (change.added.length > 0) await fileSystem.syncDirectory(this.layersDirectory);
    const added = change.added.map((layer) => this.#place(indexedLayer(layer, change.level)));
    // What was just written has to be here and sound: memory is about to forget it.
    for (const { layer } of added)
      if (!layer.isResident)
        throw layer.damage ?? new CorruptionError('the layer file does not exist', { source: layer.path });
    const map = this.layerMap.with(added, change.removed);
    const diskConsistentLsn = change.diskConsistentLsn ?? this.diskConsistentLsn;
    const index = this.#indexWith(map.placed, diskConsistentLsn);
    await writeIndex(fileSystem, this.directory, index, onNamed);
    this.#durableCutoff = cutoffOf(index);
    this.shared.counts.walBytes += diskConsistentLsn - this.diskConsistentLsn;
    this.#countWritten(change);
    this.layerMap = map;
    this.diskConsistentLsn = diskConsistentLsn;
    this.shared.remote?.indexWritten(this.layersDirectory, index);
    change.whenPublished?.();
    this.shared.disk.keepWithin();
  }

  #countWritten({ added, level }: LayerChange): void {
    const { counts } = this.shared;
    for (const { kind, fileBytes } of added) {
      if (kind === LayerKind.image) counts.imageBytes += fileBytes;
      else if (level === 0) counts.levelZeroBytes += fileBytes;
      else counts.runBytes += fileBytes;
    }
  }

  #place(indexed: IndexedLayer, isHere?: boolean): PlacedLayer {
    const path = `${this.layersDirectory}/${indexed.fileName}`;
    const name = parseLayerName(indexed.fileName);
    if (name === undefined)
      throw new CorruptionError(`the index names '${indexed.fileName}', which is no layer's name`, {
        source: `${this.directory}/${INDEX_FILE}`,
      });
    return {
      layer: new LayerFile(
        this.shared.access,
        path,
        { name, kind: indexed.kind, fileBytes: indexed.fileBytes, crc32c: indexed.crc32c },
        this.objects,
        isHere,
      ),
      level: indexed.level,
    };
  }

  #indexWith(placed: readonly PlacedLayer[], diskConsistentLsn: Lsn): TimelineIndex {
    return {
      tenant: this.tenant,
      timeline: this.timeline,
      pgMajor: this.pgMajor,
      initialLsn: this.initialLsn,
      ancestor:
        this.ancestor === undefined ? undefined : { timeline: this.ancestor.state.timeline, lsn: this.ancestor.lsn },
      diskConsistentLsn,
      nextGeneration: Atomics.load(this.generations, 0),
      ...(this.gcCutoff === 0 ? {} : { gcCutoff: this.gcCutoff, retained: [...this.retained] }),
      layers: placed.map(({ layer, level }) => ({
        fileName: this.fileNameOf(layer),
        kind: layer.identity.kind,
        level,
        fileBytes: layer.identity.fileBytes,
        crc32c: layer.identity.crc32c,
      })),
    };
  }
}

/** What an index says of history that is not kept, to be compared. */
function cutoffOf({ gcCutoff = 0 as Lsn, retained = [] }: TimelineIndex): string {
  return `${gcCutoff}: ${[...retained].sort((a, b) => a - b).join()}`;
}

/** Where the layer files of the timeline in `directory` are. */
export function layersDirectory(directory: string): string {
  return `${directory}/layers`;
}
