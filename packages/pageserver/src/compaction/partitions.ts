import type { Lsn } from '@zenith/base';
import { ObjectKind } from '../key-space/object.ts';
import { NO_OBJECT, type ObjectId, type ObjectTable } from '../key-space/object-table.ts';
import { type KeyRange, STORED_KEY_MAX, STORED_KEY_MIN, type StoredKey } from '../key-space/stored-key.ts';
import type { LayerFile, Segment } from '../layers/layer-file.ts';
import { LayerKind } from '../layers/layer-format.ts';
import type { Tier } from '../layers/layer-map.ts';
import type { SlicedWork } from '../timeline/slices.ts';
import type { TimelineView } from '../timeline/view.ts';
import type { CompactionSource } from './compaction-source.ts';

/** Blocks [firstBlock, endBlock) of an object. */
export interface Extent {
  readonly object: ObjectId;
  readonly firstBlock: number;
  readonly endBlock: number;
}

/** A key range that gets its image layers together, and what exists in it at one LSN. */
export interface Partition {
  readonly keys: KeyRange;
  /** In key order. */
  readonly extents: Extent[];
}

/** Hexadecimal digits of a stored key before those of the block. */
const OBJECT_DIGITS = 28;

/** Above every LSN: for searches by block alone. */
const LSN_MAX = Number.MAX_SAFE_INTEGER as Lsn;

/** Where partitions begin: at the keys where image layers do, the timeline's own and those it has from its ancestors. */
function bounds(view: TimelineView): StoredKey[] {
  const found = new Set<StoredKey>([STORED_KEY_MIN]);
  for (let at: TimelineView | undefined = view; at !== undefined; at = at.ancestorView?.view) {
    for (const { layer } of at.layerMap.placed) {
      if (layer.identity.kind === LayerKind.image) found.add(layer.name.keys.start);
    }
  }
  return [...found].sort();
}

/** Pages of an object at `lsn`; small objects have one block or none. */
function blockCount({ reader, view }: CompactionSource, object: ObjectId, lsn: Lsn): number {
  const kind = view.objects.kind(object);
  if (kind === ObjectKind.relation || kind === ObjectKind.slru) return Math.max(0, reader.readSize(view, object, lsn));
  const value = reader.readSmall(view, object, lsn);
  return value === undefined || value.length === 0 ? 0 : 1;
}

/**
 * Every partition of a timeline with what exists in it at `lsn`: the key space is what the sizes and the small values say, so that dropped relations and truncated blocks are in no
 * partition. Objects whose size cannot be read are left out.
 */
export function* partitionsAt(source: CompactionSource, lsn: Lsn): SlicedWork<readonly Partition[]> {
  const { view } = source;
  const starts = bounds(view);
  const partitions: Partition[] = starts.map((start, i) => ({
    keys: { start, end: starts[i + 1] ?? STORED_KEY_MAX },
    extents: [],
  }));
  let current = 0;
  for (const kind of Object.values(ObjectKind)) {
    for (const object of view.objects.sorted(kind).slice()) {
      yield undefined;
      const count = readableCount(source, object, lsn);
      if (count === 0) continue;
      const firstKey = view.objects.storedKey(object, 0);
      while (current + 1 < partitions.length && (starts[current + 1] as StoredKey) <= firstKey) current++;
      let from = 0;
      while (
        current + 1 < partitions.length &&
        (starts[current + 1] as StoredKey).slice(0, OBJECT_DIGITS) === firstKey.slice(0, OBJECT_DIGITS)
      ) {
        const split = Number.parseInt((starts[current + 1] as StoredKey).slice(OBJECT_DIGITS, OBJECT_DIGITS + 8), 16);
        if (split >= count) break;
        if (split > from)
          (partitions[current] as Partition).extents.push({ object, firstBlock: from, endBlock: split });
        from = Math.max(from, split);
        current++;
      }
      (partitions[current] as Partition).extents.push({ object, firstBlock: from, endBlock: count });
    }
  }
  return partitions;
}

function readableCount(source: CompactionSource, object: ObjectId, lsn: Lsn): number {
  try {
    return object === NO_OBJECT ? 0 : blockCount(source, object, lsn);
  } catch {
    // A corrupt layer: the object keeps its deltas, readers get the error.
    return 0;
  }
}

/** How many bytes of a tier belong to the extents of a partition, about and before compression: chunks of a layer count alike. Unit: bytes. */
export function bytesOfTier(tier: Tier, partition: Partition): number {
  let bytes = 0;
  for (const extent of partition.extents) {
    for (const segment of tier.segmentsOf(extent.object)) {
      if (segment.lastBlock < extent.firstBlock || segment.firstBlock >= extent.endBlock) continue;
      bytes += entriesBetween(segment, extent) * bytesPerEntry(segment.layer);
    }
  }
  return bytes;
}

function entriesBetween(segment: Segment, extent: Extent): number {
  if (segment.firstBlock >= extent.firstBlock && segment.lastBlock < extent.endBlock) return segment.entryCount;
  // Without its file: as if they were spread evenly.
  if (!segment.layer.isResident) {
    const blocks = Math.min(segment.lastBlock + 1, extent.endBlock) - Math.max(segment.firstBlock, extent.firstBlock);
    return Math.round((segment.entryCount * blocks) / (segment.lastBlock + 1 - segment.firstBlock));
  }
  const last = segment.layer.search(segment, extent.endBlock - 1, LSN_MAX);
  const before = extent.firstBlock === 0 ? -1 : segment.layer.search(segment, extent.firstBlock - 1, LSN_MAX);
  return Math.max(0, last - Math.max(before, segment.firstEntry - 1));
}

function bytesPerEntry(layer: LayerFile): number {
  return layer.dataBytes / layer.entryCount;
}

/** Number of pages and small values in a partition. */
export function keysOf(partition: Partition, objects: ObjectTable): number {
  return partition.extents.reduce(
    (sum, extent) =>
      sum +
      (objects.kind(extent.object) === ObjectKind.relation || objects.kind(extent.object) === ObjectKind.slru
        ? extent.endBlock - extent.firstBlock
        : 1),
    0,
  );
}
