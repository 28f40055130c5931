import type { Lsn } from '@zenith/base';
import { allocatePage, BLCKSZ, type Page } from '@zenith/pg-format';

const WAYS = 4;

/**
 * Bounded, 4-way set-associative cache of rebuilt pages, keyed by small integers: (timeline, object, block) at an LSN. What it holds is a fact about history
 * and never becomes wrong, so that nothing is ever invalidated; a newer version replaces an older one of the same page. Pages are made as sets fill, then reused.
 */
export class PageCache {
  readonly #sets: number;
  readonly #timelines: Int32Array;
  readonly #objects: Int32Array;
  readonly #blocks: Int32Array;
  readonly #lsns: Float64Array;
  readonly #ages: Uint32Array;
  readonly #pages: (Page | undefined)[];
  #clock = 0;
  #held = 0;
  /** How many look-ups found a page. */
  hits = 0;
  /** How many did not. */
  misses = 0;

  /** @param bytesMax memory for pages. Unit: bytes */
  constructor(bytesMax: number) {
    this.#sets = Math.max(1, Math.floor(bytesMax / (BLCKSZ * WAYS)));
    const slots = this.#sets * WAYS;
    this.#timelines = new Int32Array(slots).fill(-1);
    this.#objects = new Int32Array(slots);
    this.#blocks = new Int32Array(slots);
    this.#lsns = new Float64Array(slots);
    this.#ages = new Uint32Array(slots);
    this.#pages = Array.from({ length: slots }, () => undefined);
  }

  /** Memory in use. Unit: bytes. */
  get bytes(): number {
    return this.#held * BLCKSZ;
  }

  /** The newest version of a page at or below `lsn`: its slot, or -1. */
  find(timeline: number, object: number, block: number, lsn: Lsn): number {
    const first = this.#set(timeline, object, block);
    let found = -1;
    for (let slot = first; slot < first + WAYS; slot++) {
      if (
        this.#blocks[slot] !== (block | 0) ||
        this.#objects[slot] !== object ||
        this.#timelines[slot] !== timeline ||
        (this.#lsns[slot] as number) > lsn
      )
        continue;
      if (found < 0 || (this.#lsns[slot] as number) > (this.#lsns[found] as number)) found = slot;
    }
    if (found < 0) {
      this.misses++;
      return -1;
    }
    this.hits++;
    this.#ages[found] = ++this.#clock;
    return found;
  }

  /** The page in a slot that `find` returned. Borrowed until the next `keep`. */
  page(slot: number): Page {
    return this.#pages[slot] as Page;
  }

  /** The LSN of the version in a slot: that of the newest value in it. */
  lsn(slot: number): Lsn {
    return this.#lsns[slot] as Lsn;
  }

  /** Copies a page in: it holds every value of the page up to `lsn`, which is that of the newest one. @param page its 8192 bytes */
  keep(timeline: number, object: number, block: number, lsn: Lsn, page: Uint8Array): void {
    const first = this.#set(timeline, object, block);
    let victim = first;
    for (let slot = first; slot < first + WAYS; slot++) {
      const same =
        this.#blocks[slot] === (block | 0) && this.#objects[slot] === object && this.#timelines[slot] === timeline;
      if (same && (this.#lsns[slot] as number) <= lsn) {
        victim = slot;
        break;
      }
      if ((this.#ages[slot] as number) < (this.#ages[victim] as number)) victim = slot;
    }
    let target = this.#pages[victim];
    if (target === undefined) {
      target = allocatePage();
      this.#pages[victim] = target;
      this.#held++;
    }
    target.bytes.set(page);
    this.#timelines[victim] = timeline;
    this.#objects[victim] = object;
    this.#blocks[victim] = block;
    this.#lsns[victim] = lsn;
    this.#ages[victim] = ++this.#clock;
  }

  #set(timeline: number, object: number, block: number): number {
    let h = Math.imul(object ^ Math.imul(timeline, 0x9e3779b9), 0x85ebca6b) ^ Math.imul(block, 0xc2b2ae35);
    h = Math.imul(h ^ (h >>> 15), 0x27d4eb2f);
    return (((h ^ (h >>> 16)) >>> 0) % this.#sets) * WAYS;
  }
}
