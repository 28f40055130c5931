import type { CompactionSource } from '../compaction/compaction-source.ts';
import { ObjectTable } from '../key-space/object-table.ts';
import { BlockCache } from '../layers/block-cache.ts';
import { FileHandles } from '../layers/file-handles.ts';
import { DamagedLayerError } from '../layers/damaged-layer-error.ts';
import type { FileSystem } from '../layers/file-system.ts';
import { InMemoryLayer } from '../layers/in-memory-layer.ts';
import { type LayerAccess, LayerFile } from '../layers/layer-file.ts';
import { LayerMap } from '../layers/layer-map.ts';
import { parseLayerName } from '../layers/layer-name.ts';
import { CorruptionError } from '@zenith/base';
import { PageReader } from '../timeline/page-reader.ts';
import { decodeIndex, INDEX_FILE } from '../timeline/timeline-index.ts';
import type { PageRedo } from '../timeline/redo.ts';
import { StorageCounts } from '../timeline/storage-counts.ts';
import type { TimelineView } from '../timeline/view.ts';
import type { GenerationsTaken } from './generations-taken.ts';
import type { JobLayer, JobTimeline, LayerJob } from './layer-job.ts';

/** Index blocks that a worker keeps. Unit: bytes. */
const INDEX_CACHE_BYTES = 16 * 1024 * 1024;

/** Layer files that a worker has open. */
const OPEN_FILES_MAX = 128;

/** A worker works in larger slices than who serves pages: it looks up only for an end of its job. Unit: ms. */
const SLICE_MS = 20;

/** What a job works on, and its layers. */
export interface JobSource {
  readonly source: CompactionSource;
  /** Every layer of the timeline and its ancestors by path; of those that are found by an index what was looked at. */
  readonly layers: ReadonlyMap<string, LayerFile>;
  /** Closes files. */
  close(): void;
}

/** Opens what a job is about. @throws CorruptionError; what the file system throws */
export function openJob(job: LayerJob, taken: GenerationsTaken, fileSystem: FileSystem, redo: PageRedo): JobSource {
  let count = 0;
  const access: LayerAccess = {
    fileSystem,
    handles: new FileHandles(fileSystem, OPEN_FILES_MAX),
    indexBlocks: new BlockCache(INDEX_CACHE_BYTES),
    nextLayerNumber: () => ++count,
    uses: { count: 0 },
    canFetch: job.canFetch,
  };
  // The ids in a frozen layer are those of its thread.
  const objects = job.work.kind === 'flush' ? ObjectTable.of(job.work.objects) : new ObjectTable();
  const frozen = job.work.kind === 'flush' ? [InMemoryLayer.over(job.work.layer)] : [];
  const layers = new Map<string, LayerFile>();
  let view: TimelineView | undefined;
  // From the oldest ancestor on.
  for (const [index, described] of [...job.timelines.entries()].toReversed()) {
    const { ancestorLsn: lsn } = described;
    const ancestorView = view === undefined || lsn === undefined ? undefined : { view, lsn };
    const open = (): LayerMap => openLayers(described, access, objects, layers);
    const layerMap = described.isIndexed ? onceAskedFor(open) : whole(open());
    view = viewOf(described, index, objects, index === 0 ? frozen : [], layerMap, ancestorView);
  }
  const generations = new Uint32Array(job.generations);
  return {
    source: {
      tenant: job.tenant,
      timeline: job.timeline,
      view: view as TimelineView,
      layersDirectory: (job.timelines[0] as JobTimeline).layersDirectory,
      fileSystem,
      reader: new PageReader(redo, 0, new StorageCounts()),
      redo,
      options: { ...job.options, sliceMs: SLICE_MS },
      now: () => performance.now(),
      nextGeneration: () => taken.take(generations),
    },
    layers,
    close: () => access.handles.closeAll(),
  };
}

function viewOf(
  described: JobTimeline,
  number: number,
  objects: ObjectTable,
  memoryLayers: readonly InMemoryLayer[],
  layerMap: () => LayerMap,
  ancestorView: TimelineView['ancestorView'],
): TimelineView {
  const { pgMajor, initialLsn, lastRecordLsn, gcCutoff, retained } = described;
  return {
    number,
    pgMajor,
    objects,
    memoryLayers,
    get layerMap() {
      return layerMap();
    },
    isRemoved: false,
    lastRecordLsn,
    initialLsn,
    gcCutoff,
    retained: new Set(retained),
    ancestorView,
  };
}

function whole(map: LayerMap): () => LayerMap {
  return () => map;
}

function onceAskedFor(open: () => LayerMap): () => LayerMap {
  let map: LayerMap | undefined;
  return () => (map ??= open());
}

/** The layers that the index on disk names now: those of the job, or what compaction has made of them since. They are lent, so that their files stay. */
function indexedLayers({ directory, layers }: JobTimeline, fileSystem: FileSystem): readonly JobLayer[] {
  const path = `${directory}/${INDEX_FILE}`;
  const bytes = fileSystem.readFile(path);
  if (bytes === undefined) throw new CorruptionError('the index does not exist', { source: path });
  const absent = new Map(layers.map((layer) => [layer.fileName, layer]));
  return decodeIndex(bytes, path).layers.map(
    (layer) => absent.get(layer.fileName) ?? { ...layer, isResident: true, summary: undefined },
  );
}

function openLayers(
  described: JobTimeline,
  access: LayerAccess,
  objects: ObjectTable,
  byPath: Map<string, LayerFile>,
): LayerMap {
  const { layersDirectory, isIndexed } = described;
  const layers = isIndexed ? indexedLayers(described, access.fileSystem) : described.layers;
  const placed = layers.map(({ fileName, kind, level, fileBytes, isResident, summary }) => {
    const name = parseLayerName(fileName);
    if (name === undefined) throw new CorruptionError(`'${fileName}' is no layer's name`);
    const path = `${layersDirectory}/${fileName}`;
    const layer = new LayerFile(access, path, { name, kind, fileBytes }, objects, isResident);
    if (summary !== undefined) layer.openBySummary(summary, objects);
    // This process has opened it before: it was damaged since. Of many, of which few are looked at, those are opened then.
    else if (!isIndexed && !layer.openHere(objects)) throw damageOf(layer);
    byPath.set(path, layer);
    return { layer, level };
  });
  return new LayerMap(placed);
}

function damageOf(layer: LayerFile): DamagedLayerError {
  const { message = 'the layer file does not exist', position } = layer.damage ?? {};
  return new DamagedLayerError(layer, message, position?.offset ?? 0);
}
