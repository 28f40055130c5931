import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Trust } from '@zenith/auth';
import { afterEach, expect, test } from 'vitest';
import { callHttp, type HttpCall } from './http-json.ts';

let server: Server | undefined;
afterEach(() => {
  server?.closeAllConnections();
  server?.close();
});

async function call(listener: RequestListener, more: Partial<HttpCall> = {}): Promise<unknown> {
  server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return callHttp({
    service: 'the service',
    startedBy: 'zenith start',
    host: '127.0.0.1',
    port,
    token: undefined,
    trust: undefined,
    method: 'GET',
    path: '/x',
    timeoutMs: 5_000,
    ...more,
  });
}

test('authorities that cannot be read are the repository’s fault', async () => {
  const trust = new Trust('/nonexistent/ca.pem');
  await expect(call(() => undefined, { trust })).rejects.toMatchObject({ code: 'repository-invalid' });
});

test('a body goes out as JSON and the answer comes back', async () => {
  const answer = await call(
    (request, response) => {
      let text = '';
      request.on('data', (chunk) => (text += chunk));
      request.on('end', () =>
        response.end(
          JSON.stringify({ method: request.method, type: request.headers['content-type'], body: JSON.parse(text) }),
        ),
      );
    },
    { method: 'POST', body: { a: 1 } },
  );
  expect(answer).toEqual({ method: 'POST', type: 'application/json', body: { a: 1 } });
});

test('an empty answer is undefined', async () => {
  expect(await call((_request, response) => response.writeHead(204).end())).toBeUndefined();
});

test("a refusal carries the service's words, its code and the status", async () => {
  await expect(
    call((_request, response) => response.writeHead(404).end('{"code":"no-such-timeline","message":"no timeline 7"}')),
  ).rejects.toMatchObject({
    code: 'service-refused',
    message: 'the service: no timeline 7',
    status: 404,
    serviceCode: 'no-such-timeline',
  });
});

test('an answer that is not JSON hints at another program on the port', async () => {
  await expect(call((_request, response) => response.end('<html>'))).rejects.toThrow('is another program on port');
});

test('an answer that is too large is refused', async () => {
  await expect(call((_request, response) => response.end(`"${'x'.repeat(5 * 1024 * 1024)}"`))).rejects.toThrow(
    'larger than 4194304 bytes',
  );
});

test('a service that does not answer in time is given up', async () => {
  await expect(call(() => undefined, { timeoutMs: 100 })).rejects.toMatchObject({ code: 'service-timeout' });
});

test('nobody listening means not running', async () => {
  server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  await expect(
    callHttp({
      service: 'the service',
      startedBy: 'zenith start',
      host: '127.0.0.1',
      port,
      token: undefined,
      trust: undefined,
      method: 'GET',
      path: '/',
      timeoutMs: 5_000,
    }),
  ).rejects.toMatchObject({
    code: 'not-running',
    message: expect.stringMatching(/^the service does not answer on .*; start it with 'zenith start'$/) as string,
  });
});
