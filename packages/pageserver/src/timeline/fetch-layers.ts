import { assert } from '@zenith/base';
import { AbsentLayerError } from './absent-layer.ts';
import type { TimelineState } from './timeline-state.ts';

/**
 * Fetches the layer that a read of `state` found absent; it may be an ancestor's. Reads of other layers go on.
 * @param signal gives up the wait; the fetch goes on for others
 * @throws CorruptionError; RemoteStorageError; what the file system throws; the signal's reason
 */
export async function fetchAbsent(
  state: TimelineState,
  { view, layer }: AbsentLayerError,
  signal: AbortSignal,
): Promise<void> {
  let owner: TimelineState | undefined = state;
  while (owner !== undefined && owner !== view) owner = owner.ancestor?.state;
  const { remote } = state.shared;
  assert(owner !== undefined && remote !== undefined, 'an absent layer is of the timeline or of an ancestor');
  const { tenant, timeline, layersDirectory } = owner;
  const fileName = layer.path.slice(layersDirectory.length + 1);
  const found = owner;
  await orAborted(signal, async () => {
    await remote.fetch(tenant, timeline, layersDirectory, fileName);
    await found.becameResident(layer);
  });
}

/** Runs `read`, again from its beginning each time it found a layer absent and that was fetched. @throws as `read` and {@link fetchAbsent} */
export async function fetching<T>(state: TimelineState, signal: AbortSignal, read: () => T | Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await read();
    } catch (error) {
      if (!(error instanceof AbsentLayerError)) throw error;
      await fetchAbsent(state, error, signal);
    }
  }
}

/** What `work` gives, or the signal's reason when that comes first. */
async function orAborted(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  signal.throwIfAborted();
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    await Promise.race([work(), aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
