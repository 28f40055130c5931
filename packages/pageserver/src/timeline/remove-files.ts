import type { LayerFile } from '../layers/layer-file.ts';
import type { TimelineState } from './timeline-state.ts';

/** Removes files that the index on disk does not name any more. Readers finish within a turn, so none has them; one that is on its way here is removed when it arrives. */
export function removeFiles(state: TimelineState, layers: ReadonlySet<LayerFile>): void {
  const { access, log } = state.shared;
  for (const layer of layers) {
    if (!layer.isResident) continue;
    access.handles.forget(layer.path);
    try {
      access.fileSystem.unlink(layer.path);
    } catch (error) {
      log.warn({ path: layer.path, err: error }, 'a replaced layer could not be removed; the next start removes it');
    }
  }
}
