import type { TenantId, TimelineId } from '@zenith/base';
import type { FileSystem } from '../layers/file-system.ts';
import type { StorageOptions } from '../timeline/options.ts';
import type { PageReader } from '../timeline/page-reader.ts';
import type { PageRedo } from '../timeline/redo.ts';
import type { TimelineState } from '../timeline/timeline-state.ts';
import type { TimelineView } from '../timeline/view.ts';

/** What merging layers and writing images work on: a timeline in the process that serves it, or what a worker thread sees of one. They write files and publish nothing. */
export interface CompactionSource {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** What reads see; whole up to the LSNs that the work is about. */
  readonly view: TimelineView;
  /** Where layer files are written. */
  readonly layersDirectory: string;
  readonly fileSystem: FileSystem;
  readonly reader: PageReader;
  readonly redo: PageRedo;
  readonly options: StorageOptions;
  /** Monotonic time. Unit: milliseconds. */
  readonly now: () => number;
  /** A generation no layer file of the timeline has had. */
  nextGeneration(): number;
}

/** The source that a timeline is in its own process. */
export function sourceOf(state: TimelineState): CompactionSource {
  const { tenant, timeline, layersDirectory, shared } = state;
  return {
    tenant,
    timeline,
    view: state,
    layersDirectory,
    fileSystem: shared.access.fileSystem,
    reader: shared.reader,
    redo: shared.redo,
    options: shared.options,
    now: shared.now,
    nextGeneration: () => state.nextGeneration(),
  };
}
