import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { NO_TOKENS } from '@zenith/auth';
import { lsn, parseTenantId, parseTimelineId, type SystemId } from '@zenith/base';
import { encodeSnapshotHeader, type SnapshotManifest } from '@zenith/wire';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SnapshotClient } from './snapshot-client.ts';

const AT = lsn(0x1000028);
const TIMEOUT_MS = 60_000;

const MANIFEST: SnapshotManifest = {
  lsn: AT,
  pgMajor: 18,
  systemId: '7000000000000000001' as SystemId,
  checkpoint: {
    nextXid: 3n,
    nextOid: 10_000,
    nextMulti: 1,
    nextMultiOffset: 0,
    oldestXid: 3,
    oldestXidDb: 1,
    oldestMulti: 1,
    oldestMultiDb: 1,
    oldestCommitTsXid: 0,
    newestCommitTsXid: 0,
    walLevel: 1,
  },
  databases: [],
  tablespaces: [],
  relations: [],
  files: [],
};

let server: Server;
let client: SnapshotClient;
/** Answers a request for the named action; what it does not answer stays open. */
let answer: (action: string, response: ServerResponse) => void;

beforeEach(async () => {
  server = createServer((request, response) => {
    request.resume();
    answer(/\/([a-z-]+)(?:\?|$)/.exec(request.url ?? '')?.[1] ?? '', response);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = new SnapshotClient({
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    tenant: parseTenantId('11'.repeat(16)),
    timeline: parseTimelineId('22'.repeat(16)),
    tokens: NO_TOKENS,
  });
});

afterEach(async () => {
  client.close();
  server.closeAllConnections();
  server.close();
  await once(server, 'close');
});

test('asks for the snapshot while it waits, and does not wait for the look at the safekeepers', async () => {
  let askedForSnapshot: () => void = () => undefined;
  const asked = new Promise<void>((resolve) => {
    askedForSnapshot = resolve;
  });
  answer = (action, response): void => {
    if (action === 'wait') void asked.then(() => response.end('{}'));
    if (action !== 'snapshot') return; // 'wal-source' gets no answer at all
    askedForSnapshot();
    response.end(encodeSnapshotHeader(MANIFEST));
  };
  const parts = client.snapshot(AT, TIMEOUT_MS);
  await client.waitFor(AT, TIMEOUT_MS);
  expect((await parts.next()).value).toMatchObject({ kind: 'manifest', manifest: { lsn: AT, pgMajor: 18 } });
});

test('refuses to begin before what the pageserver has ingested, or before where a branch begins', async () => {
  let description: object = {};
  answer = (_, response): void => void response.end(JSON.stringify(description));
  for (const field of ['lastRecordLsn', 'lastBranchLsn']) {
    description = { lastRecordLsn: '0/1000028', lastBranchLsn: null, [field]: '0/1000030' };
    await expect(client.waitFor(AT, TIMEOUT_MS)).rejects.toMatchObject({ code: 'wal-lost' });
    description = { ...description, [field]: '0/1000028' };
    await client.waitFor(AT, TIMEOUT_MS);
  }
});

test('asks once more when the pageserver gave the snapshot up while it waited', async () => {
  let asked = 0;
  let gaveUp: () => void = () => undefined;
  const refused = new Promise<void>((resolve) => {
    gaveUp = resolve;
  });
  answer = (action, response): void => {
    if (action !== 'snapshot') return void refused.then(() => response.end('{}'));
    if (asked++ > 0) return void response.end(encodeSnapshotHeader(MANIFEST));
    response.writeHead(503).end('{"code":"lsn-not-available","message":"not in time"}', gaveUp);
  };
  const parts = client.snapshot(AT, TIMEOUT_MS);
  await client.waitFor(AT, TIMEOUT_MS);
  expect((await parts.next()).value).toMatchObject({ kind: 'manifest' });
  expect(asked).toBe(2);
});
