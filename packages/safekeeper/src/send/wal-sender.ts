import { formatLsn, lsn, type Lsn } from '@zenith/base';
import type { Term } from '@zenith/consensus';
import {
  decodeStatusUpdate,
  encodeKeepalive,
  encodeXLogDataHeader,
  PostgresServerError,
  type CopyBothStream,
  type PostgresSession,
} from '@zenith/wire';
import { XLOG_BLCKSZ } from '@zenith/pg-format';
import type { Timeline } from '../timeline/timeline.ts';
import type { WalReader } from '../wal-storage/wal-reader.ts';
import type { SenderMetrics } from './metrics.ts';

/** Most WAL in one XLogData message. PG 18: walsender.c, MAX_SEND_SIZE. Unit: bytes. */
const SEND_LENGTH_MAX = 16 * XLOG_BLCKSZ;

/** Under load a consumer of committed WAL gets a message this often or this large, whichever comes first, rather than one for each commit. Milliseconds, bytes. */
const COALESCE_MS = 5;
const COALESCE_LENGTH = 4 * XLOG_BLCKSZ;

/** WAL so close to the end of the log was just written: it lies in the page cache. Unit: bytes. */
const RECENT_LENGTH = 16 * 1024 * 1024;

/** A consumer hears something at least this often, and is asked for a status when it said nothing for as long. Unit: milliseconds. */
const KEEPALIVE_MS = 10_000;

/** A consumer that says nothing for this long is given up. PG: wal_sender_timeout. Unit: milliseconds. */
const SILENCE_MAX_MS = 60_000;

/** What a pageserver calls itself. What a stock standby or pg_receivewal has applied is in nobody's layers. */
export const PAGESERVER_NAME = 'pageserver';

/** What is to be sent. */
export interface WalSenderOptions {
  readonly startLsn: Lsn;
  /** Null: committed WAL. Otherwise up to the flush LSN, while this is the term. */
  readonly term: Term | null;
  readonly applicationName: string;
  readonly nowMs: () => number;
}

/** What a consumer last said of itself; LSNs 0 before it said anything. */
export interface ConsumerStatus {
  readonly applicationName: string;
  readonly sentLsn: Lsn;
  readonly writeLsn: Lsn;
  readonly flushLsn: Lsn;
  /** It has everything below in durable layers. */
  readonly remoteConsistentLsn: Lsn;
}

/**
 * Sends a timeline's WAL to one consumer, as PostgreSQL's walsender does: messages end where the WAL available ends, else at a page boundary. Woken by the timeline, not by a clock. At most
 * one message is in memory here; the socket holds a few until it says stop.
 */
export class WalSender {
  readonly #timeline: Timeline;
  readonly #session: PostgresSession;
  readonly #options: WalSenderOptions;
  readonly #metrics: SenderMetrics;
  readonly #reader: WalReader;
  readonly #stream: CopyBothStream;
  readonly #unsubscribe: () => void;
  readonly #timer: NodeJS.Timeout;
  #sentLsn: Lsn;
  #status = { writeLsn: lsn(0), flushLsn: lsn(0), remoteConsistentLsn: lsn(0) };
  #lastHeardMs: number;
  #lastSentMs = 0;
  #ended = false;
  #wake: (() => void) | undefined;
  /** The wait is for more WAL than there is, or for its time. */
  #coalescing = false;

