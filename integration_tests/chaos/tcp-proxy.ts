import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { HttpRequests, type HttpRequest } from './http-requests.ts';

/**
 * What a link does. `open`: everything passes. `cut`: nothing passes, and nobody is told: what was sent waits, as for a router that is gone. `requests-lost`: nothing passes from the client to the server, `answers-lost`: nothing
 * the other way. `refused`: connections are reset, new ones too. While a link is not open nobody gets a new connection through it.
 */
export type LinkState = 'open' | 'cut' | 'requests-lost' | 'answers-lost' | 'refused';

/** Where a link breaks in the course of an HTTP request. */
interface RequestCut {
  /** Which request: the first that this is true of. */
  readonly isMeant: (request: HttpRequest) => boolean;
  /** After how many bytes of its body; `answered`: all of it has passed and the server begins to answer, of which nothing passes. */
  readonly after: ((bodyBytes: number) => number) | 'answered';
}

interface Pair {
  readonly client: Socket;
  /** Undefined until the link was open after the client came. */
  server: Socket | undefined;
  /** Undefined until somebody asks for a cut in a request. */
  requests: HttpRequests | undefined;
  /** The request of this connection in which the link breaks, and whether all of it has passed. */
  doomed: { readonly request: HttpRequest; isWhole: boolean } | undefined;
}

/** A link between services that can be cut: listens on a port of its own and passes on what comes to another one. Both on 127.0.0.1. */
export class TcpProxy {
  readonly #server: Server;
  readonly #target: number;
  readonly #pairs = new Set<Pair>();
  #state: LinkState = 'open';
  /** The next break. */
  #cut: (RequestCut & { readonly happened: (request: HttpRequest) => void }) | undefined;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => this.#accept(client));
  }

  /** Makes a link to a port, on which nobody needs to listen yet. */
  static async to(target: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    return proxy;
  }

  /** The port to connect to. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** How the link is. */
  get state(): LinkState {
    return this.#state;
  }

  set state(state: LinkState) {
    this.#state = state;
    for (const pair of this.#pairs) this.#apply(pair);
  }

  /**
   * Lets everything pass up to a place in an HTTP request, then resets all connections: `refused`. Connections that there are now are reset, too: where in a request they are is not known. Resolves with the request
   * when that has happened.
   */
  refuseIn(cut: RequestCut): Promise<HttpRequest> {
    for (const pair of this.#pairs) this.#reset(pair);
    return new Promise((happened) => {
      this.#cut = { ...cut, happened };
    });
  }

  /** Resets all connections and listens no more. */
  async close(): Promise<void> {
    this.state = 'refused';
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
  }

  #accept(client: Socket): void {
    const requests = this.#cut === undefined ? undefined : new HttpRequests();
    const pair: Pair = { client, server: undefined, requests, doomed: undefined };
    this.#pairs.add(pair);
    this.#watch(client, pair);
    this.#apply(pair);
  }

  #apply(pair: Pair): void {
    if (this.#state === 'refused') return this.#reset(pair);
    if (this.#state === 'open' && pair.server === undefined) this.#connect(pair);
    const { client, server } = pair;
    if (server === undefined) return;
    resumeOrPause(client, this.#passes('requests') && !server.writableNeedDrain);
    resumeOrPause(server, this.#passes('answers') && !client.writableNeedDrain);
  }

  #connect(pair: Pair): void {
    const { client } = pair;
    const server = connect({ port: this.#target, host: '127.0.0.1', allowHalfOpen: true });
    pair.server = server;
    this.#watch(server, pair);
    this.#pass(client, server, 'requests', pair);
    this.#pass(server, client, 'answers', pair);
  }

  #passes(what: 'requests' | 'answers'): boolean {
    return this.#state === 'open' || this.#state === (what === 'requests' ? 'answers-lost' : 'requests-lost');
  }

  #pass(from: Socket, to: Socket, what: 'requests' | 'answers', pair: Pair): void {
    from.setNoDelay(true);
    from.on('data', (chunk) => {
      const passing =
        what === 'requests' ? this.#passingOf(pair, chunk) : pair.doomed?.isWhole === true ? 0 : undefined;
      if (passing !== undefined) {
        from.pause();
        to.write(chunk.subarray(0, passing), () => this.#break(pair));
      } else if (!to.write(chunk)) from.pause();
    });
    from.on('end', () => to.end());
    to.on('drain', () => {
      if (this.#passes(what)) from.resume();
    });
  }

  /** How much of a piece of requests still passes, where the link breaks in it; undefined where it does not. */
  #passingOf(pair: Pair, chunk: Uint8Array): number | undefined {
    const cut = this.#cut;
    if (cut === undefined || pair.requests === undefined) return undefined;
    for (const { request, end, bodySeen } of pair.requests.pieces(chunk)) {
      if (this.#doomed() === undefined && cut.isMeant(request)) pair.doomed = { request, isWhole: false };
      if (pair.doomed?.request !== request) continue;
      const { after } = cut;
      if (after === 'answered') pair.doomed.isWhole = bodySeen === request.bodyBytes;
      else if (bodySeen >= after(request.bodyBytes)) return end - (bodySeen - after(request.bodyBytes));
    }
    return undefined;
  }

  /** The connection in whose request the link is about to break. */
  #doomed(): Pair | undefined {
    return [...this.#pairs].find(({ doomed }) => doomed !== undefined);
  }

  #break({ doomed }: Pair): void {
    const cut = this.#cut;
    this.#cut = undefined;
    this.state = 'refused';
    if (doomed !== undefined) cut?.happened(doomed.request);
  }

  #watch(socket: Socket, pair: Pair): void {
    socket.on('error', () => this.#reset(pair)); // whoever is behind it is gone: the other side learns the same
    socket.on('close', () => this.#reset(pair));
  }

  #reset(pair: Pair): void {
    if (!this.#pairs.delete(pair)) return;
    pair.client.resetAndDestroy();
    pair.server?.resetAndDestroy();
  }
}

function resumeOrPause(socket: Socket, resume: boolean): void {
  if (resume) socket.resume();
  else socket.pause();
}
