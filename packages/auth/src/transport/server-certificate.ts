import { createServer as createHttpsServer } from 'node:https';
import type { RequestListener, Server as HttpServer, ServerOptions } from 'node:http';
import type { Socket } from 'node:net';
import { createSecureContext, createServer, type SecureContextOptions, type Server, type TLSSocket } from 'node:tls';
import type { GateLog } from '../gate.ts';
import { FileCache } from './file-cache.ts';
import { TLS_VERSION } from './trust.ts';

/** A peer gets so long to shake hands. Unit: milliseconds. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Where a service's certificate and its private key are, PEM; both may be in one file. */
export interface CertificateFiles {
  readonly certificate: string;
  readonly key: string;
}

/** What a service shows to those who connect: a certificate, read anew when its files are replaced, from the next connection on. */
export class ServerCertificate {
  readonly #options: FileCache<SecureContextOptions>;

  /** @throws AuthError `keys-unusable` when there is no certificate to begin with, or it is not the key's */
  constructor({ certificate, key }: CertificateFiles, log: GateLog) {
    const make = (contents: readonly Buffer[]): SecureContextOptions => {
      const [cert, privateKey] = contents as [Buffer, Buffer];
      const options: SecureContextOptions = { cert, key: privateKey, minVersion: TLS_VERSION };
      createSecureContext(options); // throws when they do not belong together
      return options;
    };
    this.#options = new FileCache([certificate, key], make, (reason) =>
      log.error({ reason }, 'the new certificate is not used: the one before stays'),
    );
    this.#options.get();
  }

  /** Makes encrypted connections out of accepted ones. @param listener gets each that has shaken hands @returns what takes an accepted socket, of which nothing has been read that belongs to TLS */
  wrap(listener: (socket: TLSSocket) => void): (accepted: Socket) => void {
    const server = createServer({ ...this.#options.get(), handshakeTimeout: HANDSHAKE_TIMEOUT_MS }, listener);
    // Who does not shake hands has said nothing that could be answered.
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    this.#keepFresh(server);
    return (accepted) => {
      accepted.on('error', () => accepted.destroy());
      server.emit('connection', accepted);
    };
  }

  /** A server for HTTP over TLS. */
  createHttpServer(options: ServerOptions, listener: RequestListener): HttpServer {
    const server = createHttpsServer(
      { ...options, ...this.#options.get(), handshakeTimeout: HANDSHAKE_TIMEOUT_MS },
      listener,
    );
    this.#keepFresh(server);
    return server;
  }

  /** Gives the server the certificate of now before each handshake. */
  #keepFresh(server: Server): void {
    let given = this.#options.get();
    server.prependListener('connection', () => {
      const options = this.#options.get();
      if (options === given) return;
      given = options;
      server.setSecureContext(options);
    });
  }
}

/** The part of Fastify's options that makes its server show a certificate; nothing without one. */
export function serverFactoryOf(certificate: ServerCertificate | undefined): {
  serverFactory?: (listener: RequestListener) => HttpServer;
} {
  return certificate === undefined ? {} : { serverFactory: (listener) => certificate.createHttpServer({}, listener) };
}
