import { setTimeout as sleep } from 'node:timers/promises';
import type { Tokens } from '@zenith/auth';
import { AssertionError, CorruptionError, formatLsn, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import type { Logger } from 'pino';
import type { SafekeeperAddress } from '../options.ts';
import type { IngestMetrics } from './metrics.ts';
import { Pacer } from './pacer.ts';
import type { IngestTarget } from './target.ts';
import { WalApplier } from './wal-applier.ts';
import { WalIngest, type IngestStatistics } from './wal-ingest.ts';
import { receiveWal } from './wal-receiver.ts';

const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 5000;

/** A connection on which nothing arrives while another safekeeper is ahead is given up after this time. Unit: ms. */
const LAG_MAX_MS = 5000;

/** A connection is closed when nothing arrived for this long; it is made again when a safekeeper says there is more. Unit: ms. */
const IDLE_MAX_MS = 60_000;

/** A timeline whose WAL is followed. */
export interface FollowedTimeline extends IngestTarget {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** Everything up to here survives a crash. */
  readonly diskConsistentLsn: Lsn;
  /** Everything up to here survives the loss of this disk; 0 while nothing is known to. */
  readonly remoteConsistentLsn: Lsn;
  /** Pages that were read so far, of this timeline and of those that it shares the process with. */
  readonly pagesRead: number;
  /** What to wait for before more is put, when too much waits for its way to disk. */
  backpressure(): Promise<void> | undefined;
  /** Resolves when everything up to `lsn` can be read, in ancestors too. */
  waitForLsn(lsn: Lsn, options: { readonly timeoutMs: number; readonly signal?: AbortSignal }): Promise<void>;
  /** Resolves when everything that ingest looks at in the middle of a record is on this disk, and stays there. */
  fetchForIngest(signal: AbortSignal): Promise<void>;
}

/** What followers share. */
export interface FollowerContext {
  readonly log: Logger;
  /** What safekeepers are shown. */
  readonly tokens: Tokens;
  readonly metrics: IngestMetrics;
  /** A monotonic clock. Unit: ms. */
  readonly now: () => number;
  /** The time of day. Unit: ms since 1970. */
  readonly wallClock: () => number;
}

interface Candidate {
  readonly safekeeper: SafekeeperAddress;
  commitLsn: Lsn;
  /** Not to be tried again before. Unit: ms of the monotonic clock. */
  retryAt: number;
  backoffMs: number;
}

/** How a follower is. `failed`: its WAL cannot be understood, or what is needed for it is damaged here and in remote storage; nothing more is ingested until the process starts again. */
export type FollowerState = 'idle' | 'following' | 'failed' | 'stopped';

/**
 * Keeps one timeline up to date: follows its WAL on one safekeeper at a time, the one that has most of it, and changes over when that one fails, falls silent or lags behind.
 */
export class TimelineFollower {
  readonly #timeline: FollowedTimeline;
  readonly #context: FollowerContext;
  readonly #log: Logger;
  readonly #candidates = new Map<SafekeeperAddress['id'], Candidate>();
  readonly #stop = new AbortController();
  #connection: { readonly candidate: Candidate; readonly abort: AbortController; heardAt: number } | undefined;
  #ingest: WalIngest | undefined;
  #state: FollowerState = 'idle';
  #wake: () => void = () => undefined;
  readonly #running: Promise<void>;

  /** Begins to follow as soon as a safekeeper is offered. */
  constructor(timeline: FollowedTimeline, context: FollowerContext) {
    this.#timeline = timeline;
    this.#context = context;
    this.#log = context.log.child({ tenant: timeline.tenant, timeline: timeline.timeline });
    this.#running = this.#run();
  }

  /** How it is. */
  get state(): FollowerState {
    return this.#state;
  }

  /** Live counts of what was ingested; undefined before the first record. */
  get statistics(): IngestStatistics | undefined {
    return this.#ingest?.statistics;
  }

  /** The end of committed WAL, as far as any safekeeper has said. */
  get commitLsn(): Lsn {
    let highest = this.#timeline.lastRecordLsn;
    for (const { commitLsn } of this.#candidates.values()) if (commitLsn > highest) highest = commitLsn;
    return highest;
  }

  /** A safekeeper has WAL of this timeline up to `commitLsn`. */
  offer(safekeeper: SafekeeperAddress, commitLsn: Lsn): void {
    const known = this.#candidates.get(safekeeper.id);
    if (known === undefined)
      this.#candidates.set(safekeeper.id, { safekeeper, commitLsn, retryAt: 0, backoffMs: BACKOFF_MIN_MS });
    else known.commitLsn = commitLsn;
    const connection = this.#connection;
    if (connection !== undefined) {
      const silentFor = this.#context.now() - connection.heardAt;
      const isBehind = connection.candidate.safekeeper.id !== safekeeper.id && commitLsn > this.#timeline.lastRecordLsn;
      if (isBehind && silentFor > LAG_MAX_MS) {
        connection.candidate.retryAt = this.#context.now() + LAG_MAX_MS;
        connection.abort.abort();
      } else if (silentFor > IDLE_MAX_MS && this.commitLsn <= this.#timeline.lastRecordLsn) {
        connection.abort.abort();
      }
    }
    this.#wake();
  }

  /** Only these safekeepers are followed from now on, at the addresses given. */
  retain(safekeepers: readonly SafekeeperAddress[]): void {
    for (const [id, candidate] of this.#candidates) {
      const { safekeeper } = candidate;
      const stays = safekeepers.some(
        (one) => one.id === id && one.host === safekeeper.host && one.port === safekeeper.port,
      );
      if (stays) continue;
      this.#candidates.delete(id);
      if (this.#connection?.candidate === candidate) this.#connection.abort.abort();
    }
    this.#wake();
  }

  /** Stops; resolves when nothing more is put. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#connection?.abort.abort();
    this.#wake();
    await this.#running;
    if (this.#state !== 'failed') this.#state = 'stopped';
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const candidate = this.#best();
      if (candidate === undefined) {
        await this.#nothingToDo();
        continue;
      }
      try {
        // Ingest that meets a damaged layer gives up the record at hand: the layer is fetched, and the stream begins again at that record.
        await this.#timeline.fetching(() => this.#follow(candidate));
        candidate.backoffMs = BACKOFF_MIN_MS;
      } catch (error) {
        if (error instanceof AssertionError) throw error;
        if (error instanceof CorruptionError) {
          this.#state = 'failed';
          this.#context.metrics.failures.inc();
          this.#log.error(
            { err: error, lsn: formatLsn(this.#timeline.lastRecordLsn) },
            'WAL cannot be ingested any further: the timeline stays at this LSN until the pageserver starts again',
          );
          return;
        }
        this.#backOff(candidate, error as Error);
      }
    }
  }

  /** The safekeeper that is furthest among those ahead of this timeline that may be tried now. */
  #best(): Candidate | undefined {
    let best: Candidate | undefined;
    for (const candidate of this.#candidates.values()) {
      if (candidate.commitLsn <= this.#timeline.lastRecordLsn || candidate.retryAt > this.#context.now()) continue;
      if (best === undefined || candidate.commitLsn > best.commitLsn) best = candidate;
    }
    return best;
  }

  /** Waits for an offer, or for the end of a candidate's backoff. */
  async #nothingToDo(): Promise<void> {
    if (this.#state === 'following') this.#state = 'idle';
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    let retryAt = Number.POSITIVE_INFINITY;
    for (const candidate of this.#candidates.values()) {
      if (candidate.commitLsn > this.#timeline.lastRecordLsn) retryAt = Math.min(retryAt, candidate.retryAt);
    }
    if (retryAt === Number.POSITIVE_INFINITY) {
      await woken;
      return;
    }
    const cancel = new AbortController();
    const pause = sleep(Math.max(retryAt - this.#context.now(), 1), undefined, { signal: cancel.signal }).catch(
      () => undefined,
    );
    await Promise.race([woken, pause]);
    cancel.abort();
  }

  async #follow(candidate: Candidate): Promise<void> {
    const timeline = this.#timeline;
    const { metrics, now, wallClock } = this.#context;
    const abort = new AbortController();
    this.#connection = { candidate, abort, heardAt: now() };
    if (this.#stop.signal.aborted) abort.abort();
    try {
      // The head of a branch that has no WAL of its own yet lies in its ancestor.
      await timeline.waitForLsn(timeline.lastRecordLsn, { timeoutMs: IDLE_MAX_MS, signal: abort.signal });
      await timeline.fetchForIngest(abort.signal);
      const pacer = new Pacer(now, timeline, this.#stop.signal);
      this.#ingest = WalIngest.at(timeline, pacer, this.#ingest);
      const applier = new WalApplier(timeline, this.#ingest, pacer, this.#ingest.walOptions);
      this.#state = 'following';
      this.#log.info({ safekeeper: candidate.safekeeper.id, lsn: formatLsn(timeline.lastRecordLsn) }, 'following WAL');
      await receiveWal({
        safekeeper: candidate.safekeeper,
        token: this.#context.tokens.token(timeline.timeline),
        trust: this.#context.tokens.trust,
        tenant: timeline.tenant,
        timeline: timeline.timeline,
        systemId: this.#ingest.walOptions.systemId,
        progress: timeline,
        applier,
        signal: abort.signal,
        now: wallClock,
        onReceived: (bytes, serverLsn) => {
          metrics.receivedBytes.inc(bytes);
          candidate.backoffMs = BACKOFF_MIN_MS;
          if (serverLsn > candidate.commitLsn) candidate.commitLsn = serverLsn;
          if (bytes > 0 && this.#connection !== undefined) this.#connection.heardAt = now();
        },
      });
    } catch (error) {
      if (!abort.signal.aborted || error instanceof AssertionError || error instanceof CorruptionError) throw error;
    } finally {
      this.#connection = undefined;
    }
  }

  #backOff(candidate: Candidate, error: Error): void {
    candidate.retryAt = this.#context.now() + candidate.backoffMs;
    candidate.backoffMs = Math.min(candidate.backoffMs * 2, BACKOFF_MAX_MS);
    this.#context.metrics.reconnects.inc();
    this.#log.warn(
      { safekeeper: candidate.safekeeper.id, reason: error.message, retryMs: candidate.retryAt - this.#context.now() },
      'WAL source lost',
    );
  }
}
