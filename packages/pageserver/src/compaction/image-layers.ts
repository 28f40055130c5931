import { AssertionError, CorruptionError, type Lsn } from '@zenith/base';
import { BLCKSZ } from '@zenith/pg-format';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import { LayerKind } from '../layers/layer-format.ts';
import type { Tier } from '../layers/layer-map.ts';
import { LayerSetWriter } from '../layers/layer-set-writer.ts';
import { ancestorsAreIngested } from '../timeline/require-lsn.ts';
import { runInSlices, type SlicedWork } from '../timeline/slices.ts';
import type { WrittenLayer } from '../layers/layer-writer.ts';
import type { CompactionSource } from './compaction-source.ts';
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

/** Has the layers of one partition on this disk that its pages need. */
export interface ImageFetches {
  /** Undefined when nothing can be done about what a read threw; otherwise the read may be made again when the promise resolves. */
  remedy(error: unknown): Promise<void> | undefined;
  /** What was fetched may go from this disk again. */
  release(): void;
}

/** What image layers need of whom they are written for. */
export interface ImageDuties {
  /** For one partition. */
  fetches(): ImageFetches;
  /** Makes the layers of one partition the timeline's. */
  publish(added: readonly WrittenLayer[]): Promise<void>;
}

/** True when the policy gives the partition image layers at `lsn`. README.md has the arithmetic. */
function wantsImages({ options, view }: CompactionSource, partition: Partition, lsn: Lsn): boolean {
  const { imageTiersMin, imageTiersMax, imageDeltaFraction } = options;
  const { tiers } = view.layerMap;
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
  return sizes.length >= imageTiersMax || deltaBytes >= imageDeltaFraction * keysOf(partition, view.objects) * BLCKSZ;
}

/**
 * Writes image layers at `lsn`, the end of the newest compacted deltas, for every partition that the policy names, and publishes them partition by partition. An image layer is only ever a
 * shortcut: a page that is not in it is looked for further down, so that a page that cannot be rebuilt is left out and keeps its history.
 * @throws whatever the file system throws; the signal's reason
 */
export async function createImageLayers(
  source: CompactionSource,
  lsn: Lsn,
  duties: ImageDuties,
  signal: AbortSignal,
): Promise<ImageResult> {
  const { tenant, timeline, layersDirectory, fileSystem, options, now, view } = source;
  const slices = { sliceMs: options.sliceMs, now, signal };
  const result: ImageResult = { layers: 0, images: 0, unreadable: 0 };
  // While an ancestor lags, after a restart, no page that reaches into it can be rebuilt.
  if (!ancestorsAreIngested(view)) return result;
  const partitions = await runInSlices(partitionsAt(source, lsn), slices);
  for (const partition of partitions) {
    signal.throwIfAborted();
    if (partition.extents.length === 0 || !wantsImages(source, partition, lsn)) continue;
    const files = new LayerSetWriter(
      {
        fileSystem,
        directory: layersDirectory,
        tenant,
        timeline,
        objects: view.objects,
        kind: LayerKind.image,
        lsnStart: lsn,
        lsnEnd: (lsn + 1) as Lsn,
        keyStart: partition.keys.start,
        compression: options.compression,
      },
      () => source.nextGeneration(),
      options.layerBytesTarget,
    );
    const fetches = duties.fetches();
    let added;
    try {
      await runInSlices(writePartition(source, partition, lsn, files, fetches, result), slices);
      added = await files.finish();
    } catch (error) {
      files.abandon();
      throw error;
    } finally {
      fetches.release();
    }
    if (added.length === 0) continue;
    await duties.publish(added);
    result.layers += added.length;
  }
  return result;
}

function* writePartition(
  source: CompactionSource,
  partition: Partition,
  lsn: Lsn,
  files: LayerSetWriter,
  fetches: ImageFetches,
  result: ImageResult,
): SlicedWork<void> {
  const pages = new Uint8Array(PAGES_PER_STEP * BLCKSZ);
  for (const extent of partition.extents) {
    const kind = source.view.objects.kind(extent.object);
    if (kind !== ObjectKind.relation && kind !== ObjectKind.slru) {
      const ended = files.endIfFull(extent.object, 0);
      if (ended !== undefined) yield ended;
      writeSmall(source, extent, lsn, files, result);
      yield undefined;
      continue;
    }
    for (let block = extent.firstBlock; block < extent.endBlock; block += PAGES_PER_STEP) {
      const count = Math.min(PAGES_PER_STEP, extent.endBlock - block);
      const read = yield* readable(source, extent, block, count, lsn, pages, fetches);
      for (let i = 0; i < count; i++) {
        const into = pages.subarray(i * BLCKSZ, (i + 1) * BLCKSZ);
        if (!read && !(yield* readable(source, extent, block + i, 1, lsn, into, fetches))) {
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
  source: CompactionSource,
  extent: Extent,
  block: number,
  count: number,
  lsn: Lsn,
  into: Uint8Array,
  fetches: ImageFetches,
): SlicedWork<boolean> {
  for (;;) {
    try {
      source.reader.readPages(source.view, extent.object, block, count, lsn, into, 0);
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

function writeSmall(
  source: CompactionSource,
  extent: Extent,
  lsn: Lsn,
  files: LayerSetWriter,
  result: ImageResult,
): void {
  try {
    const value = source.reader.readSmall(source.view, extent.object, lsn);
    if (value === undefined || value.length === 0) return;
    files.add(extent.object, 0, lsn, ValueKind.image, value, 0, value.length);
    result.images++;
  } catch (error) {
    if (error instanceof AssertionError) throw error;
    result.unreadable++;
  }
}
