import type { ObjectId, ObjectTable } from './object-table.ts';
import type { KeyRange, StoredKey } from './stored-key.ts';

// A bound of a range, from the 44 digits of a stored key:
//   kind, spc 10 digits @0 | db 8 @10 | rel, fork 10 @18 | block 8 @28, doubled; one more where the reserved digits @36 are not zero
// A range has two: start, end.
const BOUND_WORDS = 4;
const RANGE_WORDS = 2 * BOUND_WORDS;
const KIND_UNIT = 0x1_0000_0000;
const REL_UNIT = 0x100;
const NOTHING_RESERVED = '00000000';

/**
 * Finds which of many disjoint ranges of keys holds a key, by numbers: for reads of pages, for which making the text of a key takes longer than all else that tells that a layer has nothing for them. What a range's text says is read
 * when a search first comes to it. Takes 65 bytes a range.
 */
export class KeyRanges {
  readonly #at: (index: number) => KeyRange;
  readonly #count: number;
  readonly #bounds: Float64Array;
  /** 1 for a range whose bounds are there. */
  readonly #isKnown: Uint8Array;

  /** @param at the ranges, in key order */
  constructor(count: number, at: (index: number) => KeyRange) {
    this.#at = at;
    this.#count = count;
    this.#bounds = new Float64Array(count * RANGE_WORDS);
    this.#isKnown = new Uint8Array(count);
  }

  /** Index of the range that holds (object, block), or -1. Allocates nothing once the ranges that it looks at are known. */
  find(objects: ObjectTable, object: ObjectId, block: number): number {
    let low = 0;
    let high = this.#count;
    // The ranges below `low` begin at or below the key, those from `high` on above it.
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#isKnown[middle] === 0) this.#read(middle);
      if (this.#isAtOrBelow(middle * RANGE_WORDS, objects, object, block)) low = middle + 1;
      else high = middle;
    }
    const found = low - 1;
    if (found < 0 || this.#isAtOrBelow(found * RANGE_WORDS + BOUND_WORDS, objects, object, block)) return -1;
    return found;
  }

  #isAtOrBelow(bound: number, objects: ObjectTable, object: ObjectId, block: number): boolean {
    const bounds = this.#bounds;
    const difference =
      (bounds[bound] as number) - (objects.kind(object) * KIND_UNIT + objects.spc(object)) ||
      (bounds[bound + 1] as number) - objects.db(object) ||
      (bounds[bound + 2] as number) - (objects.rel(object) * REL_UNIT + objects.fork(object)) ||
      (bounds[bound + 3] as number) - 2 * block;
    return difference <= 0;
  }

  #read(index: number): void {
    const { start, end } = this.#at(index);
    this.#readBound(index * RANGE_WORDS, start);
    this.#readBound(index * RANGE_WORDS + BOUND_WORDS, end);
    this.#isKnown[index] = 1;
  }

  #readBound(bound: number, key: StoredKey): void {
    this.#bounds[bound] = Number.parseInt(key.slice(0, 10), 16);
    this.#bounds[bound + 1] = Number.parseInt(key.slice(10, 18), 16);
    this.#bounds[bound + 2] = Number.parseInt(key.slice(18, 28), 16);
    this.#bounds[bound + 3] = 2 * Number.parseInt(key.slice(28, 36), 16) + (key.slice(36) === NOTHING_RESERVED ? 0 : 1);
  }
}
