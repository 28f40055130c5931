import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  bearerToken,
  httpStatusOf,
  AuthError,
  type Action,
  type Gate,
  type ServerCertificate,
  type Target,
} from '@zenith/auth';
import * as v from 'valibot';
import { ComputeError, messageOf, systemCodeOf } from '../errors.ts';
import type { StopMode } from '../postgres/postgres-process.ts';
import type { SafekeeperAddress } from '../wal-proposer/safekeeper-address.ts';
import { SafekeeperAddressSchema } from './config.ts';
import { renderMetrics } from './metrics.ts';
import { statusToJson, type SupervisorStatus } from './status.ts';

/** What the interface shows and does. */
export interface SupervisorHttpHandlers {
  status(): SupervisorStatus;
  /** Begins to stop; does not wait. */
  stop(mode: StopMode): void;
  /** Remembers where safekeepers are that may become members. */
  learnSafekeepers(addresses: readonly SafekeeperAddress[]): void;
}

/** Who is let in. */
export interface SupervisorGate {
  readonly gate: Gate;
  /** The timeline of the compute, which every request is about. */
  readonly target: Target;
}

/** What requests ask of a token; all others `manage`. */
const ACTIONS: Readonly<Record<string, Action>> = {
  'GET /healthz': 'observe',
  'GET /metrics': 'observe',
  'GET /v1/status': 'observe',
};

/** Longest request body that is read. Unit: bytes. */
const BODY_MAX = 4096;

/** A client gets so long to send its request. Unit: milliseconds. */
const REQUEST_TIMEOUT_MS = 10_000;

const SafekeepersRequest = v.strictObject({ safekeepers: v.pipe(v.array(SafekeeperAddressSchema), v.minLength(1)) });

const StopRequest = v.strictObject({ mode: v.optional(v.picklist(['fast', 'immediate']), 'fast') });

class HttpError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * The supervisor's HTTP interface: GET /v1/status, POST /v1/stop, POST /v1/safekeepers, GET /healthz, GET /metrics. On node:http itself: five routes do not repay the 80 ms a framework
 * takes to load, which would be a sixth of a compute's start.
 */
export class SupervisorHttp {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** Begins to listen. @param gate left out: everybody is let in @param certificate left out: connections are plain @throws ComputeError `port-taken` */
  static async listen(
    host: string,
    port: number,
    handlers: SupervisorHttpHandlers,
    gate?: SupervisorGate,
    certificate?: ServerCertificate,
  ): Promise<SupervisorHttp> {
    const options = { requestTimeout: REQUEST_TIMEOUT_MS, maxHeaderSize: 16_384 };
    const listener = (request: IncomingMessage, response: ServerResponse): void =>
      void serve(request, response, handlers, gate);
    const server =
      certificate === undefined ? createServer(options, listener) : certificate.createHttpServer(options, listener);
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, host, resolve);
      });
    } catch (error) {
      if (systemCodeOf(error) === 'EADDRINUSE')
        throw new ComputeError(
          'port-taken',
          `port ${port} of ${host} is taken: the compute's HTTP interface needs it`,
          { cause: error },
        );
      throw error;
    }
    return new SupervisorHttp(server);
  }

  /** The port it listens on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Stops listening and closes all connections. */
  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  handlers: SupervisorHttpHandlers,
  gate: SupervisorGate | undefined,
): Promise<void> {
  try {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const action = ACTIONS[`${request.method} ${pathname}`] ?? 'manage';
    await gate?.gate.admit(bearerToken(request.headers.authorization), action, gate.target);
    switch (`${request.method} ${pathname}`) {
      case 'GET /healthz': {
        const { state, message } = handlers.status();
        return answer(response, state === 'running' ? 200 : 503, { state, message });
      }
      case 'GET /v1/status':
        return answer(response, 200, statusToJson(handlers.status()));
      case 'POST /v1/stop': {
        const parsed = v.safeParse(StopRequest, await readJson(request));
        if (!parsed.success)
          throw new HttpError(
            400,
            'bad-request',
            `expected {"mode": "fast" | "immediate"}: ${parsed.issues[0].message}`,
          );
        handlers.stop(parsed.output.mode);
        return answer(response, 202, statusToJson(handlers.status()));
      }
      case 'POST /v1/safekeepers': {
        const parsed = v.safeParse(SafekeepersRequest, await readJson(request));
        if (!parsed.success)
          throw new HttpError(
            400,
            'bad-request',
            `expected {"safekeepers": [{"id", "host", "port"}, …]}: ${parsed.issues[0].message}`,
          );
        handlers.learnSafekeepers(parsed.output.safekeepers);
        return answer(response, 200, {});
      }
      case 'GET /metrics':
        response
          .writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' })
          .end(await renderMetrics(handlers.status()));
        return;
      default:
        throw new HttpError(404, 'not-found', `there is no ${request.method} ${pathname}`);
    }
  } catch (error) {
    const status = httpStatusOf(error);
    if (status !== undefined && error instanceof AuthError)
      answer(response, status, { code: error.code, message: error.message });
    else if (error instanceof HttpError) answer(response, error.status, { code: error.code, message: error.message });
    else answer(response, 500, { code: 'internal', message: messageOf(error) });
  }
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > BODY_MAX) throw new HttpError(413, 'bad-request', `a body of at most ${BODY_MAX} bytes is read`);
    chunks.push(chunk);
  }
  if (length === 0) return {};
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new HttpError(400, 'bad-request', 'the body is not JSON');
  }
}
