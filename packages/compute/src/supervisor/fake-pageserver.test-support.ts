import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { FilePageServer } from '../presence-map/page-server.test-support.ts';
import type { ClusterSnapshot } from '../data-directory/cluster-snapshot.test-support.ts';

/** A pageserver that knows one cluster at one LSN: its snapshot over HTTP, its pages over the page protocol. */
export class FakePageserver {
  readonly #pages: FilePageServer;
  readonly #http: Server;
  /** Requests seen, `METHOD path`. */
  readonly requests: string[] = [];
  port = 0;
  httpPort = 0;

  constructor(pgdata: string, snapshot: ClusterSnapshot) {
    this.#pages = new FilePageServer(pgdata, '');
    this.#http = createServer((request, response) => {
      this.requests.push(`${request.method} ${request.url}`);
      request.resume();
      if (request.url?.includes('/snapshot?') === true) response.end(snapshot.bytes);
      else if (request.method === 'POST') response.setHeader('content-type', 'application/json').end('{}');
      else response.writeHead(404).end('{"code":"not-found","message":"no such route"}');
    });
  }

  async listen(): Promise<void> {
    const address = await this.#pages.listen();
    if (address.kind === 'tcp') this.port = address.port;
    await new Promise<void>((resolve) => {
      this.#http.listen(0, '127.0.0.1', resolve);
    });
    this.httpPort = (this.#http.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    await this.#pages.close();
    this.#http.closeAllConnections();
    await new Promise<void>((resolve) => {
      this.#http.close(() => resolve());
    });
  }
}
