import { PG_TIMELINE, formatLsn, lsn, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import {
  PostgresClient,
  decodeWalSenderMessage,
  encodeStatusUpdate,
  walSenderMessage,
  type CopyBothStream,
} from '@zenith/wire';
import { ComputeError } from '../errors.ts';
import { SAFEKEEPER_CONNECT_TIMEOUT_MS, safekeeperParameters, type SafekeeperAddress } from './safekeeper-address.ts';

/** How much may wait to be read before the socket is paused. Unit: bytes. */
const QUEUED_BYTES_MAX = 1024 * 1024;

/** Whose WAL to read and how far one may see. */
export interface SafekeeperWalSource {
  readonly address: SafekeeperAddress;
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** Read up to the flush LSN while this term is the safekeeper's; left out: committed WAL only. */
  readonly term?: number;
  readonly timeoutMs?: number;
}

/** Reads a timeline's WAL from a safekeeper in order. It holds at most about {@link QUEUED_BYTES_MAX} bytes that nobody has asked for yet. */
export class SafekeeperWalReader {
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
      this.#ended = error ?? new Error('the safekeeper closed the connection');
      this.#wake();
    });
  }

  /** Connects and asks for WAL from `from` on. @throws what {@link PostgresClient.connect} and {@link PostgresClient.copyBoth} throw */
  static async open(source: SafekeeperWalSource, from: Lsn): Promise<SafekeeperWalReader> {
    const { address, tenant, timeline, term } = source;
    const client = await PostgresClient.connect({
      host: address.host,
      port: address.port,
      parameters: safekeeperParameters(tenant, timeline, term),
      timeoutMs: source.timeoutMs ?? SAFEKEEPER_CONNECT_TIMEOUT_MS,
    });
    const reader = new SafekeeperWalReader(client, from);
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
   * @throws ComputeError `wal-unavailable` when the connection ended before there were any
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
        throw new ComputeError(
          'wal-unavailable',
          `reading WAL from a safekeeper ended at ${formatLsn(this.#receivedLsn)}: ${this.#ended.message}`,
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

/** The WAL `[from, to)` in one piece, the caller's. Give bounded ranges only. @throws as {@link SafekeeperWalReader} does */
export async function readSafekeeperWal(source: SafekeeperWalSource, from: Lsn, to: Lsn): Promise<Uint8Array> {
  const bytes = new Uint8Array(to - from);
  if (bytes.length === 0) return bytes;
  const reader = await SafekeeperWalReader.open(source, from);
  const timer = setTimeout(() => reader.close(), source.timeoutMs ?? SAFEKEEPER_CONNECT_TIMEOUT_MS);
  try {
    for (let done = 0; done < bytes.length;) {
      const chunk = await reader.next();
      bytes.set(chunk.subarray(0, bytes.length - done), done);
      done += chunk.length;
    }
    return bytes;
  } finally {
    clearTimeout(timer);
    reader.close();
  }
}
