import type { LayerFile } from '../layers/layer-file.ts';
import type { TimelineState } from './timeline-state.ts';

/**
 * Removes files that the index on disk does not name any more. Readers of this process finish within a turn, so none has them; what a worker thread reads is removed when it is done, and one that is on its way here when it
 * arrives.
 */
export function removeFiles(state: TimelineState, layers: ReadonlySet<LayerFile>): void {
  const { access, log, loans } = state.shared;
  for (const layer of layers) {
    if (!layer.isResident) continue;
    loans.whenReturned(layer.path, () => {
      access.handles.forget(layer.path);
      try {
        access.fileSystem.unlink(layer.path);
      } catch (error) {
        log.warn({ path: layer.path, err: error }, 'a replaced layer could not be removed; the next start removes it');
      }
    });
  }
}
