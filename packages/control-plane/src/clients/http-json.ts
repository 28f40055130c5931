import type { ClientRequest, OutgoingHttpHeaders } from 'node:http';
import { AuthError, bearerHeaders, requestOver, type Trust } from '@zenith/auth';
import { ControlPlaneError } from '../errors.ts';

/** A larger answer is refused. Unit: bytes. */
const RESPONSE_BYTES_MAX = 4 * 1024 * 1024;

/** One call of a service's HTTP interface. */
export interface HttpCall {
  /** For messages: "the pageserver". */
  readonly service: string;
  /** The command that starts it, told when nobody listens there. */
  readonly startedBy: string;
  readonly host: string;
  readonly port: number;
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Path and query, escaped. */
  readonly path: string;
  /** Shown to the service; undefined where none is required. */
  readonly token: string | undefined;
  /** How the service is known; undefined where connections are plain. */
  readonly trust: Trust | undefined;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** From the call to the last byte of the answer. Unit: milliseconds. */
  readonly timeoutMs: number;
}

/** A service answered with an error: its own code and message, and the HTTP status. */
export class ServiceRefusal extends ControlPlaneError {
  readonly status: number;
  /** The service's own error code; undefined when it sent none. */
  readonly serviceCode: string | undefined;

  constructor(message: string, status: number, serviceCode: string | undefined) {
    super('service-refused', message);
    this.status = status;
    this.serviceCode = serviceCode;
  }
}

function parseAnswer(call: HttpCall, status: number, text: string): unknown {
  let json: unknown;
  try {
    json = text === '' ? undefined : JSON.parse(text);
  } catch (error) {
    throw new ControlPlaneError(
      'service-refused',
      `${call.service} answered ${call.method} ${call.path} with something that is not JSON (status ${status}); is another program on port ${call.port}?`,
      { cause: error },
    );
  }
  if (status >= 200 && status < 300) return json;
  const { code, message } = (typeof json === 'object' && json !== null ? json : {}) as {
    code?: unknown;
    message?: unknown;
  };
  throw new ServiceRefusal(
    typeof message === 'string'
      ? `${call.service}: ${message}`
      : `${call.service} answered ${call.method} ${call.path} with status ${status}`,
    status,
    typeof code === 'string' ? code : undefined,
  );
}

/**
 * Calls a service.
 * @returns the JSON it answered with, unchecked; undefined for an empty answer
 * @throws ServiceRefusal when it answered with an error; ControlPlaneError `not-running` when nobody listens or who does is not known, `service-timeout`, `service-refused`, `repository-invalid`
 */
export async function callHttp(call: HttpCall): Promise<unknown> {
  const { status, text } = await exchange(call);
  return parseAnswer(call, status, text);
}

/** @throws ControlPlaneError `repository-invalid` when the authorities that know the service cannot be read */
function begin({ trust, host, port, method, path }: HttpCall, headers: OutgoingHttpHeaders): ClientRequest {
  try {
    // One connection per call: a `zenith` command makes few calls and must not linger on an idle connection.
    return requestOver(trust, { agent: false, host, port, method, path, headers });
  } catch (error) {
    if (!(error instanceof AuthError)) throw error;
    throw new ControlPlaneError('repository-invalid', error.message, { cause: error });
  }
}

function exchange(call: HttpCall): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const where = `${call.trust === undefined ? 'http' : 'https'}://${call.host}:${call.port}`;
    const body = call.body === undefined ? undefined : Buffer.from(JSON.stringify(call.body));
    const headers = {
      ...bearerHeaders(call.token),
      ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length }),
    };
    const outgoing = begin(call, headers);
    const timer = setTimeout(() => {
      outgoing.destroy();
      reject(
        new ControlPlaneError(
          'service-timeout',
          `${call.service} did not answer within ${call.timeoutMs / 1000} s on ${where}${call.path}`,
        ),
      );
    }, call.timeoutMs);
    const fail = (error: NodeJS.ErrnoException): void => {
      clearTimeout(timer);
      const remedy = error.code === 'ECONNREFUSED' ? `; start it with '${call.startedBy}'` : '';
      reject(
        new ControlPlaneError(
          'not-running',
          `${call.service} does not answer on ${where}: ${error.message || error.code}${remedy}`,
          { cause: error },
        ),
      );
    };
    outgoing.on('error', fail);
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = [];
      let size = 0;
      incoming.on('error', fail);
      incoming.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > RESPONSE_BYTES_MAX)
          incoming.destroy(new Error(`its answer is larger than ${RESPONSE_BYTES_MAX} bytes`));
        else chunks.push(chunk);
      });
      incoming.on('end', () => {
        clearTimeout(timer);
        resolve({ status: incoming.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') });
      });
    });
    outgoing.end(body);
  });
}
