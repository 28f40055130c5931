import { INDEX_BLOCK_BYTES } from './layer-format.ts';

/** One cached index block. Borrowed from the cache until the next `slot` call. */
export interface CachedBlock {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/**
 * Bounded cache of index blocks, keyed by one number (layer number × 2^20 + block number). Replacement is clock: a hit sets a bit, the hand clears it. Buffers
 * are made as the cache fills and then reused for ever.
 */
export class BlockCache {
  readonly #capacity: number;
  readonly #slotOf = new Map<number, number>();
  readonly #blocks: CachedBlock[] = [];
  readonly #keys: number[] = [];
  readonly #used: Uint8Array;
  #hand = 0;
  /** How many look-ups found their block. */
  hits = 0;
  /** How many did not. */
  misses = 0;

  /** @param bytesMax memory for blocks; at least eight are kept. Unit: bytes */
  constructor(bytesMax: number) {
    this.#capacity = Math.max(8, Math.floor(bytesMax / INDEX_BLOCK_BYTES));
    this.#used = new Uint8Array(this.#capacity);
  }

  /** Memory in use. Unit: bytes. */
  get bytes(): number {
    return this.#blocks.length * INDEX_BLOCK_BYTES;
  }

  /** The block cached under `key`, or undefined. */
  get(key: number): CachedBlock | undefined {
    const slot = this.#slotOf.get(key);
    if (slot === undefined) {
      this.misses++;
      return undefined;
    }
    this.hits++;
    this.#used[slot] = 1;
    return this.#blocks[slot];
  }

  /** A buffer for `key`, which the caller fills and then either keeps by {@link keep} or leaves: until then no look-up finds it. */
  slot(): CachedBlock {
    if (this.#blocks.length < this.#capacity) {
      const buffer = new ArrayBuffer(INDEX_BLOCK_BYTES);
      const block = { bytes: new Uint8Array(buffer), view: new DataView(buffer) };
      this.#hand = this.#blocks.length;
      this.#blocks.push(block);
      this.#keys.push(-1);
      return block;
    }
    this.#hand = (this.#hand + 1) % this.#capacity;
    while (this.#used[this.#hand] === 1) {
      this.#used[this.#hand] = 0;
      this.#hand = (this.#hand + 1) % this.#capacity;
    }
    const key = this.#keys[this.#hand] as number;
    if (key !== -1) this.#slotOf.delete(key);
    this.#keys[this.#hand] = -1;
    return this.#blocks[this.#hand] as CachedBlock;
  }

  /** Makes the buffer of the last {@link slot} call findable under `key`. */
  keep(key: number): void {
    this.#keys[this.#hand] = key;
    this.#used[this.#hand] = 1;
    this.#slotOf.set(key, this.#hand);
  }
}
