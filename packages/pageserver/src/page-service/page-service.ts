import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { PageserverError } from '../errors.ts';
import { PageConnection, type PageConnectionContext } from './page-connection.ts';

/** Most connections at a time: each compute backend and I/O worker holds one. */
const CONNECTIONS_MAX = 10_000;

/** How long connections may take to end. Unit: milliseconds. */
const CLOSE_TIMEOUT_MS = 2_000;

/** Where the page service listens. */
export interface PageServiceAddress {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
}

/** Listens for clients of the page protocol, on TCP and, when asked, on a Unix socket. */
export class PageService {
  readonly #context: PageConnectionContext;
  readonly #connections = new Set<PageConnection>();
  /** Those that have not shaken hands yet, too. */
  readonly #sockets = new Set<Socket>();
  readonly #servers: Server[] = [];

  constructor(context: PageConnectionContext) {
    this.#context = context;
  }

  /** Begins to listen; gives the port. @throws PageserverError `address-unavailable` */
  async listen(address: PageServiceAddress): Promise<number> {
    const server = await this.#listen({ host: address.host, port: address.port }, `${address.host}:${address.port}`);
    return (server.address() as AddressInfo).port;
  }

  /** Begins to listen on a Unix socket too. @throws PageserverError `address-unavailable` */
  async listenUnix(path: string): Promise<void> {
    await this.#listen({ path }, path);
  }

  /** Stops listening, sends the clients away and resolves when no socket is left. */
  async close(): Promise<void> {
    const closed = this.#servers.map(
      (server) =>
        new Promise<void>((resolve) => {
          server.close(() => resolve());
        }),
    );
    for (const connection of this.#connections) connection.shutDown();
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, CLOSE_TIMEOUT_MS);
    await Promise.all(closed);
    clearTimeout(timer);
  }

  async #listen(
    where: { readonly host?: string; readonly port?: number; readonly path?: string },
    text: string,
  ): Promise<Server> {
    const serve = (socket: Socket): void => {
      const connection = new PageConnection(socket, this.#context);
      this.#connections.add(connection);
      this.#context.metrics.connections.inc();
      socket.once('close', () => {
        this.#connections.delete(connection);
        this.#context.metrics.connections.dec();
      });
    };
    // Whoever can open a Unix socket is on this machine already.
    const secure = where.path === undefined ? this.#context.certificate?.wrap(serve) : undefined;
    const server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      if (secure === undefined) serve(socket);
      else secure(socket);
    });
    server.maxConnections = CONNECTIONS_MAX;
    await new Promise<void>((resolve, reject) => {
      server.once('error', (cause: NodeJS.ErrnoException) => {
        const why =
          cause.code === 'EADDRINUSE' ? 'is in use by another process' : `cannot be listened on: ${cause.message}`;
        reject(new PageserverError('address-unavailable', `the page service's address ${text} ${why}`, { cause }));
      });
      server.listen(where, () => resolve());
    });
    this.#servers.push(server);
    return server;
  }
}
