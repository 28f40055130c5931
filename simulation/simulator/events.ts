/** A callback in simulated time. */
interface Event {
  readonly atMs: number;
  /** Order among events of one moment. */
  readonly order: number;
  readonly callback: () => void;
}

/** Simulated time: what happens next, and when. Everything in a simulation happens in a callback of this, one after the other, so that a seed gives one run. */
export class Events {
  readonly #heap: Event[] = [];
  #nowMs = 0;
  #order = 0;
  #hash = 0x811c9dc5;
  readonly #onNote: ((nowMs: number, text: string) => void) | undefined;

  /** @param onNote is told all that is noted */
  constructor(onNote?: (nowMs: number, text: string) => void) {
    this.#onNote = onNote;
  }

  /** Unit: simulated milliseconds. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Fingerprint of all that was noted so far, in its order. */
  get hash(): number {
    return this.#hash >>> 0;
  }

  /** Takes part in the fingerprint of the run. */
  note(text: string): void {
    this.#onNote?.(this.#nowMs, text);
    let hash = this.#hash ^ Math.round(this.#nowMs * 1000);
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
    this.#hash = hash;
  }

  /** Calls back after `delayMs`. */
  after(delayMs: number, callback: () => void): void {
    const event = { atMs: this.#nowMs + delayMs, order: this.#order++, callback };
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(heap[parent] as Event, event)) break;
      heap[at] = heap[parent] as Event;
      at = parent;
    }
    heap[at] = event;
  }

  /** Lets everything happen until `untilMs`, or until `done`. After each event what it set free, promises included, runs to its end. */
  async run(untilMs: number, done: () => boolean = () => false): Promise<void> {
    for (let event = this.#heap[0]; event !== undefined && event.atMs <= untilMs; event = this.#heap[0]) {
      this.#pop();
      this.#nowMs = event.atMs;
      event.callback();
      await settled();
      if (done()) return;
    }
    this.#nowMs = untilMs;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Event;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Event, heap[child] as Event)) child++;
      if (isBefore(last, heap[child] as Event)) break;
      heap[at] = heap[child] as Event;
      at = child;
    }
    heap[at] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs;
}

/** Resolves when no promise has anything left to run: nothing here waits for the world outside. */
function settled(): Promise<void> {
  // A tick comes after all promises there are, and costs less than a turn of the event loop.
  return new Promise((resolve) => queueMicrotask(() => process.nextTick(resolve)));
}
