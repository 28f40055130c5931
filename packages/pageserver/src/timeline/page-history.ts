import { CorruptionError, type Lsn } from '@zenith/base';
import type { ObjectId } from '../key-space/object-table.ts';
import { ValueKind } from '../key-space/value.ts';
import { EntryScratch, type InMemoryLayer } from '../layers/in-memory-layer.ts';
import { NO_ENTRY } from '../layers/key-heads.ts';
import { IndexEntry, LayerKind, readValueHeader, VALUE_HEADER_BYTES, ValueHeader } from '../layers/layer-format.ts';
import type { LayerFile } from '../layers/layer-file.ts';
import type { Tier } from '../layers/layer-map.ts';
import { requireOpenAt } from './locate.ts';
import type { TimelineView } from './view.ts';

/** One value of a page, as it is stored. */
export interface HistoryValue {
  readonly lsn: Lsn;
  readonly kind: ValueKind;
  /** The caller's own. */
  readonly bytes: Uint8Array;
}

/** The newest values of a page. */
export interface PageHistory {
  /** The newest first. */
  readonly values: readonly HistoryValue[];
  /** True when there are no older ones. */
  readonly complete: boolean;
}

/** How much of a history is wanted. */
export interface HistoryLimits {
  /** At least 1. */
  readonly valuesMax: number;
  /** No further value is added once the values have this many bytes. Unit: bytes. */
  readonly bytesMax: number;
}

/**
 * Everything that changed (object, block) up to `lsn`, through all ancestors. Differs from a read, which ends at the first base: this goes on to where the kept history begins. Images that
 * compaction made, in layers of their own or in the middle of long histories, repeat what older values make and are left out, but for one below which nothing is kept: there it is the beginning.
 * @throws CorruptionError; AbsentLayerError when a layer that is not on this disk may hold a part
 */
export function pageHistory(
  view: TimelineView,
  object: ObjectId,
  block: number,
  lsn: Lsn,
  limits: HistoryLimits,
): PageHistory {
  const collector = new Collector(limits);
  let limit = lsn;
  for (let at: TimelineView | undefined = view; at !== undefined && !collector.full;) {
    for (const layer of at.memoryLayers) if (layer.lsnStart <= limit) addMemory(collector, layer, object, block, limit);
    for (const tier of at.layerMap.tiers) {
      if (tier.lsnStart > limit || collector.full) continue;
      if (tier.isPartlyClosed) requireOpenAt(at, tier, object, block);
      addTier(collector, tier, object, block, limit);
    }
    const ancestor: TimelineView['ancestorView'] = at.ancestorView;
    if (ancestor !== undefined && ancestor.lsn < limit) limit = ancestor.lsn;
    at = ancestor?.view;
  }
  return collector.history();
}

/** Takes values in descending order of their LSNs until there are enough. */
class Collector {
  /** There are enough, and one more. */
  full = false;
  readonly #limits: HistoryLimits;
  readonly #values: HistoryValue[] = [];
  #bytes = 0;
  #oldestImage: HistoryValue | undefined;

  constructor(limits: HistoryLimits) {
    this.#limits = limits;
  }

  /** Copies a value in. */
  add(lsn: Lsn, kind: ValueKind, bytes: Uint8Array, offset: number, length: number): void {
    if (this.full) return;
    const newer = this.#values.at(-1);
    // An image right behind a value of the same LSN is that value's result, which compaction put there.
    if (newer?.kind === ValueKind.image && newer.lsn === lsn) {
      this.#values.pop();
      this.#bytes -= newer.bytes.length;
    }
    if (this.#values.length >= this.#limits.valuesMax || this.#bytes >= this.#limits.bytesMax) {
      this.full = true;
      return;
    }
    this.#bytes += length;
    this.#values.push({ lsn, kind, bytes: bytes.slice(offset, offset + length) });
  }

  /** Remembers an image of an image layer, the oldest last. */
  addRepeated(lsn: Lsn, bytes: Uint8Array): void {
    this.#oldestImage = { lsn, kind: ValueKind.image, bytes };
  }

  history(): PageHistory {
    const oldest = this.#values.at(-1);
    const image = this.#oldestImage;
    const isBeginning = !this.full && image !== undefined && (oldest === undefined || image.lsn < oldest.lsn);
    return { values: isBeginning ? [...this.#values, image] : this.#values, complete: !this.full };
  }
}

function addMemory(collector: Collector, layer: InMemoryLayer, object: ObjectId, block: number, limit: Lsn): void {
  const value = new EntryScratch();
  for (let next = layer.head(object, block); next !== NO_ENTRY && !collector.full; next = value.previous) {
    layer.entry(next, value);
    if (value.lsn <= limit) collector.add(value.lsn, value.kind, value.slab.bytes, value.offset, value.length);
  }
}

function addTier(collector: Collector, tier: Tier, object: ObjectId, block: number, limit: Lsn): void {
  const segment = tier.segment(object, block);
  if (segment === undefined) return;
  const { layer } = segment;
  const entry = new IndexEntry();
  for (let index = layer.search(segment, block, limit); index >= segment.firstEntry && !collector.full; index--) {
    layer.entry(index, entry);
    if (entry.block !== block) return;
    const bytes = readChunk(layer, entry);
    if (tier.kind === LayerKind.image) collector.addRepeated(entry.firstLsn, bytes);
    else if (entry.values === 1) collector.add(entry.firstLsn, entry.firstKind as ValueKind, bytes, 0, bytes.length);
    else addChunk(collector, layer, bytes, limit);
  }
}

function readChunk(layer: LayerFile, entry: IndexEntry): Uint8Array {
  const stored = new Uint8Array(entry.length);
  layer.read(stored, 0, entry.length, entry.offset);
  layer.check(stored, 0, entry);
  if (!entry.isPacked) return stored;
  const bytes = new Uint8Array(layer.unpackedLength(stored, 0, entry.length, entry.offset));
  layer.unpack(stored, 0, entry.length, entry.offset, bytes, 0, bytes.length);
  return bytes;
}

/** Adds the values of a chunk that lie at or below `limit`, in which they ascend. */
function addChunk(collector: Collector, layer: LayerFile, bytes: Uint8Array, limit: Lsn): void {
  const view = new DataView(bytes.buffer);
  const places: { readonly lsn: Lsn; readonly kind: ValueKind; readonly at: number; readonly length: number }[] = [];
  const header = new ValueHeader();
  for (let at = 0; at < bytes.length;) {
    if (at + VALUE_HEADER_BYTES > bytes.length)
      throw new CorruptionError('a chunk ends within a value', { source: layer.path });
    readValueHeader(view, at, header);
    at += VALUE_HEADER_BYTES;
    if (header.length > bytes.length - at)
      throw new CorruptionError('a value reaches beyond its chunk', { source: layer.path });
    if (header.lsn > limit) break;
    places.push({ lsn: header.lsn, kind: header.kind as ValueKind, at, length: header.length });
    at += header.length;
  }
  for (const { lsn, kind, at, length } of places.toReversed()) collector.add(lsn, kind, bytes, at, length);
}
