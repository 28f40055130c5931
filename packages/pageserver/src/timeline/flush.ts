import { assert, type Lsn } from '@zenith/base';
import { sourceOf } from '../compaction/compaction-source.ts';
import { handOver } from '../compaction/hand-over.ts';
import type { InMemoryLayer } from '../layers/in-memory-layer.ts';
import type { WrittenLayer } from '../layers/layer-writer.ts';
import { WorkerLostError } from '../workers/job-duties.ts';
import type { TimelineState } from './timeline-state.ts';
import { writeLevelZero } from './write-level-zero.ts';

/**
 * Writes the oldest frozen layer of `state` to an L0 layer, publishes it, and drops the frozen layer in the same turn. Only then does the disk-consistent LSN
 * move: when anything fails it stays, and the layer stays readable in memory. With workers, one of them writes the file, out of the memory that readers here go on to use; when it is lost, this thread does.
 * @throws whatever the file system throws; the signal's reason
 */
export async function flushOldest(state: TimelineState, signal: AbortSignal): Promise<void> {
  const frozen = state.memoryLayers.at(-1);
  assert(frozen !== undefined && frozen.frozen, 'a flush needs a frozen layer');
  const { shared } = state;
  const started = shared.now();
  const added = frozen.valueCount === 0 ? [] : await written(state, frozen, signal);
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

async function written(
  state: TimelineState,
  frozen: InMemoryLayer,
  signal: AbortSignal,
): Promise<readonly WrittenLayer[]> {
  try {
    if (frozen.valueBytes >= state.shared.options.workerFlushBytes) {
      const { shared: layer } = frozen;
      const handedOver = handOver(state, { kind: 'flush', layer, objects: state.objects.shared }, signal);
      if (handedOver !== undefined) return (await handedOver).added;
    }
  } catch (error) {
    if (!(error instanceof WorkerLostError)) throw error;
    const { tenant, timeline, shared } = state;
    shared.log.warn({ tenant, timeline, err: error }, 'a worker was lost: the layer is written without one');
  }
  return await writeLevelZero(sourceOf(state), frozen, signal);
}
