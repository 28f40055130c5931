/** What a key without entries has as its head. */
export const NO_ENTRY = -1;

// One stripe is an open-addressing table of slots of three words: object (-1 = free) | block | head.
const SLOT_WORDS = 3;
const STRIPES = 256;
const STRIPE_SLOTS_MIN = 16;

/** What of a table another thread is told. */
export interface SharedKeyHeads {
  readonly stripes: readonly (SharedArrayBuffer | undefined)[];
  readonly count: number;
}

/**
 * The hash table of an in-memory layer: (object, block) → newest entry. Striped 256 ways and each stripe grows alone, so that no put pays for the
 * rehash of a million keys. Allocates nothing but when a stripe grows.
 */
export class KeyHeads {
  readonly #stripes: (Int32Array<SharedArrayBuffer> | undefined)[];
  readonly #used = new Int32Array(STRIPES);
  #count: number;
  #bytes = 0;

  /** @param shared the table of another thread, which nobody changes any more: this one is to be read only */
  constructor(shared?: SharedKeyHeads) {
    this.#stripes = Array.from({ length: STRIPES }, (_, index) => {
      const stripe = shared?.stripes[index];
      return stripe === undefined ? undefined : new Int32Array(stripe);
    });
    this.#count = shared?.count ?? 0;
  }

  /** The table for another thread, which reads the same memory. */
  get shared(): SharedKeyHeads {
    return { stripes: this.#stripes.map((stripe) => stripe?.buffer), count: this.#count };
  }

  /** How many keys there are. */
  get count(): number {
    return this.#count;
  }

  /** Memory the table holds. Unit: bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The newest entry of a key, or {@link NO_ENTRY}. */
  get(object: number, block: number): number {
    const h = hash(object, block);
    const stripe = this.#stripes[h >>> 24];
    if (stripe === undefined) return NO_ENTRY;
    const slot = probe(stripe, h, object, block | 0);
    return stripe[slot] === -1 ? NO_ENTRY : (stripe[slot + 2] as number);
  }

  /** Makes `entry` the newest entry of a key and returns the one it had before, or {@link NO_ENTRY}. */
  exchange(object: number, block: number, entry: number): number {
    const h = hash(object, block);
    const index = h >>> 24;
    let stripe = this.#stripes[index];
    if (stripe === undefined || ((this.#used[index] as number) + 1) * SLOT_WORDS * 4 > stripe.length * 3)
      stripe = this.#grow(index);
    const slot = probe(stripe, h, object, block | 0);
    if (stripe[slot] === -1) {
      stripe[slot] = object;
      stripe[slot + 1] = block;
      stripe[slot + 2] = entry;
      this.#used[index] = (this.#used[index] as number) + 1;
      this.#count++;
      return NO_ENTRY;
    }
    const before = stripe[slot + 2] as number;
    stripe[slot + 2] = entry;
    return before;
  }

  /** Replaces the newest entry of every key; one that is left without an entry stays a key. @param replace gives the new one for the old, or {@link NO_ENTRY} */
  replaceAll(replace: (entry: number) => number): void {
    for (const stripe of this.#stripes) {
      if (stripe === undefined) continue;
      for (let slot = 0; slot < stripe.length; slot += SLOT_WORDS)
        if (stripe[slot] !== -1) stripe[slot + 2] = replace(stripe[slot + 2] as number);
    }
  }

  /** Calls `visit` for the keys of one of the 256 stripes, in no order. */
  forEachInStripe(stripe: number, visit: (object: number, block: number) => void): void {
    const table = this.#stripes[stripe];
    if (table === undefined) return;
    for (let slot = 0; slot < table.length; slot += SLOT_WORDS) {
      if (table[slot] !== -1) visit(table[slot] as number, (table[slot + 1] as number) >>> 0);
    }
  }

  /** How many stripes {@link forEachInStripe} takes. */
  get stripes(): number {
    return STRIPES;
  }

  #grow(index: number): Int32Array<SharedArrayBuffer> {
    const old = this.#stripes[index];
    const slots = old === undefined ? STRIPE_SLOTS_MIN : (old.length / SLOT_WORDS) * 2;
    const stripe = new Int32Array(new SharedArrayBuffer(slots * SLOT_WORDS * 4)).fill(-1);
    this.#bytes += stripe.byteLength - (old?.byteLength ?? 0);
    if (old !== undefined) {
      for (let from = 0; from < old.length; from += SLOT_WORDS) {
        const object = old[from] as number;
        if (object === -1) continue;
        const block = old[from + 1] as number;
        const to = probe(stripe, hash(object, block), object, block);
        stripe[to] = object;
        stripe[to + 1] = block;
        stripe[to + 2] = old[from + 2] as number;
      }
    }
    this.#stripes[index] = stripe;
    return stripe;
  }
}

function probe(stripe: Int32Array, h: number, object: number, block: number): number {
  const mask = stripe.length / SLOT_WORDS - 1;
  let index = h & mask;
  for (;;) {
    const slot = index * SLOT_WORDS;
    const found = stripe[slot];
    if (found === -1 || (found === object && stripe[slot + 1] === block)) return slot;
    index = (index + 1) & mask;
  }
}

function hash(object: number, block: number): number {
  let h = Math.imul(object ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(block, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 15), 0x27d4eb2f);
  return (h ^ (h >>> 16)) >>> 0;
}
