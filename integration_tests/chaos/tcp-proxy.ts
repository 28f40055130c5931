import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';

/**
 * What a link does. `open`: everything passes. `cut`: nothing passes, and nobody is told: what was sent waits, as for a router that is gone. `requests-lost`: nothing passes from the client to the server, `answers-lost`: nothing
 * the other way. `refused`: connections are reset, new ones too. While a link is not open nobody gets a new connection through it.
 */
export type LinkState = 'open' | 'cut' | 'requests-lost' | 'answers-lost' | 'refused';

interface Pair {
  readonly client: Socket;
  /** Undefined until the link was open after the client came. */
  server: Socket | undefined;
}

/** A link between services that can be cut: listens on a port of its own and passes on what comes to another one. Both on 127.0.0.1. */
export class TcpProxy {
  readonly #server: Server;
  readonly #target: number;
  readonly #pairs = new Set<Pair>();
  #state: LinkState = 'open';
  /** How many bytes of requests pass until the link refuses. Unit: bytes. */
  #requestBytesLeft = Number.POSITIVE_INFINITY;
  #onExhausted: () => void = () => undefined;

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

  /** Lets so many more bytes of requests pass, then resets everything in the middle of what is being sent: `refused`. Resolves when that has happened. */
  refuseAfter(requestBytes: number): Promise<void> {
    this.#requestBytesLeft = requestBytes;
    return new Promise((resolve) => {
      this.#onExhausted = resolve;
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
    const pair: Pair = { client, server: undefined };
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
    this.#pass(client, server, 'requests');
    this.#pass(server, client, 'answers');
  }

  #passes(what: 'requests' | 'answers'): boolean {
    return this.#state === 'open' || this.#state === (what === 'requests' ? 'answers-lost' : 'requests-lost');
  }

  #pass(from: Socket, to: Socket, what: 'requests' | 'answers'): void {
    from.setNoDelay(true);
    from.on('data', (chunk) => {
      if (what === 'requests' && chunk.length >= this.#requestBytesLeft) {
        this.#requestBytesLeft = Number.POSITIVE_INFINITY;
        this.state = 'refused';
        this.#onExhausted();
        return;
      }
      if (what === 'requests') this.#requestBytesLeft -= chunk.length;
      if (!to.write(chunk)) from.pause();
    });
    from.on('end', () => to.end());
    to.on('drain', () => {
      if (this.#passes(what)) from.resume();
    });
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
