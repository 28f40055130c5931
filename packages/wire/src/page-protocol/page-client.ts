import { connect, type Socket } from 'node:net';
import { connectTo, type Trust } from '@zenith/auth';
import { CorruptionError, assert, type Lsn, type TenantId, type TimelineId } from '@zenith/base';
import { formatPageServerAddress, type PageServerAddress } from './address.ts';
import { PageError, pageErrorOf } from './errors.ts';
import { decodeServerHello, encodeClientHello } from './hello.ts';
import { PAGES_PER_REQUEST_MAX, PageStatus, REQUEST_LENGTH, RESPONSE_HEADER_LENGTH } from './layout.ts';
import { decodeMessage } from './message.ts';
import { encodeGetPagesRequest, type PageRelation } from './request.ts';
import { decodeResponseHeader, newResponseHeader } from './response.ts';

/** Requests one connection has in flight at most. With 128 pages each that is 256 MiB on the way; the caller paces itself below it. */
export const REQUESTS_IN_FLIGHT_MAX = 256;

/** Where to and for what. */
export interface PageClientOptions {
  readonly address: PageServerAddress;
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** Shown to the server; left out where none is required. */
  readonly token?: string | undefined;
  /** How the server is known; left out: the connection is plain. A Unix socket is always. */
  readonly trust?: Trust | undefined;
  /** Bound on connecting and on each request. Unit: ms. */
  readonly timeoutMs: number;
}

