import type { LayerAccess } from '../layers/layer-file.ts';
import type { SlabPool } from '../layers/slab.ts';
import type { LayerWorkers } from '../workers/job-duties.ts';
import type { LayerLoans } from './layer-loans.ts';
import type { StorageOptions } from './options.ts';
import type { PageReader } from './page-reader.ts';
import type { PageRedo } from './redo.ts';
import type { RemoteLayers } from './remote-layers.ts';
import type { StorageCounts } from './storage-counts.ts';

/** Where the storage engine says what a person may want to know. A pino logger is one. */
export interface StorageLog {
  /** A change of state. */
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  /** May lead to something a person must look at. */
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** Memory that the in-memory layers of all timelines of a store have together. Unit: bytes. */
export interface LayerMemory {
  /** In layers that take ingest. */
  open: number;
  /** In layers that wait for their flush. */
  frozen: number;
  /** Ingest of timelines with frozen layers pauses above it. */
  readonly max: number;
  /** Called while more than half is in open layers: has the largest of them frozen. */
  relieve: () => void;
}

/** The room that the layer files of a store have on its disk. */
export interface DiskBudget {
  /** Runs `work`, which brings a layer of so many bytes, after there is room for it as far as that can be had. */
  arriving<T>(bytes: number, work: () => Promise<T>): Promise<T>;
  /** Removes files until the rest is within the budget, or no other may go. Between turns only: readers end within one. */
  keepWithin(): void;
  /** Size of the layer files that are on this disk. Unit: bytes. */
  readonly residentBytes: number;
  /** Layer files removed since the start. */
  readonly evictedLayers: number;
  /** Their size. Unit: bytes. */
  readonly evictedBytes: number;
}

/** What the timelines of a store share. */
export interface StorageShared {
  readonly options: StorageOptions;
  readonly access: LayerAccess;
  readonly slabs: SlabPool;
  readonly reader: PageReader;
  readonly redo: PageRedo;
  readonly log: StorageLog;
  readonly memory: LayerMemory;
  readonly disk: DiskBudget;
  readonly counts: StorageCounts;
  /** Layer files that workers read. */
  readonly loans: LayerLoans;
  /** Who merges layers and writes images; undefined: this thread does. */
  readonly workers: LayerWorkers | undefined;
  /** Undefined: there is no remote storage. */
  readonly remote: RemoteLayers | undefined;
  /** Monotonic time. Unit: milliseconds. */
  readonly now: () => number;
}
