import { PG_TIMELINE, formatLsn, lsn, type Lsn } from '@zenith/base';
import {
  PostgresClient,
  decodeWalSenderMessage,
  encodeStatusUpdate,
  walSenderMessage,
  type CopyBothStream,
} from '@zenith/wire';
import { WAL_PROPOSER_NAME, WAL_PROPOSER_SLOT } from '../data-directory/configuration.ts';
import { ComputeError } from '../errors.ts';

/** Whose WAL to receive and from where. */
export interface PostgresWalStreamOptions {
  readonly host: string;
  readonly port: number;
  /** A superuser. */
  readonly user: string;
  /** First byte wanted. */
  readonly startLsn: Lsn;
  /** What has been committed by the quorum so far. */
  readonly commitLsn: Lsn;
  /** Takes WAL in order, without gaps; the bytes are only borrowed. */
  readonly onWal: (bytes: Uint8Array, offset: number, length: number) => void;
}

/** Bound on connecting to a PostgreSQL that is on this machine and ready. Unit: milliseconds. */
const CONNECT_TIMEOUT_MS = 10_000;

/**
 * The physical replication client that is PostgreSQL's one synchronous standby: it receives WAL as soon as PostgreSQL has written it, and releases commits by reporting the quorum's commit point as
 * its own flush position. A slot keeps PostgreSQL from removing WAL above that.
 */
export class PostgresWalStream {
  readonly #client: PostgresClient;
  readonly #options: PostgresWalStreamOptions;
  readonly #message = walSenderMessage();
  #stream: CopyBothStream | undefined;
  #receivedLsn: Lsn;
  #commitLsn: Lsn;
  #reportScheduled = false;

  private constructor(client: PostgresClient, options: PostgresWalStreamOptions) {
    this.#client = client;
    this.#options = options;
    this.#receivedLsn = options.startLsn;
    this.#commitLsn = options.commitLsn;
  }

  /**
   * Connects, makes the slot when there is none, and begins to stream.
   * @throws PostgresServerError, PostgresProtocolError
   */
  static async open(options: PostgresWalStreamOptions): Promise<PostgresWalStream> {
    const { host, port, user, startLsn } = options;
    const client = await PostgresClient.connect({
      host,
      port,
      timeoutMs: CONNECT_TIMEOUT_MS,
      parameters: { user, replication: 'true', application_name: WAL_PROPOSER_NAME },
      keepsNothing: true, // what takes WAL copies it
    });
    try {
      const slot = await client.query(`READ_REPLICATION_SLOT ${WAL_PROPOSER_SLOT}`);
      // One row always; its columns are null when there is no such slot.
      if ((slot.rows[0]?.[0] ?? null) === null)
        await client.query(`CREATE_REPLICATION_SLOT ${WAL_PROPOSER_SLOT} PHYSICAL RESERVE_WAL`);
      const stream = new PostgresWalStream(client, options);
      const command = `START_REPLICATION SLOT ${WAL_PROPOSER_SLOT} PHYSICAL ${formatLsn(startLsn)} TIMELINE ${PG_TIMELINE}`;
      stream.#stream = await client.copyBoth(command, (bytes, view, offset, length) =>
        stream.#receive(bytes, view, offset, length),
      );
      stream.#report();
      return stream;
    } catch (error) {
      client.destroy();
      throw error;
    }
  }

  /** Settles when the connection is gone, with the error if there was one. */
  get closed(): Promise<Error | undefined> {
    return this.#client.closed;
  }

  /** Releases what waits for `commitLsn`. Calls within one turn of the event loop become one message. */
  reportCommit(commitLsn: Lsn): void {
    this.#commitLsn = commitLsn;
    if (this.#reportScheduled) return;
    this.#reportScheduled = true;
    queueMicrotask(() => {
      this.#reportScheduled = false;
      this.#report();
    });
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#client.destroy();
  }

  #report(): void {
    // Never beyond what was received: after a reconnection PostgreSQL would take that for a standby from the future.
    const reached = Math.min(this.#commitLsn, this.#receivedLsn) as Lsn;
    this.#stream?.send(encodeStatusUpdate({ written: reached, flushed: reached, applied: reached }, false, Date.now()));
  }

  #receive(bytes: Uint8Array, view: DataView, offset: number, length: number): void {
    const message = this.#message;
    decodeWalSenderMessage(view, offset, length, message);
    if (message.kind === 'keepalive') {
      if (message.replyRequested) this.#report();
      return;
    }
    if (message.startLsn !== this.#receivedLsn) {
      throw new ComputeError(
        'replication-lost',
        `PostgreSQL sent WAL from ${formatLsn(message.startLsn)} where ${formatLsn(this.#receivedLsn)} was due`,
      );
    }
    this.#receivedLsn = lsn(this.#receivedLsn + message.walLength);
    this.#options.onWal(bytes, message.walOffset, message.walLength);
  }
}
