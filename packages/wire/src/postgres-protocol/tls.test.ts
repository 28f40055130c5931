import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { issueAuthority, issueCertificate, ServerCertificate, Trust } from '@zenith/auth';
import { temporaryDirectory } from '@zenith/testing';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { PostgresClient } from './client.ts';
import { GSSENC_REQUEST, SSL_REQUEST } from './messages.ts';
import { PostgresSession } from './server.ts';
import { requireTls } from './tls.ts';

const HOUR_MS = 3600 * 1000;
const parameters = { user: 'me' };

let directory: ReturnType<typeof temporaryDirectory>;
let certificate: ServerCertificate;
let trust: Trust;
let server: Server;
let timeoutMs: number;
let queries: string[];
const sockets: Socket[] = [];

beforeAll(async () => {
  directory = temporaryDirectory();
  const authority = await issueAuthority('test', Date.now(), HOUR_MS);
  const pair = await issueCertificate(authority, ['127.0.0.1'], Date.now(), HOUR_MS);
  const [ca, own] = [join(directory.path, 'ca.pem'), join(directory.path, 'server.pem')];
  writeFileSync(ca, authority.certificate);
  writeFileSync(own, pair.certificate + pair.key);
  trust = new Trust(ca);
  certificate = new ServerCertificate({ certificate: own, key: own }, { error: () => undefined });
});
afterAll(() => directory.remove());

function serve(socket: Socket): void {
  void new PostgresSession(
    socket,
    {
      startup: () => ({}),
      query: (sql, session) => {
        queries.push(sql);
        session.sendResult([{ name: 'a', type: 25 }], [['b'.repeat(100_000)]], 'SELECT 1');
      },
      closed: () => undefined,
    },
    { messageLengthMax: 1_000_000, startupTimeoutMs: 10_000 },
  );
}

async function listen(listener: (socket: Socket) => void): Promise<number> {
  server = createServer((socket) => {
    sockets.push(socket);
    listener(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

beforeEach(() => {
  timeoutMs = 10_000;
  queries = [];
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server.close();
});

/** A port that speaks TLS only. */
const encrypted = (): Promise<number> => {
  const secure = certificate.wrap(serve);
  return listen((socket) => requireTls(socket, secure, timeoutMs));
};

const ask = async (port: number, by: Trust | undefined, host = '127.0.0.1'): Promise<number> => {
  const client = await PostgresClient.connect({ host, port, parameters, trust: by, timeoutMs: 10_000 });
  const { rows } = await client.query('select 1');
  client.close();
  return rows[0]?.[0]?.length ?? 0;
};

function request(code: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeInt32BE(8, 0);
  bytes.writeInt32BE(code, 4);
  return bytes;
}

/** What a server says to these bytes, sent one after the other as soon as something was answered. */
async function say(port: number, ...messages: readonly Buffer[]): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  sockets.push(socket);
  let heard = '';
  const rest = [...messages];
  const next = (): void => {
    const message = rest.shift();
    if (message !== undefined) socket.write(message);
  };
  socket.on('connect', next).on('error', () => undefined);
  socket.on('data', (chunk) => {
    heard += chunk.toString('latin1');
    next();
  });
  await once(socket, 'close');
  return heard;
}

test('a client that trusts the server speaks with it as in clear', async () => {
  expect(await ask(await encrypted(), trust)).toBe(100_000);
});

test('a client that is to speak in clear is told how to connect', async () => {
  await expect(ask(await encrypted(), undefined)).rejects.toMatchObject({
    sqlState: '28000',
    message: expect.stringContaining('sslmode=verify-ca'),
  });
  expect(queries).toEqual([]);
});

test('a client that knows another authority says nothing to the server', async () => {
  const other = join(directory.path, 'other.pem');
  writeFileSync(other, (await issueAuthority('other', Date.now(), HOUR_MS)).certificate);
  const port = await encrypted();
  await expect(ask(port, new Trust(other))).rejects.toMatchObject({ code: 'connection-failed' });
  rmSync(other);
  await expect(ask(port, new Trust(other))).rejects.toMatchObject({ code: 'connection-failed' });
  expect(queries).toEqual([]);
});

test('a client that is to speak TLS does not speak in clear to a server that says no', async () => {
  await expect(ask(await listen(serve), trust)).rejects.toMatchObject({ code: 'tls-refused' });
  expect(queries).toEqual([]);
});

test('a client gives up on a server that does not answer, before the handshake and in it', async () => {
  for (const answer of ['', 'S']) {
    const port = await listen((socket) => void socket.write(answer));
    const connecting = PostgresClient.connect({ host: '127.0.0.1', port, parameters, trust, timeoutMs: 50 });
    await expect(connecting).rejects.toMatchObject({ code: 'connection-timeout' });
    server.close();
  }
});

test('what a server says behind its yes, in clear, is not taken for an answer', async () => {
  const port = await listen((socket) => void socket.write('SR\0\0\0\u0008\0\0\0\0'));
  await expect(ask(port, trust)).rejects.toMatchObject({ code: 'tls-refused' });
});

test('what a client says behind its request, in clear, ends the connection', async () => {
  const port = await encrypted();
  const heard = await say(port, Buffer.concat([request(SSL_REQUEST), Buffer.from('Q')]));
  expect(heard).toContain('connections are encrypted here');
});

test('encryption by GSSAPI is declined, then TLS may be asked for; a request that never ends is cut off', async () => {
  const port = await encrypted();
  expect(await say(port, request(GSSENC_REQUEST), request(SSL_REQUEST), Buffer.from('no handshake at all'))).toMatch(
    /^NS/,
  );
  timeoutMs = 20;
  server.close();
  expect(await say(await encrypted(), request(SSL_REQUEST).subarray(0, 5))).toBe('');
});
