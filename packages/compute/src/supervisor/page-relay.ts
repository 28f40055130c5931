import { once } from 'node:events';
import { chmodSync, chownSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { connectTo, type Tokens } from '@zenith/auth';
import { CorruptionError, type TenantId, type TimelineId } from '@zenith/base';
import { CLIENT_HELLO_LENGTH, decodeClientHello, encodeClientHello } from '@zenith/wire';
import type { Logger } from 'pino';
import { ComputeError, messageOf } from '../errors.ts';

/** Longest path of a Unix socket, its zero byte not counted: sockaddr_un, which the preload library fills as well. Unit: bytes. */
const PATH_LENGTH_MAX = 107;

/** Most connections at a time, as on the pageserver. */
const CONNECTIONS_MAX = 10_000;

/** A client gets so long for its hello. Unit: milliseconds. */
const HELLO_TIMEOUT_MS = 10_000;

/** What a relay stands between. */
export interface PageRelayOptions {
  /** Where it listens. What is there of an earlier run is removed. */
  readonly path: string;
  /** Whom the socket belongs to, and nobody else may connect; the process's own user when left out. */
  readonly owner: { readonly uid: number; readonly gid: number } | undefined;
  readonly pageserver: { readonly host: string; readonly port: number };
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly tokens: Tokens;
  readonly log: Logger;
}

/**
 * Stands between the preload library and a pageserver that requires a token, or TLS: PostgreSQL's processes say a hello without one on a Unix socket that only their user can open, the relay says it again
 * with the compute's token, and from then on passes bytes. So neither a token nor cryptography is ever in a process that runs SQL, or in C.
 */
export class PageRelay {
  readonly #options: PageRelayOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(options: PageRelayOptions) {
    this.#options = options;
    this.#server = createServer((client) => this.#serve(client));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** Begins to listen. @throws ComputeError `invalid-config` when the path is too long for a socket; what the file system throws */
  static async listen(options: PageRelayOptions): Promise<PageRelay> {
    const { path, owner } = options;
    if (Buffer.byteLength(path) > PATH_LENGTH_MAX)
      throw new ComputeError(
        'invalid-config',
        `the path '${path}' is too long for a Unix socket (at most ${PATH_LENGTH_MAX} bytes): keep the repository in a folder with a shorter path`,
      );
    rmSync(path, { force: true });
    const relay = new PageRelay(options);
    // Nobody else may connect between the moment the socket is there and the moment its mode is set.
    const mask = process.umask(0o177);
    try {
      relay.#server.listen(path);
    } finally {
      process.umask(mask);
    }
    await once(relay.#server, 'listening');
    chmodSync(path, 0o600);
    if (owner !== undefined) chownSync(path, owner.uid, owner.gid);
    return relay;
  }

  /** Stops listening and cuts all connections. */
  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  #serve(client: Socket): void {
    this.#keep(client);
    client.setTimeout(HELLO_TIMEOUT_MS, () => client.destroy());
    let input: Buffer = Buffer.alloc(0);
    const receive = (chunk: Buffer): void => {
      input = Buffer.concat([input, chunk]);
      if (input.length < CLIENT_HELLO_LENGTH) return;
      client.off('data', receive);
      client.pause();
      client.setTimeout(0);
      this.#pass(client, input);
    };
    client.on('data', receive);
  }

  /** @param input a hello, and what came after it */
  #pass(client: Socket, input: Buffer): void {
    const { pageserver, tenant, timeline, tokens, log } = this.#options;
    let hello: Uint8Array;
    try {
      const said = decodeClientHello(input.subarray(0, CLIENT_HELLO_LENGTH), 'the preload library');
      if (said.tenant !== tenant || said.timeline !== timeline || said.tokenLength > 0)
        throw new CorruptionError('a hello for another timeline, or with a token', { source: 'the preload library' });
      hello = encodeClientHello({ tenant, timeline }, tokens.token(timeline));
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'a connection for pages was refused');
      client.destroy();
      return;
    }
    let server: Socket;
    try {
      server = connectTo(tokens.trust, pageserver, () => {
        server.write(hello);
        server.write(input.subarray(CLIENT_HELLO_LENGTH));
        client.pipe(server);
        server.pipe(client);
      });
    } catch (error) {
      log.warn({ reason: messageOf(error) }, 'the pageserver cannot be connected to');
      client.destroy();
      return;
    }
    this.#keep(server);
    // Whichever side goes, the other goes with it: the library connects again.
    client.once('close', () => server.destroy());
    server.once('close', () => client.destroySoon());
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', (error) => this.#options.log.debug({ error: error.message }, 'a connection for pages was lost'));
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
