import { assert, type Lsn } from '@zenith/base';
import { KeyRanges } from '../key-space/key-ranges.ts';
import type { ObjectId, ObjectTable } from '../key-space/object-table.ts';
import type { KeyRange } from '../key-space/stored-key.ts';
import type { LayerFile, Segment } from './layer-file.ts';
import { LayerKind } from './layer-format.ts';

/** A layer file in its place: 0 for a delta layer as it was flushed, 1 for what compaction made of such and for image layers. */
export interface PlacedLayer {
  readonly layer: LayerFile;
  readonly level: 0 | 1;
}

/**
 * Layers that cover the same LSNs and no key twice: one L0 layer, the key-partitioned layers that one compaction made of some, or the image layers of one
 * LSN. Knows for each object which segments hold it, so that a read skips a tier without the object after one look-up.
 */
export class Tier {
  readonly kind: LayerKind;
  readonly level: 0 | 1;
  readonly lsnStart: Lsn;
  readonly lsnEnd: Lsn;
  /** In key order. */
  readonly layers: readonly LayerFile[];
  /** Those in which a look-up finds nothing yet: closed when it was last seen to. Another tier may have opened one since, by the same layer file. */
  #closed: ReadonlySet<LayerFile> = new Set();
  /** Where the layers are, for look-ups while some are closed. */
  #ranges: KeyRanges | undefined;
  readonly #segments = new Map<ObjectId, Segment | readonly Segment[]>();

  /** @param layers of one kind and one LSN range, with disjoint keys; at least one */
  constructor(level: 0 | 1, layers: readonly LayerFile[]) {
    const first = layers[0];
    assert(first !== undefined, 'a tier has a layer');
    this.kind = first.identity.kind;
    this.level = level;
    this.lsnStart = first.name.lsnStart;
    this.lsnEnd = first.name.lsnEnd;
    this.layers = layers.toSorted((a, b) => (a.name.keys.start < b.name.keys.start ? -1 : 1));
    let before: LayerFile | undefined;
    for (const layer of this.layers) {
      // A look-up opens at most one of them for a key.
      assert(
        before === undefined || before.name.keys.end <= layer.name.keys.start,
        'the layers of a tier hold disjoint keys',
      );
      before = layer;
      assert(
        layer.identity.kind === this.kind && layer.name.lsnStart === this.lsnStart && layer.name.lsnEnd === this.lsnEnd,
        'the layers of a tier cover the same LSNs',
      );
    }
    this.layerOpened();
  }

  /** True while layers are closed: what is in them no look-up finds. */
  get isPartlyClosed(): boolean {
    return this.#closed.size > 0;
  }

  /** A layer of the tier has been opened: look-ups find from now on what is in it. */
  layerOpened(): void {
    this.#closed = new Set(this.layers.filter((layer) => !layer.isOpen));
    if (this.#closed.size === 0) this.#ranges = undefined;
    this.#segments.clear();
    for (const layer of this.layers) {
      for (const segment of layer.segments) {
        const known = this.#segments.get(segment.object);
        this.#segments.set(
          segment.object,
          known === undefined ? segment : 'layer' in known ? [known, segment] : [...known, segment],
        );
      }
    }
  }