interface Waiter {
  readonly id: number;
  readonly count: number;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (pages: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

/**
 * One connection to a page service. Requests are pipelined and answered in order. A lost connection fails what is in flight and every later call;
 * to connect again is the caller's decision, with a new client.
 */
export class PageClient {
  readonly #socket: Socket;
  readonly #source: string;
  readonly #timeoutMs: number;
  /** In the order of their requests; the first is the one whose response is being received. A request that timed out keeps its place. */
  readonly #waiters: Waiter[] = [];
  readonly #head = new Uint8Array(RESPONSE_HEADER_LENGTH);
  readonly #headView = new DataView(this.#head.buffer);
  readonly #response = newResponseHeader();
  #headFill = 0;
  /** The body being received; empty when a header is. */
  #body: Uint8Array | undefined;
  #bodyFill = 0;
  #welcomed = false;
  #onWelcome: { resolve: () => void; reject: (error: Error) => void } | undefined;
  #failure: Error | undefined;
  #nextId = 1;

  private constructor(options: PageClientOptions) {
    this.#timeoutMs = options.timeoutMs;
    this.#source = `pageserver ${formatPageServerAddress(options.address)}`;
    const { address, trust } = options;
    const greet = (): void => void socket.write(encodeClientHello(options, options.token));
    const socket = address.kind === 'unix' ? connect({ path: address.path }, greet) : connectTo(trust, address, greet);
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('error', (error) =>
      this.#fail(new PageError('connection-lost', `${this.#source}: ${error.message}`, { cause: error })),
    );
    socket.on('close', () => this.#fail(new PageError('connection-lost', `${this.#source} closed the connection`)));
  }

  /**
   * Connects and introduces itself.
   * @throws PageError `connection-lost`, `deadline-exceeded`, or what the server refuses the timeline with
   * @throws CorruptionError when the peer does not speak this protocol
   */
  static async connect(options: PageClientOptions): Promise<PageClient> {
    const client = new PageClient(options);
    const timer = setTimeout(
      () =>
        client.#fail(
          new PageError('deadline-exceeded', `${client.#source} did not answer within ${options.timeoutMs} ms`),
        ),
      options.timeoutMs,
    );
    try {
      await new Promise<void>((resolve, reject) => {
        client.#onWelcome = { resolve, reject };
      });
    } finally {
      clearTimeout(timer);
    }
    return client;
  }

  /**
   * Reads `count` pages of a relation fork from `block` on, as they were at `lsn`.
   * @param count 1 to {@link PAGES_PER_REQUEST_MAX}
   * @returns count × 8192 bytes that belong to the caller
   * @throws PageError with the server's answer, or `connection-lost`, `deadline-exceeded` (the connection stays usable), `too-many-requests`
   * @throws CorruptionError when the server broke the protocol; the connection is closed
   */
  getPages(relation: PageRelation, block: number, count: number, lsn: Lsn): Promise<Uint8Array> {
    assert(count >= 1 && count <= PAGES_PER_REQUEST_MAX, 'a page request has 1 to 128 pages');
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#waiters.length >= REQUESTS_IN_FLIGHT_MAX)
      return Promise.reject(
        new PageError('too-many-requests', `${this.#source} has ${REQUESTS_IN_FLIGHT_MAX} requests in flight already`),
      );
    const id = this.#nextId;
    this.#nextId = (this.#nextId % 0xffff_ffff) + 1;
    const request = new Uint8Array(REQUEST_LENGTH);
    encodeGetPagesRequest(new DataView(request.buffer), 0, { ...relation, id, lsn, block, count });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new PageError('deadline-exceeded', `${this.#source} did not answer within ${this.#timeoutMs} ms`)),
        this.#timeoutMs,
      );
      this.#waiters.push({ id, count, timer, resolve, reject });
      this.#socket.write(request);
    });
  }

  /** Closes the connection; requests in flight fail with `connection-lost`. Harmless when it is closed. */
  close(): void {
    this.#fail(new PageError('connection-lost', `the connection to ${this.#source} was closed`));
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#socket.destroy();
    this.#onWelcome?.reject(error);
    for (const waiter of this.#waiters) {
      clearTimeout(waiter.timer);
      waiter.reject(error);
    }
    this.#waiters.length = 0;
  }

  #receive(chunk: Uint8Array): void {
    try {
      let at = 0;
      while (at < chunk.length && this.#failure === undefined) {
        const body = this.#body;
        if (body === undefined) {
          const length = Math.min(RESPONSE_HEADER_LENGTH - this.#headFill, chunk.length - at);
          this.#head.set(chunk.subarray(at, at + length), this.#headFill);
          this.#headFill += length;
          at += length;
          if (this.#headFill === RESPONSE_HEADER_LENGTH) this.#beginBody();
        } else {
          const length = Math.min(body.length - this.#bodyFill, chunk.length - at);
          body.set(chunk.subarray(at, at + length), this.#bodyFill);
          this.#bodyFill += length;
          at += length;
          if (this.#bodyFill === body.length) this.#endBody(body);
        }
      }
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** A header is complete: checks it and makes room for what follows. A server hello has the length of a response header. */
  #beginBody(): void {
    let length: number;
    if (this.#welcomed) {
      decodeResponseHeader(this.#headView, 0, this.#response, this.#source);
      length = this.#response.length;
      const waiter = this.#waiters[0];
      if (waiter === undefined || waiter.id !== this.#response.id)
        throw new CorruptionError(`a response to request ${this.#response.id}, expected ${waiter?.id ?? 'none'}`, {
          source: this.#source,
        });
      if (this.#response.status === PageStatus.ok && this.#response.count !== waiter.count)
        throw new CorruptionError(`${this.#response.count} pages in answer to a request for ${waiter.count}`, {
          source: this.#source,
        });
    } else {
      const hello = decodeServerHello(this.#headView, 0, this.#source);
      this.#response.status = hello.status;
      length = hello.messageLength;
    }
    this.#headFill = 0;
    this.#bodyFill = 0;
    this.#body = new Uint8Array(length);
    if (length === 0) this.#endBody(this.#body);
  }

  #endBody(body: Uint8Array): void {
    this.#body = undefined;
    const { status } = this.#response;
    const error =
      status === PageStatus.ok
        ? undefined
        : (pageErrorOf(status, decodeMessage(body)) ??
          new CorruptionError(`status ${status} is not known in this version of the page protocol`, {
            source: this.#source,
          }));
    if (!this.#welcomed) {
      if (error !== undefined) throw error;
      this.#welcomed = true;
      this.#onWelcome?.resolve();
      return;
    }
    const waiter = this.#waiters.shift();
    assert(waiter !== undefined, 'a response has its waiter');
    clearTimeout(waiter.timer);
    if (error === undefined) waiter.resolve(body);
    else waiter.reject(error);
  }
}
