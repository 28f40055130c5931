import { PostgresServerError } from '@zenith/wire';
import { setTimeout as sleep } from 'node:timers/promises';
import { CommitThrottle } from '../backpressure/commit-throttle.ts';
import { messageOf } from '../errors.ts';
import { Backoff } from './backoff.ts';
import { PostgresWalStream } from './postgres-wal-stream.ts';
import type { ProposerLog, WalProposer } from './wal-proposer.ts';

/** Between which PostgreSQL and which proposer. */
export interface WalForwarderOptions {
  readonly proposer: Pick<WalProposer, 'append' | 'commitLsn' | 'endLsn' | 'onCommit'>;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly log: ProposerLog;
  /** Called when PostgreSQL refuses to stream for a reason that does not pass: the compute is of no use any more. */
  readonly onFailure: (error: Error) => void;
}

/** Delays between attempts: what refuses a connection for a moment passes within them. Unit: milliseconds. */
const RECONNECT_FIRST_MS = 10;
const RECONNECT_MAX_MS = 500;

/**
 * Refusals that pass by themselves: the database system is starting up or shutting down (57P03), the slot is still held by the connection before (55006), all WAL senders
 * are taken (53300), the server is just being stopped (57P01), a person cancels while the stream is being set up (57014).
 */
const PASSING = new Set(['57P03', '55006', '53300', '57P01', '57014']);

/**
 * Keeps WAL flowing from PostgreSQL to the proposer and commits flowing back, over as many connections as it takes: a person may end one (pg_terminate_backend, pg_cancel_backend), a connection may be lost, and a walsender may fail.
 * PostgreSQL 17 and 18 have one that does: after an xlog switch that ends exactly with its segment, and before the next record, pg_switch_wal()'s transaction asks for a flush of the next page's header, and no walsender gets past the switch while that counts as WAL. PG 18: XLogInsertRecord(), WALReadFromBuffers(), xlog.c.
 */
export class WalForwarder {
  readonly #options: WalForwarderOptions;
  readonly #stop = new AbortController();
  readonly #throttle: CommitThrottle;
  readonly #done: Promise<void>;
  #stream: PostgresWalStream | undefined;
  #onStreaming: () => void = () => undefined;
  /** Resolves when WAL flows for the first time. */
  readonly streaming: Promise<void>;

  /** Begins at once; PostgreSQL must be ready and the proposer elected. */
  constructor(options: WalForwarderOptions) {
    this.#options = options;
    this.streaming = new Promise((resolve) => {
      this.#onStreaming = resolve;
    });
    this.#throttle = new CommitThrottle(
      (commitLsn) => this.#stream?.reportCommit(commitLsn),
      () => performance.now(),
    );
    options.proposer.onCommit = (commitLsn): void => this.#throttle.pass(commitLsn);
    this.#done = this.#run();
  }

  /** Holds commit points back before PostgreSQL hears of them. */
  get throttle(): CommitThrottle {
    return this.#throttle;
  }

  /** Ends the connection and waits until nothing is under way any more. PostgreSQL ends it itself at the end of a clean stop: call this afterwards. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#throttle.close();
    this.#stream?.destroy();
    await this.#done;
  }

  async #run(): Promise<void> {
    const { proposer, host, port, user, log, onFailure } = this.#options;
    const backoff = new Backoff(RECONNECT_FIRST_MS, RECONNECT_MAX_MS, Math.random);
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const stream = await PostgresWalStream.open({
          host,
          port,
          user,
          startLsn: proposer.endLsn,
          commitLsn: proposer.commitLsn,
          onWal: (bytes, offset, length) => {
            backoff.reset(); // not earlier: a PostgreSQL that cannot read its WAL just now says so only after it has begun to stream
            proposer.append(bytes, offset, length);
          },
        });
        this.#stream = stream;
        if (signal.aborted) stream.destroy();
        stream.reportCommit(proposer.commitLsn); // it may have moved while the connection was made
        this.#onStreaming();
        const error = await stream.closed;
        this.#stream = undefined;
        if (!signal.aborted)
          log.info({ reason: error?.message ?? 'PostgreSQL ended it' }, 'WAL stream from PostgreSQL ended');
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof PostgresServerError && !PASSING.has(error.sqlState)) return onFailure(error);
        log.info({ reason: messageOf(error) }, 'WAL stream from PostgreSQL not available');
      }
      await sleep(backoff.next(), undefined, { signal }).catch(() => undefined); // rejects on abort, which ends the loop
    }
  }
}
