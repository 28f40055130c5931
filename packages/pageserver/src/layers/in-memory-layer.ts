import { assert, type Lsn } from '@zenith/base';
import { copyBetweenViews } from '@zenith/pg-format';
import type { ObjectId } from '../key-space/object-table.ts';
import type { ValueKind } from '../key-space/value.ts';
import { KeyHeads, NO_ENTRY, type SharedKeyHeads } from './key-heads.ts';
import { SLAB_BYTES, type Slab, slabOver, SlabPool } from './slab.ts';

// An entry lies in a slab, aligned to 8 bytes:
//   previous entry of the key i32 @0 | kind << 28 | length u32 @4 | lsn f64 @8 | value bytes @16
// An entry's name is slab index << 15 | offset >> 3.
const HEADER = 16;
const SLAB_SHIFT = 15;
const OFFSET_MASK = (1 << SLAB_SHIFT) - 1;
const KIND_SHIFT = 28;
const LENGTH_MASK = (1 << KIND_SHIFT) - 1;
const SLABS_MAX = 1 << (31 - SLAB_SHIFT);

/** Longest value that can be stored. Unit: bytes. */
const VALUE_BYTES_MAX = LENGTH_MASK;

/** Up to this length a loop copies faster than a `subarray` and a `set` do. Unit: bytes. */
export const COPY_BY_LOOP_MAX = 96;

/** The same of a copy between views. Unit: bytes. */
export const COPY_BY_VIEW_MAX = 256;

/** Where a value of an in-memory layer lies: filled in place by {@link InMemoryLayer.entry}. */
export class EntryScratch {
  slab!: Slab;
  /** Where the value begins in the slab. Unit: bytes. */
  offset = 0;
  /** Length of the value. Unit: bytes. */
  length = 0;
  kind: ValueKind = 0;
  lsn = 0 as Lsn;
  /** The key's entry before this one, or NO_ENTRY. */
  previous = NO_ENTRY;
}

/** A frozen layer for a worker thread: plain data, and the memory that both read. */
export interface SharedLayer {
  readonly lsnStart: Lsn;
  readonly lsnEnd: Lsn;
  readonly heads: SharedKeyHeads;
  readonly slabs: readonly SharedArrayBuffer[];
  readonly values: number;
  readonly valueBytes: number;
}

/**
 * Takes ingest: an append-only arena of values and, per key, a list of them from the newest to the oldest. Nothing is allocated per value. The
 * values' LSNs never go back. A frozen layer takes no more and is written to an L0 delta layer.
 */
export class InMemoryLayer {
  /** First LSN the layer covers. */
  readonly lsnStart: Lsn;
  readonly #pool: SlabPool;
  readonly #heads: KeyHeads;
  #slabs: Slab[] = [];
  #current: Slab | undefined;
  #currentIndex = 0;
  #used = 0;
  #slabBytes = 0;
  #lastLsn: Lsn;
  #frozenAt: Lsn | undefined;
  #values = 0;
  #valueBytes = 0;

  /** @param lsnStart first LSN the layer covers: no value is below it */
  constructor(lsnStart: Lsn, pool: SlabPool, heads = new KeyHeads()) {
    this.lsnStart = lsnStart;
    this.#lastLsn = lsnStart;
    this.#pool = pool;
    this.#heads = heads;
  }

  /** A frozen layer of another thread, which must not drop it meanwhile. It is never dropped here. */
  static over(shared: SharedLayer): InMemoryLayer {
    const layer = new InMemoryLayer(shared.lsnStart, new SlabPool(0), new KeyHeads(shared.heads));
    layer.#slabs = shared.slabs.map(slabOver);
    layer.#slabBytes = layer.#slabs.reduce((sum, { bytes }) => sum + bytes.length, 0);
    layer.#values = shared.values;
    layer.#valueBytes = shared.valueBytes;
    layer.#frozenAt = shared.lsnEnd;
    return layer;
  }

  /** The frozen layer for a worker thread. It must not be dropped before the worker is done with it. */
  get shared(): SharedLayer {
    return {
      lsnStart: this.lsnStart,
      lsnEnd: this.lsnEnd,
      heads: this.#heads.shared,
      slabs: this.#slabs.map(({ buffer }) => buffer),
      values: this.#values,
      valueBytes: this.#valueBytes,
    };
  }

