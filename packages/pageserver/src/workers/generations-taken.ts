import { assert } from '@zenith/base';

/** Most files one job writes. */
const FILES_MAX = 16_384;

/** The generations that a job has taken, in memory of two threads: when one of them is lost, the other knows the files. */
export class GenerationsTaken {
  readonly shared: SharedArrayBuffer;
  readonly #numbers: Uint32Array;

  constructor(shared = new SharedArrayBuffer((1 + FILES_MAX) * 4)) {
    this.shared = shared;
    this.#numbers = new Uint32Array(shared);
  }

  /** Takes the next of a timeline's generations. */
  take(generations: Uint32Array): number {
    const count = Atomics.load(this.#numbers, 0);
    assert(count < FILES_MAX, 'a job writes a bounded number of files');
    const generation = Atomics.add(generations, 0, 1);
    Atomics.store(this.#numbers, 1 + count, generation);
    Atomics.store(this.#numbers, 0, count + 1);
    return generation;
  }

  /** All that were taken. */
  all(): ReadonlySet<number> {
    return new Set(this.#numbers.subarray(1, 1 + Atomics.load(this.#numbers, 0)));
  }
}
