import type { Compression } from '../layers/packed-chunk.ts';

/** How a store behaves. Sizes in bytes, times in milliseconds. */
export interface StorageOptions {
  /** Bound on everything below together. */
  readonly memoryBytes: number;
  /** Part of it for pages that were costly to rebuild. */
  readonly pageCacheBytes: number;
  /** Part of it for index blocks of layer files. */
  readonly indexCacheBytes: number;
  /** Layer files may have so much of the disk: above it those that were read longest ago are removed, as far as remote storage has them. Infinite: none is. */
  readonly diskBytes: number;
  /** An in-memory layer this large is frozen and flushed; so much WAL, about, is ingested again after a crash. */
  readonly checkpointDistanceBytes: number;
  /** Ingest of a timeline pauses while more frozen layers than this wait for their flush. */
  readonly frozenLayersMax: number;
  /** Layer files compaction writes are cut at about this size, before they are compressed. */
  readonly layerBytesTarget: number;
  /** Of layer files that are written from now on. */
  readonly compression: Compression;
  /** So many L0 layers are merged. */
  readonly compactionThreshold: number;
  /** Most L0 layers merged at once. */
  readonly compactionLayersMax: number;
  /** A page's history in a layer file gets an image after this many values without one. */
  readonly imageAfterValues: number;
  /** The same after this many bytes. */
  readonly imageAfterBytes: number;
  /** A partition gets image layers when at least this many delta tiers lie above its last ones … */
  readonly imageTiersMin: number;
  /** … and they hold at least this fraction of the partition's size; … */
  readonly imageDeltaFraction: number;
  /** … or when this many do, whatever they hold. */
  readonly imageTiersMax: number;
  /** Background work gives way to reads and ingest after this time. */
  readonly sliceMs: number;
  /** Most layer files open at once. */
  readonly openFilesMax: number;
  /** Most readers of a timeline waiting for WAL. */
  readonly waitersMax: number;
  /** Pause before a failed flush is tried again; twice as long after each further failure … */
  readonly retryDelayMs: number;
  /** … up to this. */
  readonly retryDelayMsMax: number;
  /** Worker threads that merge layers and write images, where a store is given any; one more flushes. */
  readonly compactionWorkers: number;
  /** An in-memory layer with values of at least so many bytes is written to its file by a worker; below, handing it over costs more. */
  readonly workerFlushBytes: number;
  /** False: compaction runs only when it is called. */
  readonly compactInBackground: boolean;
}

const MIB = 1024 * 1024;

/** For a server that may use 512 MiB. */
export const DEFAULT_STORAGE_OPTIONS: StorageOptions = {
  memoryBytes: 512 * MIB,
  pageCacheBytes: 64 * MIB,
  indexCacheBytes: 64 * MIB,
  diskBytes: Number.POSITIVE_INFINITY,
  checkpointDistanceBytes: 64 * MIB,
  frozenLayersMax: 1,
  layerBytesTarget: 128 * MIB,
  compression: 'lz4',
  compactionThreshold: 4,
  compactionLayersMax: 16,
  imageAfterValues: 256,
  imageAfterBytes: 32 * 1024,
  imageTiersMin: 1,
  imageDeltaFraction: 0.5,
  imageTiersMax: 10,
  sliceMs: 0.2,
  openFilesMax: 512,
  waitersMax: 10_000,
  retryDelayMs: 1000,
  retryDelayMsMax: 15_000,
  compactionWorkers: 1,
  workerFlushBytes: 256 * 1024,
  compactInBackground: true,
};

/** What compaction's write buffers and the rest of the process may take of `memoryBytes`. Unit: bytes. */
const OVERHEAD_BYTES = 64 * MIB;

/** What a worker thread takes of `memoryBytes`: 16 MiB of index blocks, a read buffer for each of 16 inputs, what it writes, its heap. Unit: bytes. */
const WORKER_BYTES = 48 * MIB;

/** What of `memoryBytes` is left for in-memory layers of all timelines. @param hasWorkers the store's compaction and flushes are done by its workers. Unit: bytes. */
export function layerMemoryBytes(options: StorageOptions, hasWorkers: boolean): number {
  return Math.max(
    options.memoryBytes -
      options.pageCacheBytes -
      options.indexCacheBytes -
      OVERHEAD_BYTES -
      (hasWorkers ? (options.compactionWorkers + 1) * WORKER_BYTES : 0),
    Math.floor(options.memoryBytes / 4),
  );
}
