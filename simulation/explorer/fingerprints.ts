/** Share of the slots that may be taken before the table grows. */
const LOAD_MAX = 0.6;

/**
 * A set of states, each known by 64 bits of hash in two words: 8 bytes a state, whatever a state looks like. Two states with one hash would be taken for one; among n states that happens with a
 * probability of about n² / 2^65, less than one in a million for five million states.
 */
export class Fingerprints {
  #slots: Int32Array;
  #mask: number;
  #size = 0;

  /** @param capacity slots to begin with: a power of two */
  constructor(capacity = 1 << 16) {
    this.#slots = new Int32Array(2 * capacity);
    this.#mask = capacity - 1;
  }

  /** How many there are. */
  get size(): number {
    return this.#size;
  }

  /** Adds the state whose words are given. @returns false when it is there already */
  add(words: Int32Array): boolean {
    let a = 0x2545f491 | 0;
    let b = 0x6c8e9cf5 | 0;
    for (let i = 0; i < words.length; i++) {
      const word = words[i] as number;
      a = Math.imul(a ^ word, 0x85ebca6b);
      a ^= a >>> 13;
      b = Math.imul(b + word, 0xc2b2ae35) ^ (b >>> 15);
      b = Math.imul(b, 0x27d4eb2f) + a;
    }
    a = Math.imul(a ^ (a >>> 16), 0x7feb352d);
    a ^= a >>> 15;
    b = Math.imul(b ^ (b >>> 16), 0x846ca68b);
    b ^= b >>> 16;
    if (a === 0 && b === 0) b = 1; // both zero marks a free slot
    if (!this.#insert(a, b)) return false;
    this.#size++;
    if (this.#size > (this.#mask + 1) * LOAD_MAX) this.#grow();
    return true;
  }

  #insert(a: number, b: number): boolean {
    const slots = this.#slots;
    for (let slot = a & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const at = 2 * slot;
      if (slots[at] === 0 && slots[at + 1] === 0) {
        slots[at] = a;
        slots[at + 1] = b;
        return true;
      }
      if (slots[at] === a && slots[at + 1] === b) return false;
    }
  }

  #grow(): void {
    const old = this.#slots;
    this.#slots = new Int32Array(old.length * 2);
    this.#mask = this.#mask * 2 + 1;
    for (let at = 0; at < old.length; at += 2)
      if (old[at] !== 0 || old[at + 1] !== 0) this.#insert(old[at] as number, old[at + 1] as number);
  }
}
