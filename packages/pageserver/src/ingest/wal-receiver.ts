import type { Trust } from '@zenith/auth';
import { formatLsn, type Lsn, type SystemId, type TenantId, type TimelineId } from '@zenith/base';
import {
  PostgresClient,
  decodeWalSenderMessage,
  encodeStatusUpdate,
  walSenderMessage,
  type CopyBothStream,
} from '@zenith/wire';
import { PageserverError } from '../errors.ts';
import type { SafekeeperAddress } from '../options.ts';
import type { WalApplier } from './wal-applier.ts';

const CONNECT_TIMEOUT_MS = 5000;

/** A safekeeper that sends nothing for this long, not even a keepalive, is given up. Unit: ms. */
const SILENCE_MAX_MS = 30_000;

/** At least so often the safekeeper is told how far this side is. Unit: ms. */
const STATUS_INTERVAL_MS = 1000;

/** WAL that was received and not yet ingested; above it the socket is paused. Unit: bytes. */
const QUEUE_BYTES_MAX = 2 * 1024 * 1024;

/** What a receiver reports to the safekeeper. Everything said to be durable is. */
export interface IngestProgress {
  readonly lastRecordLsn: Lsn;
  readonly diskConsistentLsn: Lsn;
  /** Everything up to here survives the loss of this disk; 0 while nothing is known to. */
  readonly remoteConsistentLsn: Lsn;
}

/** Whose WAL, from where, and who takes it. */
export interface WalReceiverOptions {
  readonly safekeeper: SafekeeperAddress;
  /** Shown to the safekeeper; undefined where none is required. */
  readonly token: string | undefined;
  /** How the safekeeper is known; undefined: the connection is plain. */
  readonly trust: Trust | undefined;
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** The database system whose WAL it must be. */
  readonly systemId: SystemId;
  readonly progress: IngestProgress;
  readonly applier: WalApplier;
  /** Ends the connection when aborted. */
  readonly signal: AbortSignal;
  /** The time of day. Unit: ms since 1970. */
  readonly now: () => number;
  /** Told of every chunk that arrives: how many bytes, and how far the safekeeper's WAL reaches. */
  readonly onReceived: (bytes: number, serverLsn: Lsn) => void;
}

/**
 * Follows one timeline's WAL on one safekeeper over a physical replication connection until the connection ends, which it always does with an exception, or until it is told to
 * stop. Received bytes are copied, queued up to a bound and ingested in slices.
 * @throws PostgresProtocolError, PostgresServerError, PageserverError `wal-source-failed`: try again, here or elsewhere; CorruptionError: see WalApplier.apply()
 */
export async function receiveWal(options: WalReceiverOptions): Promise<void> {
  const { safekeeper, tenant, timeline, signal } = options;
  const client = await PostgresClient.connect({
    host: safekeeper.host,
    port: safekeeper.port,
    parameters: {
      user: 'pageserver',
      replication: 'true',
      application_name: 'pageserver',
      options: `-c zenith.tenant=${tenant} -c zenith.timeline=${timeline}`,
    },
    password: options.token,
    trust: options.trust,
    timeoutMs: CONNECT_TIMEOUT_MS,
  });
  const stop = (): void => client.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    if (signal.aborted) return;
    await new Receiver(client, options).run();
  } finally {
    signal.removeEventListener('abort', stop);
    client.destroy();
  }
}

class Receiver {
  readonly #client: PostgresClient;
  readonly #options: WalReceiverOptions;
  readonly #message = walSenderMessage();
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #nextLsn: Lsn;
  #stream: CopyBothStream | undefined;
  /** The ingest of the queue, while it is under way. */
  #applying: Promise<void> | undefined;
  #paused = false;
  #heardAt: number;
  #fail: (error: unknown) => void = () => undefined;

  constructor(client: PostgresClient, options: WalReceiverOptions) {
    this.#client = client;
    this.#options = options;
    this.#nextLsn = options.applier.nextByteLsn;
    this.#heardAt = options.now();
  }