  /**
   * Opens the closed layer that may hold (object, block), if there is one and its file is here. Takes no longer than a few look-ups when there is none.
   * @returns it when its file is not here
   * @throws CorruptionError
   */
  openAt(object: ObjectId, block: number, objects: ObjectTable): LayerFile | undefined {
    if (this.#closed.size === 0) return undefined;
    this.#ranges ??= new KeyRanges(this.layers.length, (index) => (this.layers[index] as LayerFile).name.keys);
    const layer = this.layers[this.#ranges.find(objects, object, block)];
    if (layer === undefined || !this.#closed.has(layer)) return undefined;
    if (!layer.openHere(objects)) return layer;
    this.layerOpened();
    return undefined;
  }

  /**
   * Opens the closed layers that may hold keys of the range, as far as their files are here.
   * @returns those that are not
   * @throws CorruptionError
   */
  open(keys: KeyRange, objects: ObjectTable): readonly LayerFile[] {
    const closed = this.closedIn(keys);
    if (closed.length === 0) return closed;
    const absent = closed.filter((layer) => !layer.openHere(objects));
    if (absent.length < closed.length) this.layerOpened();
    return absent;
  }

  /** The closed layers that may hold keys of the range. */
  closedIn(keys: KeyRange): readonly LayerFile[] {
    return [...this.#closed].filter(({ name }) => name.keys.start < keys.end && name.keys.end > keys.start);
  }

  /** Every segment of an object, in the order of their blocks. */
  segmentsOf(object: ObjectId): readonly Segment[] {
    const found = this.#segments.get(object);
    return found === undefined ? [] : 'layer' in found ? [found] : found;
  }

  /** The segment that may hold (object, block), or undefined. */
  segment(object: ObjectId, block: number): Segment | undefined {
    const found = this.#segments.get(object);
    if (found === undefined) return undefined;
    if ('layer' in found) return block >= found.firstBlock && block <= found.lastBlock ? found : undefined;
    let low = 0;
    let high = found.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((found[middle] as Segment).firstBlock <= block) low = middle;
      else high = middle - 1;
    }
    const segment = found[low] as Segment;
    return block >= segment.firstBlock && block <= segment.lastBlock ? segment : undefined;
  }
}

/** Layers of the same name are in the same tier. */
function tierName(level: number, layer: LayerFile): string {
  return `${level} ${layer.identity.kind} ${layer.name.lsnStart} ${layer.name.lsnEnd}`;
}

function tiersOf(placed: readonly PlacedLayer[]): readonly Tier[] {
  const groups = new Map<string, PlacedLayer[]>();
  for (const one of placed) {
    const name = tierName(one.level, one.layer);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [one]);
    else group.push(one);
  }
  return [...groups.values()].map(
    (group) =>
      new Tier(
        (group[0] as PlacedLayer).level,
        group.map(({ layer }) => layer),
      ),
  );
}

/** Negative when tier `a` is read before tier `b`, because it may hold newer values. An image at an LSN includes the deltas up to it and comes before them. */
function newerFirst(a: Tier, b: Tier): number {
  return b.lsnEnd - a.lsnEnd || b.kind - a.kind || b.lsnStart - a.lsnStart;
}

/**
 * The layer files of a timeline at one moment, newest tier first. Never changes: a flush or a compaction makes the next map, and a reader that began with this
 * one reads it to its end.
 */
export class LayerMap {
  readonly tiers: readonly Tier[];
  /** Every layer with its level. */
  readonly placed: readonly PlacedLayer[];

  /** @throws AssertionError when delta tiers overlap */
  constructor(placed: readonly PlacedLayer[], tiers = tiersOf(placed)) {
    this.placed = placed;
    this.tiers = tiers.toSorted(newerFirst);
    let below = Number.POSITIVE_INFINITY;
    for (const tier of this.tiers) {
      if (tier.kind !== LayerKind.delta) continue;
      assert(tier.lsnEnd <= below, 'delta tiers cover disjoint LSNs');
      below = tier.lsnStart;
    }
  }

  /** The next map: without `removed`, with `added`. Tiers that the change is not about are used again. */
  with(added: readonly PlacedLayer[], removed: ReadonlySet<LayerFile>): LayerMap {
    const stay = removed.size === 0 ? this.placed : this.placed.filter((one) => !removed.has(one.layer));
    const names = new Set(added.map(({ level, layer }) => tierName(level, layer)));
    const tiers: Tier[] = [];
    const changed: PlacedLayer[] = [...added];
    for (const tier of this.tiers) {
      const { level, layers } = tier;
      const left = removed.size === 0 ? layers : layers.filter((layer) => !removed.has(layer));
      if (left.length === layers.length && !names.has(tierName(level, layers[0] as LayerFile))) tiers.push(tier);
      else for (const layer of left) changed.push({ layer, level });
    }
    return new LayerMap([...stay, ...added], [...tiers, ...tiersOf(changed)]);
  }

  /** The delta tiers that were flushed and not compacted yet, newest first. */
  get levelZero(): readonly Tier[] {
    return this.tiers.filter((tier) => tier.level === 0);
  }
}
