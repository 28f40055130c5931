import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
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
  type GetPagesRequest,
  type PageRelation,
  type PageServerAddress,
} from '@zenith/wire';

const FORK_SUFFIX = ['', '_fsm', '_vm', '_init'];
const RELSEG_SIZE = 131_072;

/** What a test lets a request come to instead of its pages. */
export interface Failure {
  readonly status: number;
  readonly message: string;
}

/**
 * A page service over the relation files of a stopped cluster, with faults to order. Good for one cluster at one LSN, which is all a compute asks for.
 */
export class FilePageServer {
  readonly #directory: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #files = new Map<string, number>();
  readonly #request = newGetPagesRequest();
  /** Path of the folder below pg_tblspc/<spc>/ by tablespace. */
  readonly #versionFolder: string;
  /** Added to every answer. Unit: ms. */
  latencyMs = 0;
  /** Asked before each request is answered. */
  fail: ((request: Readonly<GetPagesRequest>) => Failure | undefined) | undefined;
  /** Requests answered with pages. */
  requests = 0;
  pages = 0;
  connections = 0;

  constructor(directory: string, versionFolder: string) {
    this.#directory = directory;
    this.#versionFolder = versionFolder;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  async listen(where: { path: string } | { port: number } = { port: 0 }): Promise<PageServerAddress> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen('path' in where ? where : { ...where, host: '127.0.0.1' }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    return 'path' in where
      ? { kind: 'unix', path: where.path }
      : { kind: 'tcp', host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }

  /** Stops listening and cuts every connection. */
  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const file of this.#files.values()) closeSync(file);
    this.#files.clear();
  }

  #serve(socket: Socket): void {
    this.connections++;
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    let rest: Buffer = Buffer.alloc(0);
    let welcomed = false;
    socket.on('data', (chunk: Buffer) => {
      const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      let at = 0;
      if (!welcomed) {
        if (bytes.length < CLIENT_HELLO_LENGTH) {
          rest = bytes;
          return;
        }
        decodeClientHello(bytes.subarray(0, CLIENT_HELLO_LENGTH), 'client');
        socket.write(encodeServerHello(PageStatus.ok));
        welcomed = true;
        at = CLIENT_HELLO_LENGTH;
      }
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      for (; bytes.length - at >= REQUEST_LENGTH; at += REQUEST_LENGTH) {
        decodeGetPagesRequest(view, at, this.#request);
        const answer = this.#answer(this.#request);
        if (this.latencyMs === 0) socket.write(answer);
        else setTimeout(() => socket.destroyed || socket.write(answer), this.latencyMs);
      }
      rest = bytes.subarray(at);
    });
  }

  #answer(request: GetPagesRequest): Uint8Array {
    const failure = this.fail?.(request);
    if (failure !== undefined) return encodeFailure(request.id, failure.status, failure.message);
    const answer = Buffer.allocUnsafe(RESPONSE_HEADER_LENGTH + request.count * PAGE_LENGTH);
    encodePagesHeader(new DataView(answer.buffer, answer.byteOffset, answer.length), 0, request.id, request.count);
    for (let block = request.block, at = RESPONSE_HEADER_LENGTH; at < answer.length;) {
      const count = Math.min(request.block + request.count - block, RELSEG_SIZE - (block % RELSEG_SIZE));
      const file = this.#file(request, Math.floor(block / RELSEG_SIZE));
      const length =
        file === undefined ? 0 : readSync(file, answer, at, count * PAGE_LENGTH, (block % RELSEG_SIZE) * PAGE_LENGTH);
      if (length !== count * PAGE_LENGTH)
        return encodeFailure(request.id, PageStatus.noSuchBlock, `not all of ${count} blocks from ${block} exist`);
      block += count;
      at += length;
    }
    this.requests++;
    this.pages += request.count;
    return answer;
  }

  #file(relation: PageRelation, segment: number): number | undefined {
    const name = `${relation.rel}${FORK_SUFFIX[relation.fork] ?? '?'}${segment === 0 ? '' : `.${segment}`}`;
    const folder =
      relation.spc === 1664
        ? 'global'
        : relation.spc === 1663
          ? join('base', String(relation.db))
          : join('pg_tblspc', String(relation.spc), this.#versionFolder, String(relation.db));
    const path = join(this.#directory, folder, name);
    let file = this.#files.get(path);
    if (file === undefined && existsSync(path)) {
      file = openSync(path, 'r');
      this.#files.set(path, file);
    }
    return file;
  }
}
