import { AssertionError, type Lsn } from '@zenith/base';
import { putCommits } from '../commit-times/put-commits.ts';
import { flushOldest } from './flush.ts';
import type { TimelineState } from './timeline-state.ts';

/**
 * The way of a timeline's values from memory to layer files: freezes the open layer, flushes frozen ones one after the other, the oldest first, tries again what failed, says when ingest is to wait, and keeps the store's account of the
 * memory that all this takes.
 */
export class Flusher {
  readonly #state: TimelineState;
  readonly #closing: AbortSignal;
  readonly #flushed: () => void;
  /** What the store's account has of the open layer, and of frozen ones. Unit: bytes. */
  #openBytes = 0;
  #frozenBytes = 0;
  #running: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #room: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  #error: Error | undefined;
  #failures = 0;

  /**
   * @param closing once aborted, nothing is begun in the background any more
   * @param flushed called each time that nothing is left to be flushed
   */
  constructor(state: TimelineState, closing: AbortSignal, flushed: () => void) {
    this.#state = state;
    this.#closing = closing;
    this.#flushed = flushed;
  }

  /** Why the last flush failed; undefined from the next one on that succeeds. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** A flush is under way. */
  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Memory of the layer that ingest fills now. Unit: bytes. */
  get openLayerBytes(): number {
    const first = this.#state.memoryLayers[0];
    return first === undefined || first.frozen ? 0 : first.memoryBytes;
  }

  /** The open layer may have grown: tells the store, which may ask for memory back. */
  noteGrowth(): void {
    const bytes = this.openLayerBytes;
    if (bytes === this.#openBytes) return;
    const { memory } = this.#state.shared;
    memory.open += bytes - this.#openBytes;
    this.#openBytes = bytes;
    if (memory.open > memory.max / 2) memory.relieve();
  }

  /** Freezes the open layer; with none, an empty one, so that the disk-consistent LSN follows WAL that changes nothing. Not in the middle of a record. */
  freeze(): void {
    const state = this.#state;
    const newest = state.memoryLayers[0];
    const covered =
      newest === undefined ? state.diskConsistentLsn : newest.frozen ? newest.lsnEnd - 1 : Number.NEGATIVE_INFINITY;
    if (covered >= state.lastRecordLsn) return;
    const { commitTail } = state;
    if (commitTail !== undefined && commitTail.count > 0) putCommits(state, commitTail, state.lastRecordLsn);
    const layer = state.openLayer();
    layer.freeze((state.lastRecordLsn + 1) as Lsn);
    const { memory } = state.shared;
    memory.open -= this.#openBytes;
    this.#openBytes = 0;
    memory.frozen += layer.memoryBytes;
    this.#frozenBytes += layer.memoryBytes;
  }

  /** Flushes all frozen layers; one flush runs at a time. @throws what the file system threw: it will be tried again */
  run(): Promise<void> {
    this.#running ??= this.#flushAll().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** The same, unless it waits for another try; a failure is kept as {@link error}. */
  runInBackground(): void {
    if (this.#running !== undefined || this.#retry !== undefined || this.#closing.aborted) return;
    void this.run().catch((error: unknown) => {
      if (error instanceof AssertionError) throw error;
    });
  }

  /** Undefined when ingest may go on; otherwise resolves when it may: too much waits to be flushed. */
  backpressure(): Promise<void> | undefined {
    if (!this.#isFull()) return undefined;
    this.runInBackground();
    this.#room ??= deferred();
    return this.#room.promise;
  }

  /** Who waits for room waits no longer. */
  makeWay(): void {
    this.#room?.resolve();
    this.#room = undefined;
  }

  /** A flush that failed is not tried again by itself. */
  retryNoMore(): void {
    clearTimeout(this.#retry);
  }

  /** Resolves when the flush that is under way has ended, however it did. */
  async ended(): Promise<void> {
    await this.#running?.catch(() => undefined);
  }

  /** Gives up all values that are in memory, and the memory. While no flush is under way. */
  dropAll(): void {
    const { memory } = this.#state.shared;
    memory.open -= this.#openBytes;
    memory.frozen -= this.#frozenBytes;
    [this.#openBytes, this.#frozenBytes] = [0, 0];
    for (const layer of this.#state.memoryLayers) layer.drop();
    this.#state.memoryLayers = [];
  }

  #isFull(): boolean {
    const { memory, options } = this.#state.shared;
    return (
      this.#frozenCount() > options.frozenLayersMax ||
      (memory.open + memory.frozen > memory.max && this.#frozenCount() > 0)
    );
  }

  #frozenCount(): number {
    const { memoryLayers } = this.#state;
    const first = memoryLayers[0];
    return memoryLayers.length - (first !== undefined && !first.frozen ? 1 : 0);
  }

  async #flushAll(): Promise<void> {
    const { shared, tenant, timeline } = this.#state;
    try {
      while (this.#frozenCount() > 0) {
        await flushOldest(this.#state, this.#closing);
        if (this.#error !== undefined) shared.log.info({ tenant, timeline }, 'flushes go on');
        this.#error = undefined;
        this.#failures = 0;
        this.#releaseMemory();
      }
    } catch (error) {
      const isFirst = this.#error === undefined;
      this.#error = error as Error;
      if (error instanceof AssertionError || this.#closing.aborted) throw error;
      // Once: it may be the log's disk, too, that is full.
      if (isFirst) shared.log.warn({ tenant, timeline, err: error }, 'a flush failed and will be tried again');
      this.#retryLater();
      throw error;
    }
    this.#flushed();
  }

  #releaseMemory(): void {
    const { memory } = this.#state.shared;
    const frozen = this.#state.memoryLayers.reduce((sum, layer) => sum + (layer.frozen ? layer.memoryBytes : 0), 0);
    memory.frozen -= this.#frozenBytes - frozen;
    this.#frozenBytes = frozen;
    if (!this.#isFull()) this.makeWay();
  }

  #retryLater(): void {
    const { retryDelayMs, retryDelayMsMax } = this.#state.shared.options;
    this.#retry ??= setTimeout(
      () => {
        this.#retry = undefined;
        this.runInBackground();
      },
      Math.min(retryDelayMs * 2 ** this.#failures++, Math.max(retryDelayMs, retryDelayMsMax)),
    ).unref();
  }
}

function deferred(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
