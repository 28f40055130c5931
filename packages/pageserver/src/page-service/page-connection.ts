import type { Socket } from 'node:net';
import { AuthError, type Gate, type ServerCertificate } from '@zenith/auth';
import { AssertionError, CorruptionError, ZenithError, formatLsn, type Lsn } from '@zenith/base';
import {
  CLIENT_HELLO_LENGTH,
  PAGE_LENGTH,
  PageStatus,
  REQUEST_LENGTH,
  RESPONSE_HEADER_LENGTH,
  decodeClientHello,
  decodeGetPagesRequest,
  encodeFailure,
  encodePagesHeader,
  encodeServerHello,
  newGetPagesRequest,
  type ClientHello,
  type GetPagesRequest,
} from '@zenith/wire';
import type { Logger } from 'pino';
import type { PageServiceMetrics } from './metrics.ts';
import type { PageSource, PageTimeline } from './page-source.ts';
import { ResponseBuffer, type ResponseBufferPool } from './response-buffer.ts';

/** Longest that one connection keeps the event loop before others get their turn. Unit: ms. */
const SLICE_MS = 4;

/** No more requests are read while this much of the answers has not left yet: the bound on a connection's memory, give or take one answer. Unit: bytes. */
const UNSENT_BYTES_MAX = 2 * 1024 * 1024;

/** Longest time a client may take to say hello. Unit: ms. */
const HELLO_TIMEOUT_MS = 10_000;

/** What all connections of a page service share. */
export interface PageConnectionContext {
  readonly source: PageSource;
  /** Undefined: everybody is let in. */
  readonly gate: Gate | undefined;
  /** Undefined: connections are plain. */
  readonly certificate?: ServerCertificate | undefined;
  readonly log: Logger;
  readonly metrics: PageServiceMetrics;
  readonly buffers: ResponseBufferPool;
  /** How long a request waits for WAL that has not been ingested yet. Unit: ms. */
  readonly waitTimeoutMs: number;
  /** A monotonic clock. Unit: ms. */
  readonly now: () => number;
}

/**
 * One client of the page service. Requests are answered in order, synchronously while the pages can be read at once; answers that are ready together leave in one write. A
 * request for an LSN that is not there yet, and answers that the client does not take, stop the reading of more requests. Bad input closes this connection and nothing else.
 */
export class PageConnection {
  readonly #socket: Socket;
  readonly #context: PageConnectionContext;
  readonly #peer: string;
  readonly #request: GetPagesRequest = newGetPagesRequest();
  readonly #responses: ResponseBuffer;
  readonly #abort = new AbortController();
  /** Bytes that arrived and were not used yet: at most one chunk of the socket and the start of a request. */
  #input: Buffer = Buffer.alloc(0);
  #position = 0;
  #timeline: PageTimeline | undefined;
  /** Everything up to here is known to be readable. */
  #readableLsn = 0 as Lsn;
  #busy = false;

