import { LayerKind } from '../layers/layer-format.ts';
import type { TimelineState } from './timeline-state.ts';

/** What a timeline holds. Sizes in bytes. */
export interface TimelineStatistics {
  /** Memory of open and frozen layers. */
  readonly memoryLayerBytes: number;
  /** Frozen layers that wait for their flush. */
  readonly frozenLayers: number;
  /** L0 delta layers. */
  readonly levelZeroLayers: number;
  /** Compacted delta layers. */
  readonly deltaLayers: number;
  readonly imageLayers: number;
  /** Size of all layer files. */
  readonly layerFileBytes: number;
  /** Layers whose files are only in remote storage. */
  readonly absentLayers: number;
  /** Size of the layer files on this disk. */
  readonly residentFileBytes: number;
  /** Size of the image layers among all. */
  readonly imageFileBytes: number;
  /** Readers waiting for WAL. */
  readonly waiters: number;
  /** What the last flush failed with, while none has succeeded since. */
  readonly flushError: Error | undefined;
  /** What the last compaction failed with, while none has succeeded since. */
  readonly compactionError: Error | undefined;
}

/** Counts what there is. */
export function timelineStatistics(
  state: TimelineState,
  waiters: number,
  flushError: Error | undefined,
  compactionError: Error | undefined,
): TimelineStatistics {
  const counts = {
    levelZeroLayers: 0,
    deltaLayers: 0,
    imageLayers: 0,
    layerFileBytes: 0,
    absentLayers: 0,
    residentFileBytes: 0,
    imageFileBytes: 0,
  };
  for (const { layer, level } of state.layerMap.placed) {
    counts.layerFileBytes += layer.identity.fileBytes;
    if (layer.isResident) counts.residentFileBytes += layer.identity.fileBytes;
    else counts.absentLayers++;
    if (layer.identity.kind === LayerKind.image) {
      counts.imageLayers++;
      counts.imageFileBytes += layer.identity.fileBytes;
    } else if (level === 0) counts.levelZeroLayers++;
    else counts.deltaLayers++;
  }
  return {
    ...counts,
    memoryLayerBytes: state.memoryLayers.reduce((sum, layer) => sum + layer.memoryBytes, 0),
    frozenLayers: state.memoryLayers.filter((layer) => layer.frozen).length,
    waiters,
    flushError,
    compactionError,
  };
}
