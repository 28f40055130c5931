import type { Lsn } from '@zenith/base';

const SLOTS = 4096;

/** What {@link SizeCache.get} returns for a size it does not know. */
export const UNKNOWN_SIZE = -2;

/**
 * A direct-mapped cache of relation and segment sizes: (timeline, object) → size, true for reads in [from, until]. Readers of one compute ask at one LSN for thousands of
 * pages of the same relations; this makes the check that a page exists a few nanoseconds. Facts about history: never invalidated.
 */
export class SizeCache {
  readonly #timelines = new Int32Array(SLOTS).fill(-1);
  readonly #objects = new Int32Array(SLOTS);
  readonly #from = new Float64Array(SLOTS);
  readonly #until = new Float64Array(SLOTS);
  readonly #sizes = new Float64Array(SLOTS);

  /** The size at `lsn`, or {@link UNKNOWN_SIZE}. */
  get(timeline: number, object: number, lsn: Lsn): number {
    const slot = slotOf(timeline, object);
    const known =
      this.#objects[slot] === object &&
      this.#timelines[slot] === timeline &&
      lsn >= (this.#from[slot] as number) &&
      lsn <= (this.#until[slot] as number);
    return known ? (this.#sizes[slot] as number) : UNKNOWN_SIZE;
  }

  /** Keeps a size that was set at `from` and was still the newest at `until`. */
  keep(timeline: number, object: number, from: Lsn, until: Lsn, size: number): void {
    const slot = slotOf(timeline, object);
    this.#timelines[slot] = timeline;
    this.#objects[slot] = object;
    this.#from[slot] = from;
    this.#until[slot] = until;
    this.#sizes[slot] = size;
  }
}

function slotOf(timeline: number, object: number): number {
  return (Math.imul(object, 0x85ebca6b) ^ Math.imul(timeline, 0xc2b2ae35)) >>> 20;
}
