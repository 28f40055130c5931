import { PG_TIMELINE, formatLsn, lsn, type Lsn } from '@zenith/base';
import { PostgresClient, type PostgresClientOptions } from './client.ts';
import type { CopyBothStream } from './copy-both.ts';
import { PostgresProtocolError } from './errors.ts';
import { decodeWalSenderMessage, encodeStatusUpdate, walSenderMessage } from './replication.ts';

/** How much may wait to be read before the socket is paused. Unit: bytes. */
const QUEUED_BYTES_MAX = 1024 * 1024;

/** Reads WAL from a server of physical replication in order. It holds at most about {@link QUEUED_BYTES_MAX} bytes that nobody has asked for yet, and reports nothing as flushed. */
export class WalStreamReader {
  readonly #client: PostgresClient;
  readonly #queue: Uint8Array[] = [];
  readonly #message = walSenderMessage();
  #stream: CopyBothStream | undefined;
  #queuedBytes = 0;
  #paused = false;
  #receivedLsn: Lsn;
  #ended: Error | undefined;
  #wake: () => void = () => undefined;

  private constructor(client: PostgresClient, from: Lsn) {
    this.#client = client;
    this.#receivedLsn = from;
    void client.closed.then((error) => {
      this.#ended ??= error ?? new Error('the server closed the connection');
      this.#wake();
    });
  }

  /** Connects and asks for WAL from `from` on. @throws what {@link PostgresClient.connect} and {@link PostgresClient.copyBoth} throw */
  static async open(server: PostgresClientOptions, from: Lsn): Promise<WalStreamReader> {
    const client = await PostgresClient.connect(server);
    const reader = new WalStreamReader(client, from);
    try {
      reader.#stream = await client.copyBoth(
        `START_REPLICATION PHYSICAL ${formatLsn(from)} TIMELINE ${PG_TIMELINE}`,
        (bytes, view, offset, length) => reader.#receive(bytes, view, offset, length),
      );
      return reader;
    } catch (error) {
      client.destroy();
      throw error;
    }
  }

  /**
   * The next bytes of WAL, following those of the call before; waits for them. They are the caller's.
   * @throws PostgresProtocolError `connection-failed` when the connection ended before there were any
   */
  async next(): Promise<Uint8Array> {
    for (;;) {
      const bytes = this.#queue.shift();
      if (bytes !== undefined) {
        this.#queuedBytes -= bytes.length;
        if (this.#paused && this.#queuedBytes < QUEUED_BYTES_MAX / 2) {
          this.#paused = false;
          this.#stream?.resume();
        }
        return bytes;
      }
      if (this.#ended !== undefined)
        throw new PostgresProtocolError(
          'connection-failed',
          `reading WAL ended at ${formatLsn(this.#receivedLsn)}: ${this.#ended.message}`,
          { cause: this.#ended },
        );
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Ends the connection. A {@link next} under way fails. */
  close(): void {
    this.#client.destroy();
  }

  #receive(bytes: Uint8Array, view: DataView, offset: number, length: number): void {
    const message = this.#message;
    decodeWalSenderMessage(view, offset, length, message);
    if (message.kind === 'keepalive') {
      if (message.replyRequested)
        this.#stream?.send(
          encodeStatusUpdate({ written: this.#receivedLsn, flushed: lsn(0), applied: lsn(0) }, false, Date.now()),
        );
      return;
    }
    if (message.startLsn !== this.#receivedLsn) {
      this.#ended = new Error(
        `WAL from ${formatLsn(message.startLsn)} came where ${formatLsn(this.#receivedLsn)} was due`,
      );
      this.#client.destroy();
      return;
    }
    this.#queue.push(Uint8Array.from(bytes.subarray(message.walOffset, message.walOffset + message.walLength))); // not slice(): a Buffer's does not copy
    this.#queuedBytes += message.walLength;
    this.#receivedLsn = lsn(this.#receivedLsn + message.walLength);
    if (this.#queuedBytes > QUEUED_BYTES_MAX && !this.#paused) {
      this.#paused = true;
      this.#stream?.pause();
    }
    this.#wake();
  }
}
