import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CorruptionError } from '@zenith/base';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { fetchBytes, fetchRange } from '../fetch-object.ts';
import { bytesSource } from '../object-source.ts';
import { openRemoteStorage } from '../open-remote-storage.ts';
import type { RemoteStorage } from '../remote-storage.ts';

// What a store answers when it is not well; how it stores is for the conformance suite, which runs against a real one (integration_tests/debian).
let server: Server;
let storage: RemoteStorage;
let answer: (request: IncomingMessage, response: ServerResponse, body: Buffer) => void;
const requests: string[] = [];

beforeEach(async () => {
  requests.length = 0;
  server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    const chunks: Buffer[] = [];
    request.on('error', () => undefined);
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => answer(request, response, Buffer.concat(chunks)));
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'key');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
  storage = await openRemoteStorage(
    `s3://bucket/pre?endpoint=http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  );
});
afterEach(async () => {
  storage.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  vi.unstubAllEnvs();
});

function refuse(response: ServerResponse, status: number, code: string): void {
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`);
}

test('what may pass is tried again, with the whole body each time', async () => {
  const bodies: string[] = [];
  let conditions = 0;
  answer = (request, response, body) => {
    bodies.push(body.toString());
    if (request.headers['if-none-match'] === '*') conditions++;
    if (bodies.length === 1) refuse(response, 503, 'SlowDown');
    else if (bodies.length === 2) response.destroy();
    else response.writeHead(200, { etag: '"x"' }).end();
  };
  await storage.put('a/b', bytesSource('test', Buffer.from('content')), { ifAbsent: true });
  expect(bodies).toEqual(['content', 'content', 'content']);
  expect(conditions).toBe(3);
  expect(requests[0]).toMatch(/^PUT \/bucket\/pre\/a\/b/);
});

test.each([
  [412, 'PreconditionFailed', 'already-exists'],
  [403, 'AccessDenied', 'refused'],
  [404, 'NoSuchBucket', 'refused'],
])('status %i %s is final: %s', async (status, code, expected) => {
  answer = (_request, response) => refuse(response, status, code);
  await expect(storage.put('a', bytesSource('test', Buffer.from('x')))).rejects.toMatchObject({ code: expected });
  expect(requests.length).toBe(1);
});

test('a range behind the end of an object is damage to it, which is named', async () => {
  answer = (_request, response) => refuse(response, 416, 'InvalidRange');
  const reading = fetchRange(storage, 'a/b', 100, { start: 50, end: 100 });
  await expect(reading).rejects.toBeInstanceOf(CorruptionError);
  await expect(reading).rejects.toThrow('get a/b');
  expect(requests.length).toBe(1);
});

test('an answer that breaks off is read again from its beginning', async () => {
  answer = (_request, response) => {
    response.writeHead(200, { 'content-length': '10' });
    if (requests.length < 3) response.write('01234', () => response.destroy());
    else response.end('0123456789');
  };
  expect(new TextDecoder().decode(await fetchBytes(storage, 'a', 100))).toBe('0123456789');
  expect(requests.length).toBe(3);
});
