import { assert } from '@zenith/base';
import type { ObjectId, ObjectTable } from '../key-space/object-table.ts';
import type { EntryScratch, InMemoryLayer } from './in-memory-layer.ts';
import { NO_ENTRY } from './key-heads.ts';
import { sortInSlices } from './sort-in-slices.ts';

const BLOCKS = 0x1_0000_0000;

/** The keys of a frozen layer in key order: one number each, rank of the object × 2^32 + block. */
export class FrozenKeys {
  readonly #keys: Float64Array;
  readonly #byRank: readonly ObjectId[];

  private constructor(keys: Float64Array, byRank: readonly ObjectId[]) {
    this.#keys = keys;
    this.#byRank = byRank;
  }

  /** Sorts the keys of `frozen`; can be interrupted at every `yield`. */
  static *sort(frozen: InMemoryLayer, objects: ObjectTable): Generator<undefined, FrozenKeys, undefined> {
    const present = new Set<ObjectId>();
    for (let stripe = 0; stripe < frozen.stripes; stripe++) {
      frozen.forEachKeyInStripe(stripe, (object) => present.add(object as ObjectId));
      yield undefined;
    }
    const byRank = [...present].sort((a, b) => objects.compare(a, b));
    const rankOf = new Map(byRank.map((object, rank) => [object as number, rank]));
    const keys = new Float64Array(frozen.keyCount);
    let count = 0;
    for (let stripe = 0; stripe < frozen.stripes; stripe++) {
      frozen.forEachKeyInStripe(stripe, (object, block) => {
        keys[count++] = (rankOf.get(object) as number) * BLOCKS + block;
      });
      yield undefined;
    }
    assert(count === keys.length, 'a frozen layer has the keys it counted');
    yield* sortInSlices(keys);
    return new FrozenKeys(keys, byRank);
  }

  /** How many keys there are. */
  get count(): number {
    return this.#keys.length;
  }

  /** Object of the i-th key. */
  object(i: number): ObjectId {
    return this.#byRank[Math.floor((this.#keys[i] as number) / BLOCKS)] as ObjectId;
  }

  /** Block of the i-th key. */
  block(i: number): number {
    return (this.#keys[i] as number) % BLOCKS;
  }
}

/** Turns a key's list of values, which runs from the newest to the oldest, round: the way files have it. Reused from key to key. */
export class OldestFirst {
  #entries = new Int32Array(1024);

  /** Collects the values of a key. Returns how many there are. `scratch` is overwritten. */
  collect(layer: InMemoryLayer, object: ObjectId, block: number, scratch: EntryScratch): number {
    let count = 0;
    for (let entry = layer.head(object, block); entry !== NO_ENTRY; entry = scratch.previous) {
      if (count === this.#entries.length) {
        const grown = new Int32Array(count * 2);
        grown.set(this.#entries);
        this.#entries = grown;
      }
      this.#entries[count++] = entry;
      layer.entry(entry, scratch);
    }
    return count;
  }

  /** The entry of the n-th oldest of the `count` values collected. */
  entry(n: number, count: number): number {
    return this.#entries[count - 1 - n] as number;
  }
}