  /** Enters CopyBoth mode and begins to send. @throws PostgresServerError when the WAL asked for is not here */
  constructor(timeline: Timeline, session: PostgresSession, options: WalSenderOptions, metrics: SenderMetrics) {
    const { identity, readableLsn } = timeline;
    // Stock tools begin at a segment's start. In its first segment a timeline has page headers before its own beginning, and no records.
    if (options.startLsn < readableLsn - (readableLsn % identity.segmentSize)) {
      throw new PostgresServerError(
        '58P01',
        `WAL at ${formatLsn(options.startLsn)} is not here: timeline ${identity.timeline} begins at ${formatLsn(readableLsn)}`,
      );
    }
    this.#timeline = timeline;
    this.#session = session;
    this.#options = options;
    this.#metrics = metrics;
    this.#sentLsn = options.startLsn;
    this.#limit();
    this.#reader = timeline.openReader();
    this.#stream = session.startCopyBoth(
      (_bytes, view, offset, length) => this.#receive(view, offset, length),
      () => this.closed(),
    );
    this.#stream.onDrain(() => this.#wakeUp());
    this.#unsubscribe = timeline.onAdvance(() => this.#onAdvance());
    this.#lastHeardMs = options.nowMs();
    this.#timer = setInterval(() => this.#checkAlive(), KEEPALIVE_MS);
    this.#timer.unref();
    this.#sendKeepalive(false);
    void this.#run();
  }

  /** For status. */
  get status(): ConsumerStatus {
    return { applicationName: this.#options.applicationName, sentLsn: this.#sentLsn, ...this.#status };
  }

  /** The connection is gone, or the consumer ended the copy. */
  closed(): void {
    this.#ended = true;
    this.#unsubscribe();
    clearInterval(this.#timer);
    this.#wakeUp();
  }

  async #run(): Promise<void> {
    try {
      while (!this.#ended && !this.#session.isEnded) {
        const limit = this.#limit();
        if (limit <= this.#sentLsn) await this.#nextWake();
        else if (this.#mayCoalesce(limit)) await this.#coalesce();
        else if (!(await this.#sendUpTo(limit))) await this.#nextWake();
      }
    } catch (error) {
      if (!this.#ended) this.#session.fail(error as Error);
    } finally {
      this.#reader.close();
    }
  }

  /** How far WAL may be sent. @throws PostgresServerError once another term than the one asked for is the safekeeper's */
  #limit(): Lsn {
    const { term } = this.#options;
    if (term === null) return this.#timeline.commitLsn;
    if (this.#timeline.term !== term)
      throw new PostgresServerError('55000', `the term is ${this.#timeline.term} by now, not ${term}`);
    return this.#timeline.flushLsn;
  }

  /** Sends one message. @returns false when the socket is full */
  async #sendUpTo(limit: Lsn): Promise<boolean> {
    const startLsn = this.#sentLsn;
    let end: number = limit;
    if (end - startLsn > SEND_LENGTH_MAX) {
      end = startLsn + SEND_LENGTH_MAX;
      end -= end % XLOG_BLCKSZ;
    }
    const bytes = Buffer.allocUnsafeSlow(end - startLsn);
    await this.#reader.read(startLsn, bytes, this.#timeline.flushLsn - startLsn <= RECENT_LENGTH);
    if (this.#ended || this.#session.isEnded) return true;
    this.#limit(); // WAL that is not committed may have been cut away during the read: then the term is another
    const more = this.#stream.send(encodeXLogDataHeader(startLsn, limit, this.#options.nowMs()), bytes);
    this.#sentLsn = lsn(end);
    this.#lastSentMs = this.#options.nowMs();
    this.#metrics.sentBytes.inc(bytes.length);
    return more;
  }

  #nextWake(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  /** True while what there is should wait for more. A proposer that recovers wants its WAL at once. */
  #mayCoalesce(limit: Lsn): boolean {
    const { term, nowMs } = this.#options;
    return term === null && limit - this.#sentLsn < COALESCE_LENGTH && nowMs() - this.#lastSentMs < COALESCE_MS;
  }

  async #coalesce(): Promise<void> {
    this.#coalescing = true;
    const timer = setTimeout(() => this.#wakeUp(), COALESCE_MS);
    await this.#nextWake();
    clearTimeout(timer);
    this.#coalescing = false;
  }

  #onAdvance(): void {
    if (this.#coalescing && this.#timeline.commitLsn - this.#sentLsn < COALESCE_LENGTH) return;
    this.#wakeUp();
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #receive(view: DataView, offset: number, length: number): void {
    this.#lastHeardMs = this.#options.nowMs();
    const update = decodeStatusUpdate(view, offset, length);
    if (update === undefined) return;
    this.#status = { writeLsn: update.written, flushLsn: update.flushed, remoteConsistentLsn: update.applied };
    if (this.#options.term === null && this.#options.applicationName === PAGESERVER_NAME) {
      this.#timeline.noteIngested(update.written);
      this.#timeline.progress({ remoteConsistentLsn: update.applied });
    }
    if (update.replyRequested) this.#sendKeepalive(false);
  }

  #checkAlive(): void {
    const silence = this.#options.nowMs() - this.#lastHeardMs;
    if (silence >= SILENCE_MAX_MS)
      this.#session.fail(new PostgresServerError('57P05', `the consumer said nothing for ${SILENCE_MAX_MS / 1000} s`));
    else this.#sendKeepalive(silence >= KEEPALIVE_MS);
  }

  #sendKeepalive(replyRequested: boolean): void {
    this.#stream.send(encodeKeepalive(this.#timeline.commitLsn, replyRequested, this.#options.nowMs()));
  }
}
