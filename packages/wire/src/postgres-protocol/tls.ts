import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Trust } from '@zenith/auth';
import { PostgresProtocolError } from './errors.ts';
import { encodeError, GSSENC_REQUEST, SSL_REQUEST } from './messages.ts';

/** SSLRequest and GSSENCRequest: length i32 = 8, code i32. The answer is one byte: S or N. */
const REQUEST_LENGTH = 8;

const YES = 'S';
const NO = 'N';

/**
 * The client's part: asks the server for TLS and shakes hands.
 * @param plain is about to be connected; it is this function's until it resolves, and destroyed when it rejects
 * @throws PostgresProtocolError `tls-refused`, `connection-failed`, or what `plain` is destroyed with
 */
export function askForTls(plain: Socket, trust: Trust, host: string): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      plain.destroy();
      reject(
        error instanceof PostgresProtocolError
          ? error
          : new PostgresProtocolError('connection-failed', `the connection was lost: ${error.message}`, {
              cause: error,
            }),
      );
    };
    plain.on('error', fail);
    plain.once('close', () => fail(new Error('the server closed it')));
    plain.once('connect', () => plain.write(encodeRequest(SSL_REQUEST)));
    plain.once('data', (answer: Buffer) => {
      // What comes behind the answer is from nobody known: it must not be taken for what was said under TLS.
      if (answer.toString('latin1') !== YES)
        return fail(new PostgresProtocolError('tls-refused', 'the server does not speak TLS'));
      try {
        const secured = trust.secure(plain, host);
        secured.once('error', fail);
        secured.once('secureConnect', () => {
          secured.off('error', fail);
          resolve(secured);
        });
      } catch (error) {
        fail(error as Error);
      }
    });
  });
}

/**
 * The server's part: says yes to whoever asks for TLS, and sends everybody else away.
 * @param accepted has just connected
 * @param secure takes it over for the handshake
 * @param timeoutMs how long a client may take to ask
 */
export function requireTls(accepted: Socket, secure: (accepted: Socket) => void, timeoutMs: number): void {
  let bytes: Buffer = Buffer.alloc(0);
  const timer = setTimeout(() => accepted.destroy(), timeoutMs);
  const stop = (): void => {
    clearTimeout(timer);
    accepted.off('data', receive).off('close', stop).off('error', ignore);
  };
  function receive(chunk: Buffer): void {
    bytes = Buffer.concat([bytes, chunk]);
    if (bytes.length < REQUEST_LENGTH) return;
    const code = bytes.readInt32BE(0) === REQUEST_LENGTH ? bytes.readInt32BE(4) : undefined;
    if (code === GSSENC_REQUEST && bytes.length === REQUEST_LENGTH) {
      bytes = Buffer.alloc(0);
      accepted.write(NO);
      return;
    }
    stop();
    // What came behind the request came in clear, from whomever: it must not be taken for what is said under TLS.
    if (code === SSL_REQUEST && bytes.length === REQUEST_LENGTH) {
      accepted.write(YES);
      secure(accepted);
      return;
    }
    accepted.on('error', ignore);
    accepted.resume(); // what is not read would have the answer lost
    accepted.end(encodeError('FATAL', '28000', 'connections are encrypted here: use sslmode=verify-ca or verify-full'));
    accepted.destroySoon();
  }
  accepted.on('data', receive).on('close', stop).on('error', ignore);
}

function ignore(): void {
  // A connection that is lost before anything was said is nobody's news.
}

function encodeRequest(code: number): Buffer {
  const bytes = Buffer.alloc(REQUEST_LENGTH);
  bytes.writeInt32BE(REQUEST_LENGTH, 0);
  bytes.writeInt32BE(code, 4);
  return bytes;
}
