import type { Lsn } from '@zenith/base';
import { AbsentLayerError } from '../layers/absent-layer-error.ts';
import { LayerKind } from '../layers/layer-format.ts';
import type { Tier } from '../layers/layer-map.ts';
import { LayerSetWriter } from '../layers/layer-set-writer.ts';
import { removeFiles } from '../timeline/remove-files.ts';
import { ALL_KEYS, requireOpen, requireSmallObjects } from '../timeline/require-layers.ts';
import { runInSlices } from '../timeline/slices.ts';
import type { TimelineState } from '../timeline/timeline-state.ts';
import { chainImages } from './chain-images.ts';
import { ChainWriter } from './chain-writer.ts';
import { createImageLayers } from './image-layers.ts';
import { mergeLayers } from './merge-layers.ts';

/** What a compaction did. */
export interface CompactionResult {
  /** L0 layers merged away. */
  readonly mergedLayers: number;
  /** Delta layers made of them. */
  readonly deltaLayers: number;
  /** Image layers written. */
  readonly imageLayers: number;
  /** Pages left out of image layers because they could not be rebuilt. */
  readonly unreadablePages: number;
}

/**
 * Merges the L0 layers of a timeline when there are at least `threshold` of them, then writes image layers where the policy wants them. One compaction of a timeline runs at a
 * time; it is the only one to remove layer files. Reads see the old layers or the new ones, never a mixture. Nothing of history is dropped.
 * @throws AbsentLayerError when layers have to be fetched before it is begun anew; what it has published stays; CorruptionError naming a corrupt layer, which then stays as it is; whatever the file system throws; the signal's reason
 */
export async function compact(state: TimelineState, threshold: number, signal: AbortSignal): Promise<CompactionResult> {
  let mergedLayers = 0;
  let deltaLayers = 0;
  requireOpen(state, ALL_KEYS);
  requireSmallObjects(state);
  for (;;) {
    // Oldest first. They are the newest delta tiers there are, and follow each other.
    const inputs = state.layerMap.levelZero.toReversed().slice(0, state.shared.options.compactionLayersMax);
    if (inputs.length === 0 || inputs.length < threshold) break;
    const absent = inputs.flatMap(({ layers }) => layers.filter(({ isResident }) => !isResident));
    if (absent.length > 0) throw new AbsentLayerError(absent);
    deltaLayers += await mergeLevelZero(state, inputs, signal);
    mergedLayers += inputs.length;
  }
  const newest = state.layerMap.tiers.find((tier) => tier.kind === LayerKind.delta && tier.level === 1);
  const images = newest === undefined ? undefined : await createImageLayers(state, (newest.lsnEnd - 1) as Lsn, signal);
  return { mergedLayers, deltaLayers, imageLayers: images?.layers ?? 0, unreadablePages: images?.unreadable ?? 0 };
}

async function mergeLevelZero(state: TimelineState, inputs: readonly Tier[], signal: AbortSignal): Promise<number> {
  const { shared, objects } = state;
  const { options } = shared;
  const started = shared.now();
  const layers = inputs.flatMap((tier) => tier.layers);
  const files = new LayerSetWriter(
    {
      fileSystem: shared.access.fileSystem,
      directory: state.layersDirectory,
      tenant: state.tenant,
      timeline: state.timeline,
      objects,
      kind: LayerKind.delta,
      lsnStart: (inputs[0] as Tier).lsnStart,
      lsnEnd: (inputs.at(-1) as Tier).lsnEnd,
    },
    () => state.nextGeneration(),
    options.layerBytesTarget,
  );
  const chain = new ChainWriter(files, chainImages(state));
  let added;
  try {
    await runInSlices(mergeLayers(objects, layers, chain, files), {
      sliceMs: options.sliceMs,
      now: shared.now,
      signal,
    });
    added = await files.finish();
  } catch (error) {
    files.abandon();
    throw error;
  }
  const removed = new Set(layers);
  await state.publish({ added, level: 1, removed });
  removeFiles(state, removed);
  shared.log.info(
    {
      tenant: state.tenant,
      timeline: state.timeline,
      merged: layers.length,
      layers: added.length,
      images: chain.imageCount,
      milliseconds: Math.round(shared.now() - started),
    },
    'layers compacted',
  );
  return added.length;
}
