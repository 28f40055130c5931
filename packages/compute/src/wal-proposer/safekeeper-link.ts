import { unreachable } from '@zenith/base';
import type { AcceptorMessage, AppendRequest, Elected, Greeting, NodeId, VoteRequest } from '@zenith/consensus';
import { PostgresClient, decodeAcceptorMessage, encodeProposerMessage, type CopyBothStream } from '@zenith/wire';
import { messageOf } from '../errors.ts';
import { Backoff } from './backoff.ts';
import { SAFEKEEPER_CONNECT_TIMEOUT_MS, safekeeperParameters, type SafekeeperAddress } from './safekeeper-address.ts';
import { AppendBytes, type WalSources } from './wal-source.ts';

/** What a link tells the proposer. */
export interface SafekeeperLinkHandlers {
  connected(node: NodeId): void;
  /** The connection is gone. The link connects again by itself. `reason` is for the log. */
  disconnected(node: NodeId, reason: string): void;
  message(node: NodeId, message: AcceptorMessage): void;
}

type Outgoing =
  | { readonly kind: 'message'; readonly message: Greeting | VoteRequest | Elected }
  | { readonly kind: 'append'; readonly request: AppendRequest; readonly donor: NodeId | null };

/** First and longest delay between attempts to connect. Unit: milliseconds. */
const RECONNECT_FIRST_MS = 50;
const RECONNECT_MAX_MS = 1_000;

/** What may wait in the socket before the outbox is held back. Unit: bytes. */
const UNSENT_BYTES_MAX = 2 * 1024 * 1024;

/** The consensus core bounds WAL in flight; this bounds commit reports and probes for a safekeeper that reads nothing. */
const OUTBOX_LENGTH_MAX = 10_000;

/** A commit LSN that has no WAL to ride on is told after so long: under load the next WAL is there before, which spares the safekeeper a wake-up for each sync. Unit: milliseconds. */
const COMMIT_NOTICE_MS = 4;

/** A connection on which a probed safekeeper has said nothing for so long is given up. Unit: milliseconds. */
const SILENCE_MAX_MS = 15_000;

/** The proposer's connection to one safekeeper: made again whenever it is lost, sends in order, never holds up the others. */
export class SafekeeperLink {
  readonly #address: SafekeeperAddress;
  readonly #sources: WalSources;
  readonly #handlers: SafekeeperLinkHandlers;
  readonly #backoff: Backoff;
  #bytes: AppendBytes;
  #client: PostgresClient | undefined;
  #stream: CopyBothStream | undefined;
  #outbox: Outgoing[] = [];
  #sent = 0;
  #fetching = false;
  /** The newest append that tells a commit LSN and nothing else; WAL for this safekeeper makes it needless. */
  #notice: Outgoing | undefined;
  #noticeTimer: NodeJS.Timeout | undefined;
  #lastHeardMs = 0;
  #reconnectTimer: NodeJS.Timeout | undefined;
  #closed = false;
  /** Why this side cut the connection, when it did. */
  #cutReason: string | undefined;

  constructor(address: SafekeeperAddress, sources: WalSources, handlers: SafekeeperLinkHandlers, random: () => number) {
    this.#address = address;
    this.#sources = sources;
    this.#handlers = handlers;
    this.#bytes = new AppendBytes(sources, address.id);
    this.#backoff = new Backoff(RECONNECT_FIRST_MS, RECONNECT_MAX_MS, random);
  }

  /** Begins to connect, and to keep connected until {@link close}. */
  start(): void {
    void this.#connect();
  }

  /** Queues a message. Harmless without a connection: whatever is lost the core repeats after `connected`. */
  send(message: Greeting | VoteRequest | Elected): void {
    this.#enqueue({ kind: 'message', message });
  }

