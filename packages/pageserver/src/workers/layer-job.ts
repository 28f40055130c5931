import type { Lsn, TenantId, TimelineId } from '@zenith/base';
import type { PgMajor } from '@zenith/pg-format';
import type { SharedObjects } from '../key-space/object-table.ts';
import type { SharedLayer } from '../layers/in-memory-layer.ts';
import type { LayerKind } from '../layers/layer-format.ts';
import type { LayerSummary } from '../layers/layer-summary.ts';
import type { WrittenLayer } from '../layers/layer-writer.ts';
import type { StorageOptions } from '../timeline/options.ts';
import type { DescribedError } from './described-error.ts';

/** A layer file as a worker is told of it. */
export interface JobLayer {
  readonly fileName: string;
  readonly kind: LayerKind;
  readonly level: 0 | 1;
  readonly fileBytes: number;
  /** False: the worker asks for it when it needs it. */
  readonly isResident: boolean;
  /** Of a layer that is not on this disk: what is in it. */
  readonly summary: LayerSummary | undefined;
}

/** What a worker sees of a timeline: what is in its layer files. */
export interface JobTimeline {
  readonly pgMajor: PgMajor;
  /** The timeline's folder, which has its index. */
  readonly directory: string;
  readonly layersDirectory: string;
  /** Every layer; with `isIndexed` those alone whose files are not here. */
  readonly layers: readonly JobLayer[];
  /** The worker finds the layers in the timeline's index, when it first looks at one: for what looks at few, if at any, however many there are. */
  readonly isIndexed: boolean;
  readonly initialLsn: Lsn;
  readonly lastRecordLsn: Lsn;
  readonly gcCutoff: Lsn;
  readonly retained: readonly Lsn[];
  /** Up to where it shares the history of the next one. */
  readonly ancestorLsn: Lsn | undefined;
}

/** What is to be done. */
export type LayerWork =
  /** L0 layers, by name and the oldest first, become one run. */
  | { readonly kind: 'merge'; readonly inputs: readonly string[] }
  /** The image layers that the policy wants at an LSN. */
  | { readonly kind: 'images'; readonly lsn: Lsn }
  /** A frozen layer becomes an L0 layer. Its memory and that of the objects is read where it is. */
  | { readonly kind: 'flush'; readonly layer: SharedLayer; readonly objects: SharedObjects };

/** A piece of compaction, or a flush: input files or a frozen layer and parameters in, new files out. Plain data. */
export interface LayerJob {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** The timeline itself, then its ancestors. */
  readonly timelines: readonly JobTimeline[];
  readonly options: StorageOptions;
  /** The next generation of the timeline, one unsigned 32-bit integer; shared with who flushes. */
  readonly generations: SharedArrayBuffer;
  /** True: layers that are absent or damaged can be fetched. */
  readonly canFetch: boolean;
  readonly work: LayerWork;
}

/** What a job gave. */
export interface LayerJobResult {
  /** Whole and synced, in no index yet. None of image layers, which were handed over one partition after the other. */
  readonly added: readonly WrittenLayer[];
  /** Images written. */
  readonly images: number;
  /** Image layers written. */
  readonly imageLayers: number;
  /** Pages left out because they could not be rebuilt. */
  readonly unreadable: number;
}

/** What a worker thread is told. */
export type ToWorker =
  /** `taken` holds the number of generations the job has taken, and then these: 32-bit integers. */
  | { readonly kind: 'begin'; readonly job: LayerJob; readonly taken: SharedArrayBuffer }
  /** The job is to end, with what it has written removed. */
  | { readonly kind: 'abort' }
  /** The worker's last request was met. */
  | { readonly kind: 'granted' }
  /** It was not. */
  | { readonly kind: 'refused'; readonly error: DescribedError };

/** What a worker thread says. */
export type FromWorker =
  /** Asks for layer files to be on this disk. */
  | { readonly kind: 'fetch'; readonly error: DescribedError }
  /** Gives what was fetched free again. */
  | { readonly kind: 'release' }
  /** Asks for layers to become the timeline's. */
  | { readonly kind: 'publish'; readonly added: readonly WrittenLayer[] }
  | { readonly kind: 'done'; readonly result: LayerJobResult }
  | { readonly kind: 'failed'; readonly error: DescribedError };
