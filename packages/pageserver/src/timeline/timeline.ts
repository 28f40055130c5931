import { AssertionError, assert, formatLsn, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import type { Page, PgMajor } from '@zenith/pg-format';
import { compact, type CompactionResult } from '../compaction/compact.ts';
import { CommitTail } from '../commit-times/commit-tail.ts';
import type { CommitTime } from '../commit-times/commit-time.ts';
import { lastCommit } from '../commit-times/find-commit.ts';
import { lsnAtTime } from '../commit-times/lsn-at-time.ts';
import { putCommits } from '../commit-times/put-commits.ts';
import { transactionEnds, type TransactionEnd, type TransactionInWal } from '../commit-times/transaction-ends.ts';
import { collect, type CollectionResult } from '../gc/collect.ts';
import type { Lease } from '../gc/leases.ts';
import type { CollectionPlan } from '../gc/plan.ts';
import type { ObjectKind } from '../key-space/object.ts';
import { NO_OBJECT, type ObjectId } from '../key-space/object-table.ts';
import type { ValueKind } from '../key-space/value.ts';
import { describeLayers, type DescribedLayers } from './describe-layers.ts';
import { StorageError } from './errors.ts';
import { fetching, hasRemedy } from './fetch-layers.ts';
import { findObject } from './find-object.ts';
import { Flusher } from './flusher.ts';
import { LsnWaiters, type WaitOptions } from './lsn-waiters.ts';
import { pageHistory, type HistoryLimits, type PageHistory } from './page-history.ts';
import { openLayers } from './open-layers.ts';
import { ALL_KEYS, requireSmallObjects, SMALL_KEYS } from './require-layers.ts';
import { requireLsn } from './require-lsn.ts';
import { scanObjects, type ScanPrefix, type ScanVisit } from './scan.ts';
import { timelineSizes, type TimelineSizes } from './sizes.ts';
import { timelineStatistics, type TimelineStatistics } from './statistics.ts';
import type { TimelineState } from './timeline-state.ts';

/**
 * One timeline: a line of history that ingest appends to and everybody else reads at any LSN. A bundle of state that delegates: reads to PageReader, flush and compaction to
 * functions over the state.
 *
 * `put` and `advance` have one caller, ingest. Reads are synchronous and see everything up to `lastRecordLsn`; flush and compaction go on between turns.
 */
export class Timeline {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly pgMajor: PgMajor;
  /** Start of the history that is kept; for a branch its branch point, below which the ancestor answers. */
  readonly initialLsn: Lsn;
  /** Whose history this timeline shares, up to which LSN. */
  readonly ancestor: { readonly timeline: Timeline; readonly lsn: Lsn } | undefined;
  readonly #state: TimelineState;
  readonly #waiters: LsnWaiters;
  readonly #closing = new AbortController();
  /** A put has been made above lastRecordLsn: the open layer must not be frozen now. */
  #inRecord = false;
  /** The open layer is to be frozen at the end of the record that is being put. */
  #freezeWanted = false;
  #isClosing = false;
  readonly #flusher: Flusher;
  #compacting: Promise<CompactionResult | CollectionResult> | undefined;
  #compactionError: Error | undefined;

  /** Made by the store. */
  constructor(state: TimelineState, ancestor: { readonly timeline: Timeline; readonly lsn: Lsn } | undefined) {
    this.#state = state;
    this.tenant = state.tenant;
    this.timeline = state.timeline;
    this.pgMajor = state.pgMajor;
    this.initialLsn = state.initialLsn;
    this.ancestor = ancestor;
    this.#waiters = new LsnWaiters(state.shared.options.waitersMax);
    this.#flusher = new Flusher(state, this.#closing.signal, () => {
      if (state.shared.options.compactInBackground) this.#compactInBackground();
    });
  }

  /** Everything up to here has been put: the end of a WAL record. */
  get lastRecordLsn(): Lsn {
    return this.#state.lastRecordLsn;
  }

  /** Everything up to here is in synced layer files that a synced index names; never past a failed flush. */
  get diskConsistentLsn(): Lsn {
    return this.#state.diskConsistentLsn;
  }

  /** Everything up to here survives the loss of this disk: it is in remote storage. 0 without remote storage, or while it has not answered yet. */
  get remoteConsistentLsn(): Lsn {
    return this.#state.shared.remote?.remoteConsistentLsn(this.tenant, this.timeline) ?? (0 as Lsn);
  }

  /** Memory of the layer that ingest fills now. Unit: bytes. */
  get openLayerBytes(): number {
    return this.#flusher.openLayerBytes;
  }

  /** True from a flush that failed to the next that succeeds. */
  get isFlushFailing(): boolean {
    return this.#flusher.error !== undefined;
  }

  /** Counts and sizes, for metrics and people. */
  get statistics(): TimelineStatistics {
    return timelineStatistics(this.#state, this.#waiters.count, this.#flusher.error, this.#compactionError);
  }

  /** How large it is. @param sharedUpTo the last LSN at which a branch leaves it, if one does @throws CorruptionError; what {@link fetching} throws */
  sizes(sharedUpTo: Lsn | undefined): Promise<TimelineSizes> {
    return this.fetching(() => timelineSizes(this.#state, sharedUpTo));
  }

  /** Where its values are, for people. */
  get layers(): DescribedLayers {
    return describeLayers(this.#state);
  }

  /** The small integer that stands for an object in this process, for every timeline of the tenant. For those who put; those who only read use {@link find}. */
  intern(kind: ObjectKind, spc: number, db: number, rel: number, fork: number): ObjectId {
    return this.#state.objects.intern(kind, spc, db, rel, fork);
  }

  /** The id of an object, or NO_OBJECT when nobody has ever put anything for it: all reads accept that and say that it does not exist. @throws AbsentLayerError; CorruptionError */
  find(kind: ObjectKind, spc: number, db: number, rel: number, fork: number): ObjectId {
    return findObject(this.#state, kind, spc, db, rel, fork);
  }

  /**
   * Adds a value at `lsn`, above lastRecordLsn. LSNs never go back. `bytes[offset, offset + length)` is copied. Allocates nothing but memory for the values.
   * It is not to be read before `advance`.
   * @param view over exactly `bytes`: a short value is copied faster with it
   */
  put(
    object: ObjectId,
    block: number,
    lsn: Lsn,
    kind: ValueKind,
    bytes: Uint8Array,
    offset: number,
    length: number,
    view?: DataView,
  ): void {
    assert(lsn > this.#state.lastRecordLsn, 'a value is put above the last record LSN');
    this.#inRecord = true;
    this.#state.openLayer().put(object, block, lsn, kind, bytes, offset, length, view);
  }

  /** The record that ends at `lsn`, which is being put, commits a transaction. Commits that are not in a batch yet are put before the layer is frozen, so that none is lost. */
  noteCommit(lsn: Lsn, time: CommitTime): void {
    const state = this.#state;
    state.commitTail ??= new CommitTail(lastCommit(state, state.lastRecordLsn));
    state.commitTail.add(lsn, time);
    if (state.commitTail.isFull) putCommits(state, state.commitTail, lsn);
    this.#inRecord = true;
  }

  /** Everything up to `lsn`, the end of a record, has been put. Wakes those who wait for it; freezes the open layer when it is full. */
  advance(lsn: Lsn): void {
    const state = this.#state;
    assert(lsn >= state.lastRecordLsn, 'the last record LSN never goes back');
    state.lastRecordLsn = lsn;
    this.#inRecord = false;
    this.#waiters.wake(lsn);
    this.#flusher.noteGrowth();
    if (this.openLayerBytes >= state.shared.options.checkpointDistanceBytes || this.#freezeWanted) {
      this.#freeze();
      this.#flusher.runInBackground();
    }
  }

  /** Pages that were read so far, of all timelines of the store. */
  get pagesRead(): number {
    return this.#state.shared.counts.pagesRead;
  }

  /**
   * The record that was being put is given up: takes back what of it was put, everything above `lsn`, and advances to there, the end of the last whole record. It may be put again, from its beginning.
   * A record that has noted its commit is never given up.
   */
  abandon(lsn: Lsn): void {
    const { commitTail, memoryLayers } = this.#state;
    assert(commitTail === undefined || commitTail.lastLsn <= lsn, 'a record that notes its commit is put whole');
    const [layer] = memoryLayers;
    if (layer?.frozen === false) layer.takeBack(lsn);
    this.advance(lsn);
  }

  /** Undefined when ingest may go on; otherwise resolves when it may: too much waits to be flushed. To be asked between records. */
  backpressure(): Promise<void> | undefined {
    return this.#state.isRemoved ? undefined : this.#flusher.backpressure();
  }

  /**
   * Rebuilds a page as of `lsn` into `page`; its content is undefined when it throws.
   * @throws StorageError `no-such-block`: beyond the object's size at `lsn`, or no such object; `lsn-not-available`: above lastRecordLsn (of an ancestor, where the read reaches one) or
   *   below the kept history; CorruptionError: a layer or a record is bad; a ZenithError of redo's, such as `unsupported-record`
   */
  readPage(object: ObjectId, block: number, lsn: Lsn, page: Page): void {
    requireLsn(this.#state, lsn);
    const { reader } = this.#state.shared;
    reader.requireBlocks(this.#state, object, block, 1, lsn);
    reader.readPage(this.#state, object, block, lsn, page);
  }

  /**
   * Rebuilds `count` pages (1 to 128) from `firstBlock` on into `out` at `outOffset`; cheaper than one by one.
   * @throws as {@link readPage}, for the first page that cannot be had; `out` is then partly written
   */
  readPages(object: ObjectId, firstBlock: number, count: number, lsn: Lsn, out: Uint8Array, outOffset: number): void {
    requireLsn(this.#state, lsn);
    const { reader } = this.#state.shared;
    reader.requireBlocks(this.#state, object, firstBlock, count, lsn);
    reader.readPages(this.#state, object, firstBlock, count, lsn, out, outOffset);
  }

  /** Number of blocks of a relation fork or SLRU segment at `lsn`; undefined when it does not exist. @throws StorageError `lsn-not-available`; CorruptionError */
  blockCount(object: ObjectId, lsn: Lsn): number | undefined {
    requireLsn(this.#state, lsn);
    const size = object === NO_OBJECT ? -1 : this.#state.shared.reader.readSize(this.#state, object, lsn);
    return size < 0 ? undefined : size;
  }

  /**
   * The content of a small object at `lsn`: undefined when it never was, empty when it is gone. The bytes are the caller's.
   * @throws StorageError `lsn-not-available`; CorruptionError
   */
  readSmall(object: ObjectId, lsn: Lsn): Uint8Array | undefined {
    requireLsn(this.#state, lsn);
    return object === NO_OBJECT ? undefined : this.#state.shared.reader.readSmall(this.#state, object, lsn)?.slice();
  }

  /**
   * Visits, in key order, every small object of a kind that exists at `lsn` (its content is not empty), through all ancestors. The visited bytes are the visitor's; it may read and put,
   * but objects interned meanwhile are not visited.
   * @param kind any kind but those with pages
   * @param prefix visits only objects with this spc, and this db
   * @throws StorageError `lsn-not-available`; CorruptionError
   */
  scan(kind: ObjectKind, lsn: Lsn, visit: ScanVisit, prefix?: ScanPrefix): void {
    requireLsn(this.#state, lsn);
    scanObjects(this.#state, kind, lsn, visit, prefix);
  }

  /** Where the timeline was at a point in time, see {@link lsnAtTime}. @throws StorageError `time-before-history`, `time-after-last-commit`, `lsn-not-available`; CorruptionError; AbsentLayerError */
  lsnAtTime(time: CommitTime): { readonly timeline: TimelineId; readonly lsn: Lsn; readonly time: CommitTime } {
    requireSmallObjects(this.#state);
    const { state, lsn, time: committed } = lsnAtTime(this.#state, time);
    return { timeline: state.timeline, lsn, time: committed };
  }

  /** True when {@link fetching} can do something about what a read threw: a layer is not on this disk, or damaged there, and remote storage has it. */
  hasRemedy(error: unknown): boolean {
    return hasRemedy(this.#state, error);
  }

  /**
   * Runs `read`, again from its beginning each time it found something that can be fetched and that was fetched.
   * @throws as `read`; CorruptionError, RemoteStorageError, StorageError `layer-absent`, what the file system throws, when it cannot be fetched; StorageError `closing`
   */
  fetching<T>(read: () => T | Promise<T>): Promise<T> {
    return fetching(this.#state, this.#closing.signal, read);
  }

  /**
   * Fetches what ingest looks at in the middle of a record; from then on it stays on this disk.
   * @throws as {@link fetching}; the signal's reason
   */
  async fetchForIngest(signal?: AbortSignal): Promise<void> {
    await this.fetching(async () => {
      signal?.throwIfAborted();
      await openLayers(this.#state, SMALL_KEYS, this.#closing.signal);
      requireSmallObjects(this.#state);
    });
  }

  /** How transactions ended, as far as it is known at `lsn`, see {@link transactionEnds}. @throws StorageError `lsn-not-available`; CorruptionError; AbsentLayerError */
  transactionEnds(transactions: readonly TransactionInWal[], lsn: Lsn): (TransactionEnd | undefined)[] {
    requireLsn(this.#state, lsn);
    requireSmallObjects(this.#state);
    return transactionEnds(this.#state, transactions, lsn);
  }

  /**
   * What changed a page up to `lsn`, the newest first: for people and tools, no page is rebuilt.
   * @throws StorageError `no-such-block`: nothing was ever put for it; `lsn-not-available`; CorruptionError; AbsentLayerError
   */
  pageHistory(object: ObjectId, block: number, lsn: Lsn, limits: HistoryLimits): PageHistory {
    requireLsn(this.#state, lsn);
    const history = object === NO_OBJECT ? undefined : pageHistory(this.#state, object, block, lsn, limits);
    if (history === undefined || history.values.length === 0)
      throw new StorageError('no-such-block', `nothing was ever written there up to ${formatLsn(lsn)}`);
    return history;
  }

  /**
   * Resolves when a read at `lsn` may be made: the WAL up to it is ingested, here and as far as the read reaches into ancestors.
   * @throws StorageError `lsn-not-available` when the time is over or `lsn` is below the kept history, `too-many-waiters`, `closing`; the signal's reason
   */
  async waitForLsn(lsn: Lsn, options: WaitOptions): Promise<void> {
    await this.#waitUntilIngested(lsn, options);
    requireLsn(this.#state, lsn);
  }

  /**
   * Makes everything up to the present lastRecordLsn durable: when it resolves, diskConsistentLsn is at least that.
   * @throws what the file system threw, when a flush failed; it will be tried again
   */
  async flush(): Promise<void> {
    const goal = this.lastRecordLsn;
    while (this.diskConsistentLsn < goal) {
      if (!this.#flusher.isRunning && !this.#inRecord) this.#freeze();
      await this.#flusher.run();
      // A record is being put: its advance() freezes.
      if (this.diskConsistentLsn < goal && this.#inRecord) {
        this.#freezeWanted = true;
        await this.#waiters.wait((this.lastRecordLsn + 1) as Lsn, { timeoutMs: 60_000, signal: this.#closing.signal });
      }
    }
  }

  /**
   * Compacts now: merges L0 layers when there are at least `threshold` (by default one is enough), then writes the image layers that are due.
   * @throws CorruptionError; what the file system threw
   */
  async compact(threshold = 1): Promise<CompactionResult> {
    while (this.#compacting !== undefined) await this.#compacting.catch(() => undefined);
    const compacting = this.fetching(async () => {
      await openLayers(this.#state, ALL_KEYS, this.#closing.signal);
      return compact(this.#state, threshold, this.#closing.signal);
    });
    this.#compacting = compacting;
    try {
      const result = await compacting;
      this.#compactionError = undefined;
      return result;
    } catch (error) {
      this.#compactionError = error as Error;
      throw error;
    } finally {
      this.#compacting = undefined;
    }
  }

  /**
   * Drops history that nobody can read, see {@link collect}. Runs in the place of a compaction: one thing at a time removes layers.
   * @param plan finds the cutoff and the points to keep, and publishes the cutoff, in one turn; called again when it looked for something that is not on this disk
   * @throws CorruptionError; what the file system threw; what `plan` throws
   */
  async collect(plan: () => CollectionPlan, force: boolean): Promise<CollectionResult> {
    while (this.#compacting !== undefined) await this.#compacting.catch(() => undefined);
    const planned = async (): Promise<CollectionResult> => {
      const { cutoff, points } = await this.fetching(plan);
      return this.fetching(() => collect(this.#state, cutoff, points, force, this.#closing.signal));
    };
    const collecting = planned();
    this.#compacting = collecting;
    try {
      return await collecting;
    } finally {
      this.#compacting = undefined;
    }
  }

  /** Below it nothing is kept but what branches and leases need; 0 while everything is. */
  get gcCutoff(): Lsn {
    return this.#state.gcCutoff;
  }

  /**
   * Keeps what can be read at an LSN readable until a time; granting again prolongs it. Durable when it resolves.
   * @throws StorageError `lsn-not-available` when it is not kept any more or not ingested, `too-many-leases`; what the file system throws
   */
  async lease(lease: Lease, now: number): Promise<void> {
    requireLsn(this.#state, lease.lsn);
    if (this.#state.leases.isFull(lease.holder, now))
      throw new StorageError('too-many-leases', `timeline ${this.timeline} has as many leases as it can have`);
    await this.#state.leases.grant(lease, now);
  }

  /** Leases that have not ended. @param now unit: ms since 1970 */
  leases(now: number): readonly Lease[] {
    return this.#state.leases.active(now);
  }

  /** True for an LSN below the cutoff that a lease keeps. */
  isRetained(lsn: Lsn): boolean {
    return this.#state.retained.has(lsn);
  }

  /** Ends a lease; harmless when there is none. @throws what the file system throws */
  releaseLease(holder: string): Promise<void> {
    return this.#state.leases.release(holder);
  }

  /** Asks for the open layer to be frozen and flushed as soon as no record is in the middle of being put. */
  relieve(): void {
    if (this.#inRecord) this.#freezeWanted = true;
    else if (this.openLayerBytes > 0) {
      this.#freeze();
      this.#flusher.runInBackground();
    }
  }

  /** Ends background work after a last flush. Waiters fail with `closing`. @throws what the flush threw; the timeline is closed all the same */
  async close(): Promise<void> {
    this.#flusher.retryNoMore();
    const closing = closingError();
    this.#isClosing = true;
    this.#waiters.rejectAll(closing);
    try {
      if (!this.#inRecord) await this.flush();
      else await this.#flusher.run();
    } finally {
      this.#closing.abort(closing);
      this.#flusher.retryNoMore();
      await this.#compacting?.catch(() => undefined);
      await this.#flusher.ended();
    }
  }

  /** What is ingested may be kept for branches only, so that nothing is said about reading it here. */
  async #waitUntilIngested(lsn: Lsn, options: WaitOptions): Promise<void> {
    const { now } = this.#state.shared;
    const deadline = now() + options.timeoutMs;
    if (this.#isClosing) throw closingError();
    if (lsn > this.lastRecordLsn) await this.#waiters.wait(lsn, options);
    const { ancestor } = this;
    if (ancestor === undefined) return;
    const needed = Math.min(lsn, ancestor.lsn) as Lsn;
    try {
      await ancestor.timeline.#waitUntilIngested(needed, {
        ...options,
        timeoutMs: Math.max(0, deadline - now()),
      });
    } catch (error) {
      const { timeline, lastRecordLsn } = ancestor.timeline;
      // Of several ancestors the one that lags is named.
      const lags = error instanceof StorageError && error.code === 'lsn-not-available' && lastRecordLsn < needed;
      if (!lags) throw error;
      throw new StorageError(
        'lsn-not-available',
        `WAL up to ${formatLsn(needed)} of the timeline it was branched from, ${timeline}, has not arrived: that ends at ${formatLsn(lastRecordLsn)}`,
        { cause: error },
      );
    }
  }

  /** The first step of removal: whoever waits for this timeline, ingest included, waits no longer, and nobody reads it any more. */
  beginRemoval(): void {
    this.#flusher.retryNoMore();
    this.#isClosing = true;
    this.#state.isRemoved = true;
    this.#waiters.rejectAll(new StorageError('no-such-timeline', 'the timeline was removed'));
    this.#flusher.makeWay();
  }

  /** The second, when nothing more is put: ends background work without a flush, gives memory and files back. */
  async endRemoval(): Promise<void> {
    const { access } = this.#state.shared;
    this.#closing.abort(new StorageError('no-such-timeline', 'the timeline was removed'));
    await this.#compacting?.catch(() => undefined);
    await this.#flusher.ended();
    this.#flusher.retryNoMore();
    this.#flusher.dropAll();
    for (const { layer } of this.#state.layerMap.placed) access.handles.forget(layer.path);
  }

  #freeze(): void {
    this.#freezeWanted = false;
    this.#flusher.freeze();
  }

  #compactInBackground(): void {
    const { options, log } = this.#state.shared;
    if (
      this.#compacting !== undefined ||
      this.#closing.signal.aborted ||
      this.#state.layerMap.levelZero.length < options.compactionThreshold
    )
      return;
    void this.compact(options.compactionThreshold).catch((error: unknown) => {
      if (error instanceof AssertionError) throw error;
      if (!this.#closing.signal.aborted)
        log.warn(
          { tenant: this.tenant, timeline: this.timeline, err: error },
          'a compaction failed; the next flush tries it again',
        );
    });
  }
}

function closingError(): StorageError {
  return new StorageError('closing', 'the pageserver is shutting down');
}
