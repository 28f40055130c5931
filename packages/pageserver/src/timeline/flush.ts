import { assert, type Lsn } from '@zenith/base';
import { chainImages } from '../compaction/chain-images.ts';
import { ChainWriter } from '../compaction/chain-writer.ts';
import { sourceOf } from '../compaction/compaction-source.ts';
import { FrozenKeys, OldestFirst } from '../layers/frozen-keys.ts';
import { EntryScratch, type InMemoryLayer } from '../layers/in-memory-layer.ts';
import { LayerKind } from '../layers/layer-format.ts';
import { LayerSetWriter } from '../layers/layer-set-writer.ts';
import type { WrittenLayer } from '../layers/layer-writer.ts';
import { runInSlices, type SlicedWork } from './slices.ts';
import type { TimelineState } from './timeline-state.ts';

/** Keys written between two looks at the clock. */
const KEYS_PER_STEP = 32;

/** Values written between two looks at the clock. */
const VALUES_PER_STEP = 256;

/**
 * Writes the oldest frozen layer of `state` to an L0 layer, publishes it, and drops the frozen layer in the same turn. Only then does the disk-consistent LSN
 * move: when anything fails it stays, and the layer stays readable in memory.
 * @throws whatever the file system throws; the signal's reason
 */
export async function flushOldest(state: TimelineState, signal: AbortSignal): Promise<void> {
  const frozen = state.memoryLayers.at(-1);
  assert(frozen !== undefined && frozen.frozen, 'a flush needs a frozen layer');
  const { shared } = state;
  const started = shared.now();
  const added = frozen.valueCount === 0 ? [] : await writeLevelZero(state, frozen, signal);
  const diskConsistentLsn = (frozen.lsnEnd - 1) as Lsn;
  await state.publish({
    added,
    level: 0,
    removed: new Set(),
    diskConsistentLsn,
    whenPublished: () => {
      state.memoryLayers = state.memoryLayers.filter((layer) => layer !== frozen);
    },
  });
  shared.log.info(
    {
      tenant: state.tenant,
      timeline: state.timeline,
      diskConsistentLsn,
      values: frozen.valueCount,
      bytes: added[0]?.fileBytes ?? 0,
      milliseconds: Math.round(shared.now() - started),
    },
    'layer flushed',
  );
  frozen.drop();
}

async function writeLevelZero(
  state: TimelineState,
  frozen: InMemoryLayer,
  signal: AbortSignal,
): Promise<readonly WrittenLayer[]> {
  const { shared, objects } = state;
  const { options } = shared;
  const target = new LayerSetWriter(
    {
      fileSystem: shared.access.fileSystem,
      directory: state.layersDirectory,
      tenant: state.tenant,
      timeline: state.timeline,
      objects,
      kind: LayerKind.delta,
      lsnStart: frozen.lsnStart,
      lsnEnd: frozen.lsnEnd,
    },
    () => state.nextGeneration(),
    Number.POSITIVE_INFINITY,
  );
  const chain = new ChainWriter(target, chainImages(sourceOf(state)));
  try {
    await runInSlices(writeKeys(frozen, chain, state), { sliceMs: options.sliceMs, now: shared.now, signal });
    return await target.finish();
  } catch (error) {
    target.abandon();
    throw error;
  }
}

function* writeKeys(frozen: InMemoryLayer, chain: ChainWriter, state: TimelineState): SlicedWork<void> {
  const keys = yield* FrozenKeys.sort(frozen, state.objects);
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
