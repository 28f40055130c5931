import type { LayerAccess } from '../layers/layer-file.ts';
import type { SlabPool } from '../layers/slab.ts';
import type { LayerDisk } from './layer-disk.ts';
import type { StorageOptions } from './options.ts';
import type { PageReader } from './page-reader.ts';
import type { PageRedo } from './redo.ts';
import type { RemoteLayers } from './remote-layers.ts';

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

/** What the timelines of a store share. */
export interface StorageShared {
  readonly options: StorageOptions;
  readonly access: LayerAccess;
  readonly slabs: SlabPool;
  readonly reader: PageReader;
  readonly redo: PageRedo;
  readonly log: StorageLog;
  readonly memory: LayerMemory;
  readonly disk: LayerDisk;
  /** Undefined: there is no remote storage. */
  readonly remote: RemoteLayers | undefined;
  /** Monotonic time. Unit: milliseconds. */
  readonly now: () => number;
}
