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
import type { PageRedo } from '../timeline/redo.ts';
import { StorageCounts } from '../timeline/storage-counts.ts';
import type { TimelineView } from '../timeline/view.ts';
import type { GenerationsTaken } from './generations-taken.ts';
import type { JobTimeline, LayerJob, LayerWork } from './layer-job.ts';

/** Index blocks that a worker keeps. Unit: bytes. */
const INDEX_CACHE_BYTES = 16 * 1024 * 1024;

/** Layer files that a worker has open. */
const OPEN_FILES_MAX = 128;

/** A worker works in larger slices than who serves pages: it looks up only for an end of its job. Unit: ms. */
const SLICE_MS = 20;

/** What a job works on, and its layers. */
export interface JobSource {
  readonly source: CompactionSource;
  /** Every layer of the timeline and its ancestors by path. */
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
    const layerMap = openLayers(described, access, objects, layers, job.work.kind);
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
  layerMap: LayerMap,
  ancestorView: TimelineView['ancestorView'],
): TimelineView {
  const { pgMajor, initialLsn, lastRecordLsn, gcCutoff, retained } = described;
  return {
    number,
    pgMajor,
    objects,
    memoryLayers,
    layerMap,
    isRemoved: false,
    lastRecordLsn,
    initialLsn,
    gcCutoff,
    retained: new Set(retained),
    ancestorView,
  };
}

function openLayers(
  { layersDirectory, layers }: JobTimeline,
  access: LayerAccess,
  objects: ObjectTable,
  byPath: Map<string, LayerFile>,
  work: LayerWork['kind'],
): LayerMap {
  const placed = layers.map(({ fileName, kind, level, fileBytes, isResident, summary }) => {
    const name = parseLayerName(fileName);
    if (name === undefined) throw new CorruptionError(`'${fileName}' is no layer's name`);
    const path = `${layersDirectory}/${fileName}`;
    const layer = new LayerFile(access, path, { name, kind, fileBytes }, objects, isResident);
    if (summary !== undefined) layer.openBySummary(summary, objects);
    // This process has opened it before: it was damaged since. A flush hardly ever looks at layers, and opens those it does look at.
    else if (work !== 'flush' && !layer.openHere(objects)) throw damageOf(layer);
    byPath.set(path, layer);
    return { layer, level };
  });
  return new LayerMap(placed);
}

function damageOf(layer: LayerFile): DamagedLayerError {
  const { message = 'the layer file does not exist', position } = layer.damage ?? {};
  return new DamagedLayerError(layer, message, position?.offset ?? 0);
}