  /** Queues an append; its bytes are fetched when its turn comes. One that only tells a commit LSN waits a little for WAL to ride on. */
  append(request: AppendRequest, donor: NodeId | null): void {
    if (request.beginLsn === request.endLsn && !request.probe) {
      // A notice that waits already keeps its time, so that it is told however often there is a newer one.
      if (this.#notice === undefined) this.#startNoticeTimer();
      this.#notice = { kind: 'append', request, donor };
      return;
    }
    this.#notice = undefined;
    this.#enqueue({ kind: 'append', request, donor });
  }

  /** Gives the present connection up and connects again after a delay. */
  cut(reason: string): void {
    this.#cutReason ??= reason;
    this.#client?.destroy();
  }

  /** Gives the connection up when the safekeeper has been silent for too long. */
  checkAlive(nowMs: number): void {
    if (this.#stream !== undefined && nowMs - this.#lastHeardMs > SILENCE_MAX_MS)
      this.cut(`it said nothing for ${SILENCE_MAX_MS} ms`);
  }

  /** Sends what is queued and can be sent, then ends the connection for good. */
  close(): void {
    this.#sendNotice();
    this.#closed = true;
    clearTimeout(this.#reconnectTimer);
    clearTimeout(this.#noticeTimer);
    this.#bytes.close();
    this.#stream?.end();
    this.#client?.close();
  }

  async #connect(): Promise<void> {
    const { id, host, port } = this.#address;
    const { tenant, timeline, tokens } = this.#sources;
    let reason: string;
    let wasConnected = false;
    try {
      const client = await PostgresClient.connect({
        host,
        port,
        parameters: safekeeperParameters(tenant, timeline),
        password: tokens.token(timeline),
        trust: tokens.trust,
        timeoutMs: SAFEKEEPER_CONNECT_TIMEOUT_MS,
        keepsNothing: true,
      });
      this.#client = client;
      if (this.#closed) return client.destroy();
      this.#stream = await client.copyBoth('START_WAL_PUSH', (_bytes, view, offset, length) => {
        this.#lastHeardMs = performance.now();
        this.#handlers.message(id, decodeAcceptorMessage(view, offset, length));
      });
      wasConnected = true;
      this.#backoff.reset();
      this.#lastHeardMs = performance.now();
      this.#stream.onDrain(() => this.#pump());
      if (!this.#isClosed()) this.#handlers.connected(id);
      const error = await client.closed;
      reason = error?.message ?? 'the safekeeper closed the connection';
    } catch (error) {
      this.#client?.destroy();
      reason = messageOf(error);
    }
    reason = this.#cutReason ?? reason;
    this.#cutReason = undefined;
    this.#client = undefined;
    this.#stream = undefined;
    this.#outbox = [];
    this.#sent = 0;
    this.#fetching = false;
    this.#notice = undefined;
    this.#bytes.close();
    this.#bytes = new AppendBytes(this.#sources, id); // a fetch under way belongs to the old one
    if (this.#isClosed()) return;
    if (wasConnected) this.#handlers.disconnected(id, reason);
    this.#reconnectTimer = setTimeout(() => void this.#connect(), this.#backoff.next());
  }

  /** Read through a method, since it changes while {@link #connect} waits. */
  #isClosed(): boolean {
    return this.#closed;
  }

  /** One timer serves for ever and is set back: cheaper than a new one for each sync. It finds nothing to do when WAL has come. */
  #startNoticeTimer(): void {
    if (this.#noticeTimer === undefined) this.#noticeTimer = setTimeout(() => this.#sendNotice(), COMMIT_NOTICE_MS);
    else this.#noticeTimer.refresh();
  }

  #sendNotice(): void {
    const notice = this.#notice;
    this.#notice = undefined;
    if (notice !== undefined) this.#enqueue(notice);
  }

  #enqueue(outgoing: Outgoing): void {
    if (this.#stream === undefined || this.#closed) return;
    if (this.#outbox.length - this.#sent >= OUTBOX_LENGTH_MAX) return this.cut('it does not take what is sent to it');
    this.#outbox.push(outgoing);
    this.#pump();
  }

  /** Sends from the outbox as long as the socket takes it and the bytes are in memory. */
  #pump(): void {
    const stream = this.#stream;
    if (stream === undefined || this.#fetching) return;
    while (this.#sent < this.#outbox.length && stream.unsentBytes <= UNSENT_BYTES_MAX) {
      const outgoing = this.#outbox[this.#sent] as Outgoing;
      switch (outgoing.kind) {
        case 'message':
          stream.send(encodeProposerMessage(outgoing.message));
          break;
        case 'append': {
          const { request, donor } = outgoing;
          const pieces = donor === null ? this.#bytes.inMemory(request.beginLsn, request.endLsn) : undefined;
          if (pieces === undefined) {
            void this.#fetchAndSend(stream, request, donor);
            return;
          }
          stream.send(encodeProposerMessage(request), ...pieces);
          break;
        }
        default:
          unreachable(outgoing);
      }
      this.#sent++;
    }
    if (this.#sent === this.#outbox.length) {
      this.#outbox.length = 0;
      this.#sent = 0;
    }
  }

  async #fetchAndSend(stream: CopyBothStream, request: AppendRequest, donor: NodeId | null): Promise<void> {
    this.#fetching = true;
    try {
      const pieces = await this.#bytes.fetch(request.beginLsn, request.endLsn, donor, request.term);
      if (this.#stream !== stream) return; // the connection is another by now; its outbox began empty
      stream.send(encodeProposerMessage(request), ...pieces);
      this.#sent++;
      this.#fetching = false;
      this.#pump();
    } catch (error) {
      if (this.#stream === stream) this.cut(`the WAL it needs cannot be had: ${messageOf(error)}`);
    }
  }
}
