import type { Lsn } from '@zenith/base';
import { AbsentLayerError } from '../layers/absent-layer-error.ts';
import type { LayerFile } from '../layers/layer-file.ts';
import { LayerKind } from '../layers/layer-format.ts';
import type { Tier } from '../layers/layer-map.ts';
import { LayerFetches } from '../timeline/fetch-layers.ts';
import { removeFiles } from '../timeline/remove-files.ts';
import { ALL_KEYS, requireOpen, requireSmallObjects } from '../timeline/require-layers.ts';
import type { TimelineState } from '../timeline/timeline-state.ts';
import { WorkerLostError } from '../workers/job-duties.ts';
import { sourceOf } from './compaction-source.ts';
import { handOver } from './hand-over.ts';
import { createImageLayers, type ImageResult } from './image-layers.ts';
import { mergeRun, type MergedRun } from './merge-run.ts';

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
 * time; it is the only one to remove layer files. Reads see the old layers or the new ones, never a mixture. Nothing of history is dropped. With workers, files are read and written by one of them, and only published here; when it
 * is lost, what is left to do is begun anew once.
 * @throws AbsentLayerError when layers have to be fetched before it is begun anew; what it has published stays; CorruptionError naming a corrupt layer, which then stays as it is; whatever the file system throws; WorkerLostError;
 *   the signal's reason
 */
export async function compact(state: TimelineState, threshold: number, signal: AbortSignal): Promise<CompactionResult> {
  try {
    return await compactOnce(state, threshold, signal);
  } catch (error) {
    if (!(error instanceof WorkerLostError)) throw error;
    const { tenant, timeline, shared } = state;
    shared.log.warn({ tenant, timeline, err: error }, 'a worker was lost: compaction is begun anew');
    return await compactOnce(state, threshold, signal);
  }
}

async function compactOnce(state: TimelineState, threshold: number, signal: AbortSignal): Promise<CompactionResult> {
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
  const images = newest === undefined ? undefined : await imageLayers(state, (newest.lsnEnd - 1) as Lsn, signal);
  return { mergedLayers, deltaLayers, imageLayers: images?.layers ?? 0, unreadablePages: images?.unreadable ?? 0 };
}

async function mergeLevelZero(state: TimelineState, inputs: readonly Tier[], signal: AbortSignal): Promise<number> {
  const { shared, tenant, timeline } = state;
  const started = shared.now();
  const layers = inputs.flatMap((tier) => tier.layers);
  const { added, images } = await merged(state, layers, signal);
  const removed = new Set(layers);
  await state.publish({ added, level: 1, removed });
  removeFiles(state, removed);
  const milliseconds = Math.round(shared.now() - started);
  shared.log.info(
    { tenant, timeline, merged: layers.length, layers: added.length, images, milliseconds },
    'layers compacted',
  );
  return added.length;
}

function merged(state: TimelineState, layers: readonly LayerFile[], signal: AbortSignal): Promise<MergedRun> {
  const inputs = layers.map((layer) => state.fileNameOf(layer));
  return handOver(state, { kind: 'merge', inputs }, signal) ?? mergeRun(sourceOf(state), layers, signal);
}

async function imageLayers(
  state: TimelineState,
  lsn: Lsn,
  signal: AbortSignal,
): Promise<Pick<ImageResult, 'layers' | 'unreadable'>> {
  const handedOver = handOver(state, { kind: 'images', lsn }, signal);
  if (handedOver !== undefined) {
    const { imageLayers: layers, unreadable } = await handedOver;
    return { layers, unreadable };
  }
  const duties = {
    fetches: () => new LayerFetches(state, signal),
    publish: (added: MergedRun['added']) => state.publish({ added, level: 1, removed: new Set() }),
  };
  return await createImageLayers(sourceOf(state), lsn, duties, signal);
}
