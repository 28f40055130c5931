import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Gate, keyFileName, mintToken, newKey } from '@zenith/auth';
import { lsn, newTenantId, newTimelineId } from '@zenith/base';
import { temporaryDirectory } from '@zenith/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { SupervisorHttp } from './http.ts';
import type { SupervisorStatus } from './status.ts';

const running: SupervisorStatus = {
  state: 'running',
  startLsn: lsn(0x1000),
  commitLsn: lsn(0x1_0000_2000),
  receivedLsn: lsn(0x1_0000_2000),
  term: 3,
  restarts: 2,
  postgresPort: 55432,
  postgresPid: 77,
  message: 'fine',
};

describe('the supervisor over HTTP', () => {
  let http: SupervisorHttp | undefined;
  const stops: string[] = [];
  const learnt: object[] = [];
  afterEach(() => {
    http?.close();
    stops.length = 0;
    learnt.length = 0;
  });
  const listen = async (status: SupervisorStatus = running): Promise<string> => {
    http = await SupervisorHttp.listen('127.0.0.1', 0, {
      status: () => status,
      stop: (mode) => stops.push(mode),
      learnSafekeepers: (addresses) => learnt.push(...addresses),
    });
    return `http://127.0.0.1:${http.port}`;
  };
  const post = (url: string, body: string): Promise<Response> => fetch(url, { method: 'POST', body });

  it('shows its state, LSNs as text', async () => {
    const base = await listen();
    expect(await (await fetch(`${base}/v1/status`)).json()).toEqual({
      state: 'running',
      startLsn: '0/1000',
      commitLsn: '1/2000',
      receivedLsn: '1/2000',
      term: 3,
      restarts: 2,
      postgresPort: 55432,
      postgresPid: 77,
      message: 'fine',
    });
    expect((await fetch(`${base}/healthz`)).status).toBe(200);
    const metrics = await (await fetch(`${base}/metrics`)).text();
    expect(metrics).toContain('zenith_compute_commit_lsn_bytes 4294975488');
    expect(metrics).toContain('zenith_compute_restarts_total 2');
  });

  it.each(['starting', 'restarting'] as const)('is not healthy while it is %s', async (state) => {
    const base = await listen({
      ...running,
      state,
      startLsn: undefined,
      commitLsn: undefined,
      receivedLsn: undefined,
      postgresPid: undefined,
    });
    expect((await fetch(`${base}/healthz`)).status).toBe(503);
    expect(await (await fetch(`${base}/v1/status`)).json()).toMatchObject({
      startLsn: null,
      commitLsn: null,
      postgresPid: null,
    });
  });

  it('stops as it is told, fast when it is not told how', async () => {
    const base = await listen();
    expect((await post(`${base}/v1/stop`, '{"mode":"immediate"}')).status).toBe(202);
    expect((await post(`${base}/v1/stop`, '')).status).toBe(202);
    expect(stops).toEqual(['immediate', 'fast']);
  });

  it('takes the addresses of safekeepers, and refuses what is none', async () => {
    const base = await listen();
    const added = { id: 4, host: '127.0.0.1', port: 64104 };
    expect((await post(`${base}/v1/safekeepers`, JSON.stringify({ safekeepers: [added] }))).status).toBe(200);
    expect((await post(`${base}/v1/safekeepers`, '{"safekeepers":[{"id":0}]}')).status).toBe(400);
    expect((await post(`${base}/v1/safekeepers`, '{"safekeepers":[]}')).status).toBe(400);
    expect(learnt).toEqual([added]);
  });

  it.each([
    ['{', 400],
    ['{"mode":"gently"}', 400],
    ['{"mode":"fast","more":1}', 400],
    ['x'.repeat(5000), 413],
  ])('refuses the request %.20s', async (body, status) => {
    const base = await listen();
    const response = await post(`${base}/v1/stop`, body);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ code: 'bad-request' });
    expect(stops).toEqual([]);
  });

  it('knows no other route, and names a taken port', async () => {
    const base = await listen();
    expect((await fetch(`${base}/v1/nothing`)).status).toBe(404);
    await expect(
      SupervisorHttp.listen('127.0.0.1', http?.port ?? 0, {
        status: () => running,
        stop: () => undefined,
        learnSafekeepers: () => undefined,
      }),
    ).rejects.toMatchObject({ code: 'port-taken' });
  });
});

const SILENT = { error: (): void => undefined };

describe('the supervisor over HTTP, where a token is required', () => {
  it('answers nobody whose token is not good for its timeline', async () => {
    const directory = temporaryDirectory();
    const target = { tenant: newTenantId(), timeline: newTimelineId() };
    const key = newKey();
    const privateFile = join(directory.path, 'private.pem');
    writeFileSync(privateFile, key.privatePem, { mode: 0o600 });
    writeFileSync(join(directory.path, keyFileName(key.id)), key.publicPem);
    const stops: string[] = [];
    const handlers = {
      status: () => running,
      stop: (mode: string) => stops.push(mode),
      learnSafekeepers: () => undefined,
    };
    const http = await SupervisorHttp.listen('127.0.0.1', 0, handlers, {
      gate: new Gate(directory.path, SILENT),
      target,
    });
    const status = async (method: string, path: string, token?: string): Promise<number> => {
      const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
      return (await fetch(`http://127.0.0.1:${http.port}${path}`, { method, headers })).status;
    };
    try {
      const admin = await mintToken(privateFile, { role: 'admin', ...target });
      const monitor = await mintToken(privateFile, { role: 'monitor', ...target });
      const elsewhere = await mintToken(privateFile, { role: 'admin', ...target, timeline: newTimelineId() });
      for (const path of ['/healthz', '/metrics', '/v1/status']) {
        expect([path, await status('GET', path)]).toEqual([path, 401]);
        expect([path, await status('GET', path, elsewhere)]).toEqual([path, 403]);
        expect([path, await status('GET', path, monitor)]).toEqual([path, 200]);
      }
      expect(await status('POST', '/v1/stop')).toBe(401);
      expect(await status('POST', '/v1/stop', monitor)).toBe(403);
      expect(await status('POST', '/v1/safekeepers', monitor)).toBe(403);
      expect(await status('GET', '/nothing')).toBe(401);
      expect(stops).toEqual([]);
      expect(await status('POST', '/v1/stop', admin)).toBe(202);
      expect(stops).toEqual(['fast']);
    } finally {
      http.close();
      directory.remove();
    }
  });
});