  /** End (exclusive) of the LSNs the layer covers. Only a frozen layer has one. */
  get lsnEnd(): Lsn {
    assert(this.#frozenAt !== undefined, 'only a frozen layer has an end');
    return this.#frozenAt;
  }

  /** True when the layer takes no more values. */
  get frozen(): boolean {
    return this.#frozenAt !== undefined;
  }

  /** How many values the layer holds. */
  get valueCount(): number {
    return this.#values;
  }

  /** How many keys the layer holds, those included whose values were all taken back. */
  get keyCount(): number {
    return this.#heads.count;
  }

  /** Length of all values together. Unit: bytes. */
  get valueBytes(): number {
    return this.#valueBytes;
  }

  /** Memory the layer occupies. Unit: bytes. */
  get memoryBytes(): number {
    return this.#slabBytes + this.#heads.bytes;
  }

  /** Copies a value in. `bytes` is only borrowed. @param view over exactly `bytes`: a short value is copied faster with it */
  put(
    object: ObjectId,
    block: number,
    lsn: Lsn,
    kind: ValueKind,
    bytes: Uint8Array,
    offset: number,
    length: number,
    view?: DataView,
  ): void {
    assert(this.#frozenAt === undefined, 'a frozen layer takes no values');
    assert(lsn >= this.#lastLsn, 'the LSNs of puts never go back');
    assert(length <= VALUE_BYTES_MAX && offset + length <= bytes.length, 'a value lies inside of its buffer');
    const size = (HEADER + length + 7) & ~7;
    let slab = this.#current;
    if (slab === undefined || this.#used + size > slab.bytes.length) slab = this.#takeSlab(size);
    const at = this.#used;
    this.#used += size;
    const entry = (this.#currentIndex << SLAB_SHIFT) | (at >>> 3);
    slab.words[at >>> 2] = this.#heads.exchange(object, block, entry);
    slab.words[(at >>> 2) + 1] = (kind << KIND_SHIFT) | length;
    slab.doubles[(at >>> 3) + 1] = lsn;
    if (view !== undefined && length <= COPY_BY_VIEW_MAX) {
      copyBetweenViews(view, offset, slab.view, at + HEADER, length);
    } else if (length <= COPY_BY_LOOP_MAX) {
      const to = slab.bytes;
      for (let i = 0, t = at + HEADER; i < length; i++, t++) to[t] = bytes[offset + i] as number;
    } else {
      slab.bytes.set(bytes.subarray(offset, offset + length), at + HEADER);
    }
    this.#lastLsn = lsn;
    this.#values++;
    this.#valueBytes += length;
  }

  /** Takes back every value above `lsn`. Looks at each key: for what is rare. The memory comes back with the layer's. */
  takeBack(lsn: Lsn): void {
    assert(this.#frozenAt === undefined, 'what is frozen stays');
    if (this.#lastLsn <= lsn) return;
    const value = new EntryScratch();
    this.#heads.replaceAll((head) => {
      let entry = head;
      while (entry !== NO_ENTRY) {
        this.entry(entry, value);
        if (value.lsn <= lsn) break;
        this.#values--;
        this.#valueBytes -= value.length;
        entry = value.previous;
      }
      return entry;
    });
    this.#lastLsn = lsn;
  }

  /** The newest entry of a key, or NO_ENTRY. */
  head(object: ObjectId, block: number): number {
    return this.#heads.get(object, block);
  }

  /** Says where an entry lies. What `into` names is borrowed until the layer is dropped. */
  entry(entry: number, into: EntryScratch): void {
    const slab = this.#slabs[entry >>> SLAB_SHIFT] as Slab;
    const at = (entry & OFFSET_MASK) << 3;
    const word = slab.words[(at >>> 2) + 1] as number;
    into.slab = slab;
    into.offset = at + HEADER;
    into.length = word & LENGTH_MASK;
    into.kind = (word >>> KIND_SHIFT) as ValueKind;
    into.lsn = slab.doubles[(at >>> 3) + 1] as Lsn;
    into.previous = slab.words[at >>> 2] as number;
  }

  /** Ends the layer: it covers LSNs below `lsnEnd`, which lies above every value put. */
  freeze(lsnEnd: Lsn): void {
    assert(lsnEnd > this.#lastLsn || this.#values === 0, 'a layer ends above its last value');
    this.#frozenAt = lsnEnd;
  }

  /** Calls `visit` for the keys of one stripe of {@link stripes}, in no order: how a flush walks the layer in slices. */
  forEachKeyInStripe(stripe: number, visit: (object: number, block: number) => void): void {
    this.#heads.forEachInStripe(stripe, visit);
  }

  /** How many stripes {@link forEachKeyInStripe} takes. */
  get stripes(): number {
    return this.#heads.stripes;
  }

  /** Gives the memory back. The layer must not be used any more. */
  drop(): void {
    for (const slab of this.#slabs) this.#pool.give(slab);
    this.#slabs = [];
    this.#current = undefined;
    this.#slabBytes = 0;
  }

  #takeSlab(size: number): Slab {
    assert(this.#slabs.length < SLABS_MAX, 'an in-memory layer has at most 2^16 slabs');
    const slab = this.#pool.take(Math.max(size, SLAB_BYTES));
    this.#currentIndex = this.#slabs.length;
    this.#slabs.push(slab);
    this.#slabBytes += slab.bytes.length;
    this.#current = slab;
    this.#used = 0;
    return slab;
  }
}
