import { chainImages } from '../compaction/chain-images.ts';
import { ChainWriter } from '../compaction/chain-writer.ts';
import type { CompactionSource } from '../compaction/compaction-source.ts';
import { FrozenKeys, OldestFirst } from '../layers/frozen-keys.ts';
import { EntryScratch, type InMemoryLayer } from '../layers/in-memory-layer.ts';
import { LayerKind } from '../layers/layer-format.ts';
import { LayerSetWriter } from '../layers/layer-set-writer.ts';
import type { WrittenLayer } from '../layers/layer-writer.ts';
import { runInSlices, type SlicedWork } from './slices.ts';

/** Keys written between two looks at the clock. */
const KEYS_PER_STEP = 4;

/** Values written between two looks at the clock. */
const VALUES_PER_STEP = 64;

/**
 * Writes a frozen layer, which holds a value and is the oldest that `source` sees, to an L0 layer file.
 * @returns it whole and synced, in no index yet
 * @throws whatever the file system throws; the signal's reason
 */
export async function writeLevelZero(
  source: CompactionSource,
  frozen: InMemoryLayer,
  signal: AbortSignal,
): Promise<readonly WrittenLayer[]> {
  const { tenant, timeline, layersDirectory, fileSystem, options, now, view } = source;
  const target = new LayerSetWriter(
    {
      fileSystem,
      directory: layersDirectory,
      tenant,
      timeline,
      objects: view.objects,
      kind: LayerKind.delta,
      lsnStart: frozen.lsnStart,
      lsnEnd: frozen.lsnEnd,
      // They are soon merged: what packing them would save of the disk is not worth what it takes from ingest, and from each read of what is new.
      compression: 'none',
    },
    () => source.nextGeneration(),
    Number.POSITIVE_INFINITY,
  );
  const chain = new ChainWriter(target, chainImages(source));
  try {
    await runInSlices(writeKeys(frozen, chain, source), { sliceMs: options.sliceMs, now, signal });
    return await target.finish();
  } catch (error) {
    target.abandon();
    throw error;
  }
}

function* writeKeys(frozen: InMemoryLayer, chain: ChainWriter, { view }: CompactionSource): SlicedWork<void> {
  const keys = yield* FrozenKeys.sort(frozen, view.objects);
  const values = new OldestFirst();
  const value = new EntryScratch();
  for (let i = 0; i < keys.count; i++) {
    const object = keys.object(i);
    const block = keys.block(i);
    const count = values.collect(frozen, object, block, value);
    for (let n = 0; n < count; n++) {
      frozen.entry(values.entry(n, count), value);
      chain.add(object, block, value.lsn, value.kind, value.slab.bytes, value.slab.view, value.offset, value.length);
      if (n % VALUES_PER_STEP === VALUES_PER_STEP - 1) yield undefined;
    }
    if (i % KEYS_PER_STEP === KEYS_PER_STEP - 1) yield undefined;
  }
}
