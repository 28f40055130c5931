import { assert } from '@zenith/base';
import type { LayerFile } from '../layers/layer-file.ts';
import { LayerKind } from '../layers/layer-format.ts';
import { LayerSetWriter } from '../layers/layer-set-writer.ts';
import type { WrittenLayer } from '../layers/layer-writer.ts';
import { runInSlices } from '../timeline/slices.ts';
import { chainImages } from './chain-images.ts';
import { ChainWriter } from './chain-writer.ts';
import type { CompactionSource } from './compaction-source.ts';
import { mergeLayers } from './merge-layers.ts';

/** What {@link mergeRun} wrote. */
export interface MergedRun {
  /** Whole and synced, in no index yet. */
  readonly added: readonly WrittenLayer[];
  /** Images put between values. */
  readonly images: number;
}

/**
 * Merges L0 layers into one run of delta layers cut by key. What it has written is removed when it fails.
 * @param layers oldest first, at least one
 * @throws CorruptionError naming a layer; whatever the file system throws; the signal's reason
 */
export async function mergeRun(
  source: CompactionSource,
  layers: readonly LayerFile[],
  signal: AbortSignal,
): Promise<MergedRun> {
  const { tenant, timeline, layersDirectory, fileSystem, options, now, view } = source;
  const [oldest, newest] = [layers[0], layers.at(-1)];
  assert(oldest !== undefined && newest !== undefined, 'a run is made of at least one layer');
  const files = new LayerSetWriter(
    {
      fileSystem,
      directory: layersDirectory,
      tenant,
      timeline,
      objects: view.objects,
      kind: LayerKind.delta,
      lsnStart: oldest.name.lsnStart,
      lsnEnd: newest.name.lsnEnd,
      compression: options.compression,
    },
    () => source.nextGeneration(),
    options.layerBytesTarget,
  );
  const chain = new ChainWriter(files, chainImages(source));
  try {
    await runInSlices(mergeLayers(view.objects, layers, chain, files), { sliceMs: options.sliceMs, now, signal });
    return { added: await files.finish(), images: chain.imageCount };
  } catch (error) {
    files.abandon();
    throw error;
  }
}