  /** Takes over a socket that was just accepted. */
  constructor(socket: Socket, context: PageConnectionContext) {
    this.#socket = socket;
    this.#context = context;
    this.#responses = new ResponseBuffer(context.buffers);
    this.#peer = socket.remoteAddress === undefined ? 'unix socket' : `${socket.remoteAddress}:${socket.remotePort}`;
    socket.setNoDelay(true);
    socket.setTimeout(HELLO_TIMEOUT_MS, () => this.#refuse('no hello in time'));
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('drain', () => this.#goOn());
    socket.on('error', (error) =>
      context.log.debug({ peer: this.#peer, error: error.message }, 'page connection lost'),
    );
    socket.on('close', () => this.#abort.abort());
  }

  /** Tells the client to try again later, and ends the connection. Requests under way are not answered any more. */
  shutDown(): void {
    if (this.#timeline === undefined)
      this.#socket.end(encodeServerHello(PageStatus.shuttingDown, 'the pageserver is shutting down'));
    else this.#socket.end();
    this.#abort.abort();
    this.#socket.destroySoon();
  }

  #receive(chunk: Buffer): void {
    const left = this.#input.length - this.#position;
    this.#input = left === 0 ? chunk : Buffer.concat([this.#input.subarray(this.#position), chunk]);
    this.#position = 0;
    this.#socket.pause();
    this.#goOn();
  }

  /** Answers what can be answered now. Called when something changed: bytes came, answers left, an LSN arrived, the next slice begins. */
  #goOn(): void {
    if (this.#busy || this.#socket.destroyed || this.#abort.signal.aborted) return;
    try {
      if (this.#timeline === undefined && !this.#readHello()) return;
      this.#answerRequests();
    } catch (error) {
      if (!(error instanceof CorruptionError)) throw error;
      this.#refuse(error.message);
    }
  }

  /** True when the client has said hello and may send requests. */
  #readHello(): boolean {
    if (this.#input.length - this.#position < CLIENT_HELLO_LENGTH) {
      this.#socket.resume();
      return false;
    }
    const hello = decodeClientHello(
      this.#input.subarray(this.#position, this.#position + CLIENT_HELLO_LENGTH),
      this.#peer,
    );
    const end = this.#position + CLIENT_HELLO_LENGTH + hello.tokenLength;
    if (this.#input.length < end) {
      this.#socket.resume();
      return false;
    }
    const token = this.#input.toString('latin1', this.#position + CLIENT_HELLO_LENGTH, end);
    this.#position = end;
    this.#socket.setTimeout(0);
    const { gate } = this.#context;
    if (gate === undefined) return this.#welcome(hello);
    this.#busy = true;
    void gate.admit(token, 'read-pages', hello).then(
      (bearer) => {
        this.#busy = false;
        if (this.#abort.signal.aborted) return;
        const release = gate.hold(bearer, (reason) => this.#cutOff(hello, reason));
        this.#abort.signal.addEventListener('abort', release, { once: true });
        if (this.#welcome(hello)) this.#goOn();
      },
      (error: unknown) => this.#turnAway(hello, error),
    );
    return false;
  }

  /** Sends away who may not read this timeline; nothing it has sent is read any more. */
  #turnAway({ tenant, timeline }: ClientHello, error: unknown): void {
    if (!(error instanceof AuthError)) throw error;
    this.#context.log.warn(
      { peer: this.#peer, tenant, timeline, reason: error.message },
      'page connection refused: not authorized',
    );
    this.#context.metrics.refusals.inc();
    this.#socket.end(encodeServerHello(PageStatus.unauthorized, error.message));
    this.#socket.destroySoon();
  }

  /** Ends the connection of somebody whose token is good no more: nothing further is answered. */
  #cutOff({ tenant, timeline }: ClientHello, { message }: AuthError): void {
    this.#context.log.info({ peer: this.#peer, tenant, timeline, reason: message }, 'page connection ended');
    this.#abort.abort();
    this.#socket.end();
    this.#socket.destroySoon();
  }

  /** True when there is such a timeline, so that requests may follow. */
  #welcome(hello: ClientHello): boolean {
    this.#timeline = this.#context.source.timeline(hello.tenant, hello.timeline);
    if (this.#timeline === undefined) {
      this.#context.log.warn(
        { peer: this.#peer, tenant: hello.tenant, timeline: hello.timeline },
        'page connection refused: no such timeline',
      );
      this.#socket.end(
        encodeServerHello(PageStatus.noSuchTimeline, `tenant ${hello.tenant} has no timeline ${hello.timeline} here`),
      );
      return false;
    }
    this.#socket.write(encodeServerHello(PageStatus.ok));
    return true;
  }

  #answerRequests(): void {
    const sliceEnd = this.#context.now() + SLICE_MS;
    const view = new DataView(this.#input.buffer, this.#input.byteOffset, this.#input.length);
    while (this.#input.length - this.#position >= REQUEST_LENGTH) {
      if (this.#socket.writableLength + this.#responses.length > UNSENT_BYTES_MAX) {
        this.#flush();
        if (this.#socket.writableLength > UNSENT_BYTES_MAX) return; // 'drain' goes on
      }
      decodeGetPagesRequest(view, this.#position, this.#request);
      if (this.#request.lsn > this.#readableLsn) {
        this.#flush();
        this.#wait(this.#request.lsn);
        return;
      }
      this.#position += REQUEST_LENGTH;
      if (!this.#answer()) return;
      if (this.#context.now() >= sliceEnd) {
        this.#flush();
        this.#continueSoon();
        return;
      }
    }
    this.#flush();
    this.#socket.resume();
  }

  /** Answers the request at hand. False: something has to be fetched first; then it goes on by itself. */
  #answer(): boolean {
    const { metrics, now } = this.#context;
    const start = now();
    try {
      this.#read();
    } catch (error) {
      const remedy = this.#timelineOf().remedy(error, () => {
        if (!this.#abort.signal.aborted) this.#read();
      });
      if (remedy !== undefined) {
        this.#flush();
        this.#answerAfter(remedy, start);
        return false;
      }
      this.#fail(statusOf(error), messageOf(error));
    }
    metrics.readSeconds.observe((now() - start) / 1000);
    return true;
  }

  /** Reads the pages of the request at hand, and adds the response. */
  #read(): void {
    const request = this.#request;
    const length = RESPONSE_HEADER_LENGTH + request.count * PAGE_LENGTH;
    const offset = this.#responses.reserve(length);
    this.#timelineOf().readRelationPages(
      request.spc,
      request.db,
      request.rel,
      request.fork,
      request.block,
      request.count,
      request.lsn,
      this.#responses.bytes,
      offset + RESPONSE_HEADER_LENGTH,
    );
    encodePagesHeader(this.#responses.view, offset, request.id, request.count);
    this.#responses.commit(length);
    this.#context.metrics.pages.inc(request.count);
  }

  #fail(status: number, message: string): void {
    const { log, metrics } = this.#context;
    const { id, lsn, spc, db, rel, fork, block, count } = this.#request;
    metrics.failures.inc({ status: String(status) });
    log.warn(
      { peer: this.#peer, lsn: formatLsn(lsn), spc, db, rel, fork, block, count, status, reason: message },
      'page request failed',
    );
    const bytes = encodeFailure(id, status, message);
    const offset = this.#responses.reserve(bytes.length);
    this.#responses.bytes.set(bytes, offset);
    this.#responses.commit(bytes.length);
  }

  /** Waits until the LSN of the request at hand can be read, then goes on; the request fails when that takes too long. */
  #wait(lsn: Lsn): void {
    const { metrics, now, waitTimeoutMs } = this.#context;
    const start = now();
    this.#busy = true;
    void this.#timelineOf()
      .waitForLsn(lsn, { timeoutMs: waitTimeoutMs, signal: this.#abort.signal })
      .then(
        () => {
          this.#readableLsn = lsn;
        },
        (error: unknown) => {
          if (this.#abort.signal.aborted) return;
          this.#position += REQUEST_LENGTH;
          this.#fail(statusOf(error), messageOf(error));
        },
      )
      .then(() => {
        metrics.waitSeconds.observe((now() - start) / 1000);
        this.#busy = false;
        this.#goOn();
      });
  }

  /** Goes on when `remedy` has answered the request at hand, or failed to, which costs nobody else anything. */
  #answerAfter(remedy: Promise<void>, start: number): void {
    const { metrics, now } = this.#context;
    this.#busy = true;
    void remedy
      .catch((error: unknown) => {
        if (error instanceof AssertionError) throw error;
        if (this.#abort.signal.aborted) return;
        // What else is thrown came of the disk or of remote storage, not of the request.
        const isExpected = error instanceof ZenithError || error instanceof CorruptionError;
        this.#fail(isExpected ? statusOf(error) : PageStatus.pageNotRebuilt, messageOf(error));
      })
      .then(() => {
        metrics.readSeconds.observe((now() - start) / 1000);
        this.#busy = false;
        this.#goOn();
      });
  }

  #continueSoon(): void {
    this.#busy = true;
    setImmediate(() => {
      this.#busy = false;
      this.#goOn();
    });
  }

  #flush(): void {
    this.#responses.writeTo(this.#socket);
  }

  #timelineOf(): PageTimeline {
    if (this.#timeline === undefined) throw new CorruptionError('a request before the hello', { source: this.#peer });
    return this.#timeline;
  }

  #refuse(reason: string): void {
    this.#context.log.warn({ peer: this.#peer, reason }, 'page connection closed: bad input');
    this.#context.metrics.refusals.inc();
    this.#socket.destroy();
  }
}

/** The status for an expected failure of a read. @throws the error when it is none */
function statusOf(error: unknown): number {
  if (error instanceof CorruptionError) return PageStatus.pageNotRebuilt;
  if (!(error instanceof ZenithError)) throw error;
  switch (error.code) {
    case 'no-such-block':
      return PageStatus.noSuchBlock;
    case 'lsn-not-available':
    case 'lsn-outside-history':
    case 'too-many-waiters':
      return PageStatus.lsnNotAvailable;
    case 'closing':
      return PageStatus.shuttingDown;
    default:
      return PageStatus.pageNotRebuilt;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
