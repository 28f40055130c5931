import { AssertionError, CorruptionError, type Lsn } from '@zenith/base';
import { BLCKSZ } from '@zenith/pg-format';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import { LayerKind } from '../layers/layer-format.ts';
import type { Tier } from '../layers/layer-map.ts';
import { LayerSetWriter } from '../layers/layer-set-writer.ts';
import { LayerFetches } from '../timeline/fetch-layers.ts';
import { ancestorsAreIngested } from '../timeline/require-lsn.ts';
import { runInSlices, type SlicedWork } from '../timeline/slices.ts';
import type { TimelineState } from '../timeline/timeline-state.ts';
import { bytesOfTier, type Extent, keysOf, type Partition, partitionsAt } from './partitions.ts';

/** Pages rebuilt between two looks at the clock. */
const PAGES_PER_STEP = 16;

/** What {@link createImageLayers} did. */
export interface ImageResult {
  /** Layer files written. */
  layers: number;
  /** Pages and values in them. */
  images: number;
  /** Pages left out because they could not be rebuilt. */
  unreadable: number;
}

/** True when the policy gives the partition image layers at `lsn`. README.md has the arithmetic. */
function wantsImages(state: TimelineState, partition: Partition, lsn: Lsn): boolean {
  const { imageTiersMin, imageTiersMax, imageDeltaFraction } = state.shared.options;
  const { tiers } = state.layerMap;
  const last = tiers.find(
    (tier) =>
      tier.kind === LayerKind.image &&
      tier.layers.some(
        (layer) => layer.name.keys.start < partition.keys.end && layer.name.keys.end > partition.keys.start,
      ),
  );
  const above = (tier: Tier): boolean =>
    tier.kind === LayerKind.delta &&
    tier.level === 1 &&
    tier.lsnEnd <= lsn + 1 &&
    (last === undefined || tier.lsnStart > last.lsnStart);
  const sizes = tiers
    .filter(above)
    .map((tier) => bytesOfTier(tier, partition))
    .filter((bytes) => bytes > 0);
  if (sizes.length < imageTiersMin) return false;
  const deltaBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
  return sizes.length >= imageTiersMax || deltaBytes >= imageDeltaFraction * keysOf(partition, state.objects) * BLCKSZ;
}

/**
 * Writes image layers at `lsn`, the end of the newest compacted deltas, for every partition that the policy names, and publishes them partition by partition. An image layer is only ever a
 * shortcut: a page that is not in it is looked for further down, so that a page that cannot be rebuilt is left out and keeps its history.
 * @throws whatever the file system throws; the signal's reason
 */
export async function createImageLayers(state: TimelineState, lsn: Lsn, signal: AbortSignal): Promise<ImageResult> {
  const { shared } = state;
  const slices = { sliceMs: shared.options.sliceMs, now: shared.now, signal };
  const result: ImageResult = { layers: 0, images: 0, unreadable: 0 };
  // While an ancestor lags, after a restart, no page that reaches into it can be rebuilt.
  if (!ancestorsAreIngested(state)) return result;
  const partitions = await runInSlices(partitionsAt(state, lsn), slices);
  for (const partition of partitions) {
    signal.throwIfAborted();
    if (partition.extents.length === 0 || !wantsImages(state, partition, lsn)) continue;
    const files = new LayerSetWriter(
      {
        fileSystem: shared.access.fileSystem,
        directory: state.layersDirectory,
        tenant: state.tenant,
        timeline: state.timeline,
        objects: state.objects,
        kind: LayerKind.image,
        lsnStart: lsn,
        lsnEnd: (lsn + 1) as Lsn,
        keyStart: partition.keys.start,
      },
      () => state.nextGeneration(),
      shared.options.layerBytesTarget,
    );
    const fetches = new LayerFetches(state, signal);
    let added;
    try {
      await runInSlices(writePartition(state, partition, lsn, files, fetches, result), slices);
      added = await files.finish();
    } catch (error) {
      files.abandon();
      throw error;
    } finally {
      fetches.release();
    }
    if (added.length === 0) continue;
    await state.publish({ added, level: 1, removed: new Set() });
    result.layers += added.length;
  }
  return result;
}

function* writePartition(
  state: TimelineState,
  partition: Partition,
  lsn: Lsn,
  files: LayerSetWriter,
  fetches: LayerFetches,
  result: ImageResult,
): SlicedWork<void> {
  const pages = new Uint8Array(PAGES_PER_STEP * BLCKSZ);
  for (const extent of partition.extents) {
    const kind = state.objects.kind(extent.object);
    if (kind !== ObjectKind.relation && kind !== ObjectKind.slru) {
      const ended = files.endIfFull(extent.object, 0);
      if (ended !== undefined) yield ended;
      writeSmall(state, extent, lsn, files, result);
      yield undefined;
      continue;
    }
    for (let block = extent.firstBlock; block < extent.endBlock; block += PAGES_PER_STEP) {
      const count = Math.min(PAGES_PER_STEP, extent.endBlock - block);
      const read = yield* readable(state, extent, block, count, lsn, pages, fetches);
      for (let i = 0; i < count; i++) {
        const into = pages.subarray(i * BLCKSZ, (i + 1) * BLCKSZ);
        if (!read && !(yield* readable(state, extent, block + i, 1, lsn, into, fetches))) {
          result.unreadable++;
          continue;
        }
        const ended = files.endIfFull(extent.object, block + i);
        if (ended !== undefined) yield ended;
        files.add(extent.object, block + i, lsn, ValueKind.image, pages, i * BLCKSZ, BLCKSZ);
        result.images++;
      }
      yield undefined;
    }
  }
}

/** Reads pages, after layers that are not on this disk were fetched; false when one of the pages cannot be rebuilt. */
function* readable(
  state: TimelineState,
  extent: Extent,
  block: number,
  count: number,
  lsn: Lsn,
  into: Uint8Array,
  fetches: LayerFetches,
): SlicedWork<boolean> {
  for (;;) {
    try {
      state.shared.reader.readPages(state, extent.object, block, count, lsn, into, 0);
      return true;
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      const remedy = fetches.remedy(error);
      if (remedy === undefined) return false;
      let isLost = false;
      yield remedy.catch((reason: unknown) => {
        if (!(reason instanceof CorruptionError)) throw reason;
        isLost = true;
      });
      if (isLost) return false;
    }
  }
}

function writeSmall(state: TimelineState, extent: Extent, lsn: Lsn, files: LayerSetWriter, result: ImageResult): void {
  try {
    const value = state.shared.reader.readSmall(state, extent.object, lsn);
    if (value === undefined || value.length === 0) return;
    files.add(extent.object, 0, lsn, ValueKind.image, value, 0, value.length);
    result.images++;
  } catch (error) {
    if (error instanceof AssertionError) throw error;
    result.unreadable++;
  }
}