  async run(): Promise<void> {
    const failed = new Promise<never>((_, reject) => {
      this.#fail = reject;
    });
    failed.catch(() => undefined); // it may reject before anybody waits for it
    await this.#identify();
    const start = formatLsn(this.#nextLsn);
    this.#stream = await this.#client.copyBoth(
      `START_REPLICATION PHYSICAL ${start} TIMELINE 1`,
      (_, view, offset, length) => this.#receive(view, offset, length),
    );
    if (this.#paused) this.#stream.pause(); // WAL came along with the reply to the command
    this.#heardAt = this.#options.now();
    const timer = setInterval(() => this.#tick(), STATUS_INTERVAL_MS);
    try {
      this.#sendStatus();
      const error = await Promise.race([failed, this.#client.closed]);
      if (!this.#options.signal.aborted)
        throw error ?? new PageserverError('wal-source-failed', 'the safekeeper ended the stream');
    } finally {
      clearInterval(timer);
      this.#queue.length = 0;
      await this.#applying; // a later connection begins where this one's last record ends
    }
  }

  /** Another system's WAL can look like the right one for megabytes. */
  async #identify(): Promise<void> {
    const { systemId } = this.#options;
    const found = (await this.#client.query('IDENTIFY_SYSTEM')).rows[0]?.[0];
    if (found !== systemId)
      throw new PageserverError('wal-source-failed', `it has WAL of the database system ${found}, not of ${systemId}`);
  }

  #receive(view: DataView, offset: number, length: number): void {
    const message = this.#message;
    decodeWalSenderMessage(view, offset, length, message);
    this.#heardAt = this.#options.now();
    this.#options.onReceived(message.walLength, message.serverLsn);
    if (message.kind === 'keepalive') {
      if (message.replyRequested) this.#sendStatus();
      return;
    }
    if (message.startLsn !== this.#nextLsn) {
      throw new PageserverError(
        'wal-source-failed',
        `WAL from ${formatLsn(message.startLsn)} arrived, ${formatLsn(this.#nextLsn)} was expected`,
      );
    }
    this.#nextLsn = (this.#nextLsn + message.walLength) as Lsn;
    this.#queue.push(new Uint8Array(view.buffer, view.byteOffset + message.walOffset, message.walLength).slice());
    this.#queuedBytes += message.walLength;
    if (this.#queuedBytes > QUEUE_BYTES_MAX && !this.#paused) {
      this.#paused = true;
      this.#stream?.pause();
    }
    this.#applying ??= this.#applyQueue();
  }

  /** Never rejects: what goes wrong ends the connection. */
  async #applyQueue(): Promise<void> {
    try {
      for (let bytes = this.#queue.shift(); bytes !== undefined; bytes = this.#queue.shift()) {
        await this.#options.applier.apply(bytes);
        this.#queuedBytes -= bytes.length;
        if (this.#paused && this.#queuedBytes <= QUEUE_BYTES_MAX / 2) {
          this.#paused = false;
          this.#stream?.resume();
        }
      }
      this.#applying = undefined;
    } catch (error) {
      this.#fail(error); // still marked as applying: nothing more of this stream is
    }
  }

  #tick(): void {
    if (!this.#paused && this.#options.now() - this.#heardAt > SILENCE_MAX_MS) {
      this.#fail(new PageserverError('wal-source-failed', `the safekeeper was silent for ${SILENCE_MAX_MS / 1000} s`));
      return;
    }
    this.#sendStatus();
  }

  #sendStatus(): void {
    const { progress, now } = this.#options;
    this.#stream?.send(
      encodeStatusUpdate(
        { written: progress.lastRecordLsn, flushed: progress.diskConsistentLsn, applied: progress.remoteConsistentLsn },
        false,
        now(),
      ),
    );
  }
}
