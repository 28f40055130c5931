import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Gate, keyFileName, mintToken, newKey, type Identity } from '@zenith/auth';
import { temporaryDirectory } from '@zenith/testing';
import Fastify from 'fastify';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { sendError } from './http-service.ts';
import { addGate } from './gate.ts';

const TENANT = '11'.repeat(16);
const TIMELINE = '22'.repeat(16);
const HERE = `/v1/tenant/${TENANT}/timeline/${TIMELINE}`;
const ROUTE = '/v1/tenant/:tenant/timeline/:timeline';

let directory: ReturnType<typeof temporaryDirectory>;
let mint: (identity: Identity) => Promise<string>;
const server = (): ReturnType<typeof Fastify> => {
  const made = Fastify();
  made.setErrorHandler((error: Error, _request, reply) => sendError(error, reply));
  addGate(made, new Gate(directory.path, { error: () => undefined }));
  for (const path of ['/healthz', '/metrics', '/v1/status', ROUTE, `${ROUTE}/snapshot`, `${ROUTE}/page`])
    made.get(path, () => 'ok');
  for (const path of ['/v1/tenant/:tenant/timeline', `${ROUTE}/wait`, `${ROUTE}/lease`, `${ROUTE}/gc`])
    made.post(path, () => 'ok');
  return made;
};

beforeEach(() => {
  directory = temporaryDirectory();
  const key = newKey();
  const privateFile = join(directory.path, 'private.pem');
  writeFileSync(privateFile, key.privatePem, { mode: 0o600 });
  writeFileSync(join(directory.path, keyFileName(key.id)), key.publicPem);
  mint = (identity) => mintToken(privateFile, identity);
});
afterEach(() => directory.remove());

it('lets each role to what it is for, and asks everybody for a token', async () => {
  const compute = await mint({ role: 'compute', tenant: TENANT, timeline: TIMELINE });
  const other = await mint({ role: 'compute', tenant: TENANT, timeline: TENANT });
  const monitor = await mint({ role: 'monitor' });
  const admin = await mint({ role: 'admin' });
  const app = server();
  const status = async (method: 'GET' | 'POST', url: string, token?: string): Promise<number> =>
    (await app.inject({ method, url, headers: token === undefined ? {} : { authorization: `Bearer ${token}` } }))
      .statusCode;
  const requests = [
    ['GET', '/healthz', [403, 403, 200, 200]],
    ['GET', '/metrics', [403, 403, 200, 200]],
    ['GET', '/v1/status', [403, 403, 200, 200]],
    ['GET', `${HERE}/snapshot`, [200, 403, 403, 200]],
    ['POST', `${HERE}/wait`, [200, 403, 403, 200]],
    ['POST', `${HERE}/lease`, [200, 403, 403, 200]],
    ['GET', HERE, [403, 403, 403, 200]],
    ['GET', `${HERE}/page`, [403, 403, 403, 200]],
    ['POST', `${HERE}/gc`, [403, 403, 403, 200]],
    ['POST', `/v1/tenant/${TENANT}/timeline`, [403, 403, 403, 200]],
    ['GET', '/nothing', [403, 403, 403, 404]],
  ] as const;
  for (const [method, url, expected] of requests) {
    expect([url, await status(method, url)]).toEqual([url, 401]);
    expect([url, await status(method, url, 'nonsense')]).toEqual([url, 401]);
    const answers = [];
    for (const token of [compute, other, monitor, admin]) answers.push(await status(method, url, token));
    expect([url, answers]).toEqual([url, expected]);
  }
  await app.close();
});
