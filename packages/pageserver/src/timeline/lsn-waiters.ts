import { formatLsn, type Lsn } from '@zenith/base';
import { StorageError } from './errors.ts';

interface Waiter {
  readonly lsn: Lsn;
  readonly settle: (error?: Error) => void;
}

/** How long to wait for an LSN, and what ends the wait before. */
export interface WaitOptions {
  /** Unit: milliseconds. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** Readers that wait until an LSN has been ingested. A binary heap by LSN, so that ingest pays one comparison per record. */
export class LsnWaiters {
  readonly #max: number;
  readonly #heap: Waiter[] = [];
  /** The smallest LSN anybody waits for; infinity for none. */
  #lowest = Number.POSITIVE_INFINITY;

  /** @param max most waiters at a time */
  constructor(max: number) {
    this.#max = max;
  }

  /** How many wait. */
  get count(): number {
    return this.#heap.length;
  }

  /**
   * Resolves when {@link wake} is called with `lsn` or more.
   * @throws StorageError `lsn-not-available` after the time is over, `too-many-waiters`; the signal's reason when it is aborted
   */
  wait(lsn: Lsn, options: WaitOptions): Promise<void> {
    if (this.#heap.length >= this.#max)
      return Promise.reject(new StorageError('too-many-waiters', `more than ${this.#max} readers wait for WAL`));
    const { signal } = options;
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    return new Promise((resolve, reject) => {
      const abort = (): void => expire(signal?.reason as Error);
      const waiter: Waiter = {
        lsn,
        settle: (error) => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', abort);
          if (error === undefined) resolve();
          else reject(error);
        },
      };
      const expire = (error: Error): void => {
        this.#remove(waiter);
        waiter.settle(error);
      };
      const timer = setTimeout(
        () =>
          expire(
            new StorageError(
              'lsn-not-available',
              `WAL up to ${formatLsn(lsn)} has not arrived within ${options.timeoutMs} ms`,
            ),
          ),
        options.timeoutMs,
      );
      signal?.addEventListener('abort', abort, { once: true });
      this.#push(waiter);
    });
  }

  /** Wakes those who wait for `lsn` or less. */
  wake(lsn: Lsn): void {
    while (this.#lowest <= lsn) {
      const first = this.#heap[0] as Waiter;
      this.#remove(first);
      first.settle();
    }
  }

  /** Fails everybody. */
  rejectAll(error: Error): void {
    const waiting = this.#heap.splice(0);
    this.#lowest = Number.POSITIVE_INFINITY;
    for (const waiter of waiting) waiter.settle(error);
  }

  #push(waiter: Waiter): void {
    this.#heap.push(waiter);
    this.#rise(this.#heap.length - 1);
    this.#lowest = (this.#heap[0] as Waiter).lsn;
  }

  #remove(waiter: Waiter): void {
    const index = this.#heap.indexOf(waiter);
    if (index < 0) return;
    const last = this.#heap.pop() as Waiter;
    if (last !== waiter) {
      this.#heap[index] = last;
      this.#sink(index);
      this.#rise(index);
    }
    this.#lowest = this.#heap[0]?.lsn ?? Number.POSITIVE_INFINITY;
  }

  #rise(from: number): void {
    let index = from;
    while (index > 0) {
      const parent = (index - 1) >>> 1;
      if (this.#at(parent) <= this.#at(index)) return;
      this.#swap(index, parent);
      index = parent;
    }
  }

  #sink(from: number): void {
    let index = from;
    for (;;) {
      const left = 2 * index + 1;
      let smallest = index;
      if (left < this.#heap.length && this.#at(left) < this.#at(smallest)) smallest = left;
      if (left + 1 < this.#heap.length && this.#at(left + 1) < this.#at(smallest)) smallest = left + 1;
      if (smallest === index) return;
      this.#swap(index, smallest);
      index = smallest;
    }
  }

  #at(index: number): Lsn {
    return (this.#heap[index] as Waiter).lsn;
  }

  #swap(a: number, b: number): void {
    const waiter = this.#heap[a] as Waiter;
    this.#heap[a] = this.#heap[b] as Waiter;
    this.#heap[b] = waiter;
  }
}
