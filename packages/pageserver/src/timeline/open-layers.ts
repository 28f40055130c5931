import type { KeyRange } from '../key-space/stored-key.ts';
import { runInSlices, type SlicedWork } from './slices.ts';
import type { TimelineState } from './timeline-state.ts';
import type { TimelineView } from './view.ts';

/**
 * Opens the layers that may hold keys of the range and whose files are here, in the timeline and in its ancestors, in slices: for background work, which looks at so many of them that doing it in one turn would keep
 * reads waiting.
 * @throws CorruptionError; the signal's reason
 */
export function openLayers(state: TimelineState, keys: KeyRange, signal: AbortSignal): Promise<void> {
  const { options, now } = state.shared;
  return runInSlices(openOneByOne(state, keys), { sliceMs: options.sliceMs, now, signal });
}

function* openOneByOne(view: TimelineView, keys: KeyRange): SlicedWork<void> {
  for (let at: TimelineView | undefined = view; at !== undefined; at = at.ancestorView?.view)
    for (const tier of at.layerMap.tiers)
      for (const layer of tier.closedIn(keys)) {
        layer.openHere(at.objects);
        yield undefined;
      }
}
