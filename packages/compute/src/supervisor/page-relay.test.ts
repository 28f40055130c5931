import { once } from 'node:events';
import { statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { SERVICE_TOKEN_FILE, TokenFolder } from '@zenith/auth';
import { newTenantId, newTimelineId } from '@zenith/base';
import { CLIENT_HELLO_LENGTH, decodeClientHello, encodeClientHello } from '@zenith/wire';
import { temporaryDirectory } from '@zenith/testing';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { PageRelay } from './page-relay.ts';

const tenant = newTenantId();
const timeline = newTimelineId();

let directory: ReturnType<typeof temporaryDirectory>;
let pageserver: Server;
let relay: PageRelay | undefined;
const sockets: Socket[] = [];

/** Resolves when `length` bytes have come. */
function receive(socket: Socket, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let received = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (received.length >= length) resolve(received);
    });
    socket.once('close', () => reject(new Error(`closed after ${received.length} bytes`)));
  });
}

function keep(socket: Socket): Socket {
  sockets.push(socket);
  socket.on('error', () => undefined);
  return socket;
}

const path = (): string => join(directory.path, 'pages.sock');

async function start(): Promise<void> {
  const { port } = pageserver.address() as AddressInfo;
  relay = await PageRelay.listen({
    path: path(),
    owner: undefined,
    pageserver: { host: '127.0.0.1', port },
    tenant,
    timeline,
    tokens: new TokenFolder(directory.path),
    log: pino({ level: 'silent' }),
  });
}

beforeEach(async () => {
  directory = temporaryDirectory();
  pageserver = createServer();
  pageserver.listen(0, '127.0.0.1');
  await once(pageserver, 'listening');
});
afterEach(() => {
  relay?.close();
  relay = undefined;
  for (const socket of sockets.splice(0)) socket.destroy();
  pageserver.close();
  directory.remove();
});

it('says the hello again with the token of now, then passes bytes both ways', async () => {
  await start();
  for (const token of ['first.token', 'second.token']) {
    writeFileSync(join(directory.path, SERVICE_TOKEN_FILE), `${token}\n`, { mode: 0o600 });
    const accepted = once(pageserver, 'connection') as Promise<[Socket]>;
    const client = keep(connect(path()));
    client.write(Buffer.concat([encodeClientHello({ tenant, timeline }), Buffer.from('request')]));
    const server = keep((await accepted)[0]);
    const length = CLIENT_HELLO_LENGTH + token.length;
    const heard = await receive(server, length + 'request'.length);
    expect(decodeClientHello(heard.subarray(0, CLIENT_HELLO_LENGTH), 'relay')).toEqual({
      tenant,
      timeline,
      tokenLength: token.length,
    });
    expect(heard.subarray(CLIENT_HELLO_LENGTH).toString()).toBe(`${token}request`);
    server.write('response');
    expect((await receive(client, 'response'.length)).toString()).toBe('response');
    const closed = once(client, 'close');
    server.destroy();
    await closed;
  }
});

it('is open to its user only, and takes the place of a socket that an earlier run left', async () => {
  await start();
  expect(statSync(path()).mode & 0o777).toBe(0o600);
  await start();
  expect(statSync(path()).mode & 0o777).toBe(0o600);
});

it('passes nothing on for another timeline, and nothing that is no hello', async () => {
  await start();
  let connections = 0;
  pageserver.on('connection', () => connections++);
  for (const bytes of [
    encodeClientHello({ tenant, timeline: newTimelineId() }),
    Buffer.alloc(CLIENT_HELLO_LENGTH, 1),
  ]) {
    const client = keep(connect(path()));
    const closed = once(client, 'close');
    client.write(bytes);
    await closed;
  }
  expect(connections).toBe(0);
});

it('refuses a path that no Unix socket can have', async () => {
  const refused = PageRelay.listen({
    path: join(directory.path, 'x'.repeat(120)),
    owner: undefined,
    pageserver: { host: '127.0.0.1', port: 1 },
    tenant,
    timeline,
    tokens: new TokenFolder(directory.path),
    log: pino({ level: 'silent' }),
  });
  await expect(refused).rejects.toMatchObject({ code: 'invalid-config' });
});
