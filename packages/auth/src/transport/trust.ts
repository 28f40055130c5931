import { Agent as HttpAgent, request, type AgentOptions, type ClientRequest, type IncomingMessage } from 'node:http';
import type { RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as requestOverTls } from 'node:https';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import { FileCache } from './file-cache.ts';

/** The one version there is: all peers are of our day, and it leaves nothing to choose wrongly. */
export const TLS_VERSION = 'TLSv1.3';

/** Where a service listens. */
export interface ServiceAddress {
  readonly host: string;
  readonly port: number;
}

/** How a client knows a server: by a certificate of these authorities, for the host that it was asked under. */
export class Trust {
  readonly #context: FileCache<SecureContext>;

  /** @param authorities a file of certificates, PEM; read anew when it is replaced */
  constructor(authorities: string) {
    this.#context = new FileCache(
      [authorities],
      (contents) => createSecureContext({ ca: [...contents], minVersion: TLS_VERSION }),
      () => undefined, // the authorities of before go on; whoever connects to a server of new ones says so
    );
  }

  /** What a request over HTTP is made with. @throws AuthError `keys-unusable` */
  get options(): { readonly secureContext: SecureContext } {
    return { secureContext: this.#context.get() };
  }

  /** Connects and shakes hands: `secureConnect` tells of it. @throws AuthError `keys-unusable` */
  connect({ host, port }: ServiceAddress): TLSSocket {
    return connectTls({ host, port, ...this.options });
  }

  /** Shakes hands on a connection that is there. @param host whom the server has to be @throws AuthError `keys-unusable` */
  secure(socket: Socket, host: string): TLSSocket {
    return connectTls({ socket, host, ...this.options });
  }
}

/** Connects to a service. @param trust undefined: plain @param connected called once, when what is written goes to the service that was meant @throws AuthError `keys-unusable` */
export function connectTo(trust: Trust | undefined, address: ServiceAddress, connected: () => void): Socket {
  const socket = trust === undefined ? connect({ host: address.host, port: address.port }) : trust.connect(address);
  socket.setNoDelay(true);
  socket.setKeepAlive(true);
  socket.once(trust === undefined ? 'connect' : 'secureConnect', connected);
  return socket;
}

/** Begins a request over HTTP. @param trust undefined: plain @throws AuthError `keys-unusable` */
export function requestOver(
  trust: Trust | undefined,
  options: RequestOptions,
  onResponse?: (response: IncomingMessage) => void,
): ClientRequest {
  return trust === undefined
    ? request(options, onResponse)
    : requestOverTls({ ...options, ...trust.options }, onResponse);
}

/** Keeps connections for {@link requestOver}. @param trust undefined: plain */
export function agentOver(trust: Trust | undefined, options: AgentOptions): HttpAgent {
  return trust === undefined ? new HttpAgent(options) : new HttpsAgent(options);
}
