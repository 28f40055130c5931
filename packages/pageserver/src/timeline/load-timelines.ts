import { CorruptionError, isId, type TenantId, type TimelineId } from '@zenith/base';
import type { FileSystem } from '../layers/file-system.ts';
import type { StorageLog } from './shared.ts';
import { timelineDirectory, timelinesDirectory } from './store-layout.ts';
import { decodeIndex, INDEX_FILE, type TimelineIndex } from './timeline-index.ts';
import { layersDirectory } from './timeline-state.ts';

/** A timeline found in a store's folder: its index and which of the layers that it names are here, or why it cannot be read. */
export type LoadedTimeline =
  | SoundTimeline
  | { readonly tenant: TenantId; readonly timeline: TimelineId; readonly error: Error };

interface SoundTimeline {
  readonly index: TimelineIndex;
  /** File names. */
  readonly here: ReadonlySet<string>;
}

/**
 * Finds the timelines of a store, ancestors before their branches, and removes what no index names: files that a crash left before they were published, or that were replaced and not removed
 * in time. Folders without an index are timelines that never came to be.
 */
export function loadTimelines(
  fileSystem: FileSystem,
  storeDirectory: string,
  log: StorageLog,
): readonly LoadedTimeline[] {
  const loaded: LoadedTimeline[] = [];
  for (const tenant of fileSystem.list(`${storeDirectory}/tenants`).filter(isId)) {
    const ofTenant: SoundTimeline[] = [];
    for (const timeline of fileSystem.list(timelinesDirectory(storeDirectory, tenant as TenantId)).filter(isId)) {
      const one = load(
        fileSystem,
        timelineDirectory(storeDirectory, tenant as TenantId, timeline as TimelineId),
        tenant as TenantId,
        timeline as TimelineId,
        log,
      );
      if (one === undefined) continue;
      if ('error' in one) loaded.push(one);
      else ofTenant.push(one);
    }
    loaded.push(...ancestorsFirst(ofTenant));
  }
  return loaded;
}

function load(
  fileSystem: FileSystem,
  directory: string,
  tenant: TenantId,
  timeline: TimelineId,
  log: StorageLog,
): LoadedTimeline | undefined {
  const path = `${directory}/${INDEX_FILE}`;
  const bytes = fileSystem.readFile(path);
  if (bytes === undefined) {
    log.info({ tenant, timeline }, 'a timeline that was never completed is removed');
    fileSystem.removeDirectory(directory);
    return undefined;
  }
  try {
    const index = decodeIndex(bytes, path);
    if (index.tenant !== tenant || index.timeline !== timeline)
      throw new CorruptionError('the index is that of another timeline', { source: path });
    return { index, here: removeOrphans(fileSystem, directory, index, log) };
  } catch (error) {
    if (!(error instanceof CorruptionError)) throw error;
    log.warn({ tenant, timeline, err: error }, 'a timeline cannot be opened');
    return { tenant, timeline, error };
  }
}

/** Removes what the index does not name; gives what there is of it. */
function removeOrphans(
  fileSystem: FileSystem,
  directory: string,
  index: TimelineIndex,
  log: StorageLog,
): ReadonlySet<string> {
  const layers = layersDirectory(directory);
  const here = new Set(fileSystem.list(layers));
  const namedHere = index.layers.reduce((count, { fileName }) => count + (here.has(fileName) ? 1 : 0), 0);
  if (namedHere === here.size) return here;
  const named = new Set(index.layers.map((layer) => layer.fileName));
  for (const fileName of here) {
    if (named.has(fileName)) continue;
    here.delete(fileName);
    log.info(
      { tenant: index.tenant, timeline: index.timeline, fileName },
      'a layer file that no index names is removed',
    );
    fileSystem.unlink(`${layers}/${fileName}`);
  }
  return here;
}

/** Ancestors before their branches. What has no path to a root comes last, and fails to open for the lack of its ancestor. */
function ancestorsFirst(timelines: readonly SoundTimeline[]): readonly SoundTimeline[] {
  const sorted: SoundTimeline[] = [];
  const done = new Set<TimelineId>();
  let waiting = [...timelines];
  for (;;) {
    const ready = waiting.filter(({ index }) => index.ancestor === undefined || done.has(index.ancestor.timeline));
    if (ready.length === 0) return [...sorted, ...waiting];
    for (const { index } of ready) done.add(index.timeline);
    sorted.push(...ready);
    waiting = waiting.filter(({ index }) => !done.has(index.timeline));
  }
}
