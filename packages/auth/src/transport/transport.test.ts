import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectPlain, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { temporaryDirectory } from '@zenith/testing';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import {
  agentOver,
  connectTo,
  issueAuthority,
  issueCertificate,
  requestOver,
  ServerCertificate,
  serverFactoryOf,
  Trust,
  type CertificatePair,
} from '../index.ts';

const HOUR_MS = 3600 * 1000;

let authority: CertificatePair;
let pair: CertificatePair;
let directory: ReturnType<typeof temporaryDirectory>;
let logged: object[];
const servers: { close(): unknown }[] = [];
const sockets: Socket[] = [];

beforeAll(async () => {
  authority = await issueAuthority('test', Date.now(), HOUR_MS);
  pair = await issue();
});
beforeEach(() => {
  directory = temporaryDirectory();
  logged = [];
  show(pair);
  writeFileSync(path('ca.pem'), authority.certificate);
});
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  for (const server of servers.splice(0)) server.close();
  directory.remove();
});

const path = (name: string): string => join(directory.path, name);
const issue = (hosts = ['127.0.0.1']): Promise<CertificatePair> =>
  issueCertificate(authority, hosts, Date.now(), HOUR_MS);

/** Replaces the server's certificate and key in one step, as whoever renews them does. */
function show({ certificate, key }: CertificatePair): void {
  writeFileSync(path('next.pem'), certificate + key);
  renameSync(path('next.pem'), path('server.pem'));
}

const certificate = (): ServerCertificate =>
  new ServerCertificate(
    { certificate: path('server.pem'), key: path('server.pem') },
    { error: (fields) => logged.push(fields) },
  );

/** A server that greets whoever has shaken hands; its port. */
async function greeter(of = certificate()): Promise<number> {
  const secure = of.wrap((socket) => {
    socket.on('error', () => undefined);
    socket.end('welcome');
  });
  return listen(createServer(secure));
}

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** What a server says to a client of this trust, or the code it could not be believed for. */
async function hear(port: number, trust: Trust | undefined, host = '127.0.0.1'): Promise<string> {
  const socket = connectTo(trust, { host, port }, () => socket.write('hello'));
  sockets.push(socket);
  let heard = '';
  socket.on('data', (chunk) => (heard += String(chunk)));
  return new Promise((resolve) => {
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.once('close', () => resolve(heard));
  });
}

/** The certificate that a server shows now. */
async function shownBy(port: number): Promise<string> {
  const socket: TLSSocket = connect({ host: '127.0.0.1', port, ca: authority.certificate });
  sockets.push(socket);
  await once(socket, 'secureConnect');
  return socket.getPeerCertificate().raw.toString('base64');
}

const encoded = ({ certificate: pem }: CertificatePair): string => pem.replaceAll(/-----.*?-----|\s/g, '');

describe('an encrypted connection', () => {
  test('is made to who has a certificate of the authority, for the host that was asked', async () => {
    const port = await greeter();
    expect(await hear(port, new Trust(path('ca.pem')))).toBe('welcome');
    show(await issue(['192.0.2.1', 'elsewhere']));
    expect(await hear(port, new Trust(path('ca.pem')))).toBe('ERR_TLS_CERT_ALTNAME_INVALID');
  });

  test('is not made by who knows another authority', async () => {
    writeFileSync(path('other.pem'), (await issueAuthority('other', Date.now(), HOUR_MS)).certificate);
    expect(await hear(await greeter(), new Trust(path('other.pem')))).toMatch(
      /UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT/,
    );
  });

  test('is not made with a certificate that has expired', async () => {
    show(await issueCertificate(authority, ['127.0.0.1'], Date.now() - 2 * HOUR_MS, HOUR_MS));
    expect(await hear(await greeter(), new Trust(path('ca.pem')))).toBe('CERT_HAS_EXPIRED');
  });

  test('is not made by who speaks in clear, who is told nothing', async () => {
    const socket = connectPlain({ host: '127.0.0.1', port: await greeter() });
    sockets.push(socket);
    let heard = '';
    socket.on('data', (chunk) => (heard += String(chunk))).on('error', () => undefined);
    socket.write('hello, I speak in clear');
    await once(socket, 'close');
    expect(heard).not.toContain('welcome');
  });

  test('is not made with an older version of TLS', async () => {
    const port = await greeter();
    const socket = connect({ host: '127.0.0.1', port, ca: authority.certificate, maxVersion: 'TLSv1.2' });
    sockets.push(socket);
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException];
    expect(error.code).toMatch(/TLSV1_ALERT_PROTOCOL_VERSION/);
  });
});

describe('certificates', () => {
  test('are replaced without a restart: the next connection is shown the new one', async () => {
    const port = await greeter();
    expect(await shownBy(port)).toBe(encoded(pair));
    const next = await issue();
    show(next);
    expect(await shownBy(port)).toBe(encoded(next));
  });

  test('that cannot be used leave the one before in use, and are told to the log once', async () => {
    const port = await greeter();
    for (const content of ['nonsense', pair.certificate + (await issue()).key]) {
      show({ certificate: content, key: '' });
      for (let i = 0; i < 2; i++) expect(await shownBy(port)).toBe(encoded(pair));
    }
    expect(logged).toHaveLength(2);
    rmSync(path('server.pem'));
    expect(await shownBy(port)).toBe(encoded(pair));
  });

  test('that cannot be used at the start are told then, and not what is in them', () => {
    writeFileSync(path('server.pem'), pair.key.replace('BEGIN', 'BEGUN'));
    expect(certificate).toThrow(`${path('server.pem')} and ${path('server.pem')} cannot be used`);
    rmSync(path('server.pem'));
    expect(certificate).toThrow('(ENOENT)');
    expect(() => new Trust(path('nothing.pem')).options).toThrow('(ENOENT)');
  });

  test('of new authorities are known from the next connection on', async () => {
    const port = await greeter();
    const trust = new Trust(path('ca.pem'));
    const other = await issueAuthority('other', Date.now(), HOUR_MS);
    show(await issueCertificate(other, ['127.0.0.1'], Date.now(), HOUR_MS));
    expect(await hear(port, trust)).not.toBe('welcome');
    writeFileSync(path('ca.pem'), other.certificate + authority.certificate);
    expect(await hear(port, trust)).toBe('welcome');
    show(pair);
    expect(await hear(port, trust)).toBe('welcome');
  });
});

describe('HTTP', () => {
  async function get(port: number, trust: Trust | undefined): Promise<string> {
    const agent = agentOver(trust, { keepAlive: false });
    return new Promise((resolve) => {
      const sent = requestOver(trust, { host: '127.0.0.1', port, path: '/', agent }, (response) => {
        response.once('data', (chunk) => resolve(String(chunk)));
      });
      sent.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      sent.end();
    });
  }

  test('is spoken over TLS by who has a certificate, and in clear by who has none', async () => {
    const trust = new Trust(path('ca.pem'));
    const factory = serverFactoryOf(certificate()).serverFactory;
    if (factory === undefined) throw new Error('no factory');
    const port = await listen(factory((_request, response) => void response.end('answer')));
    expect(await get(port, trust)).toBe('answer');
    expect(await get(port, undefined)).toMatch(/ECONNRESET|EPIPE/);
    const next = await issue();
    show(next);
    expect(await shownBy(port)).toBe(encoded(next));
    expect(serverFactoryOf(undefined)).toEqual({});
    const plain = await listen(createHttpServer((_request, response) => void response.end('in clear')));
    expect(await get(plain, undefined)).toBe('in clear');
    expect(await get(plain, trust)).toMatch(/EPROTO|ERR_SSL/);
  });
});
