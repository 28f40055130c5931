import { fork, type ChildProcess } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { newTenantId, newTimelineId, parseLsn, type TenantId, type TimelineId } from '@zenith/base';
import { StockPostgres, temporaryDirectory } from '@zenith/testing';
import { PageClient, decodeSnapshot, type SnapshotPart } from '@zenith/wire';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { PageserverAddresses } from './process/pageserver.ts';
import { TimelineStore } from './timeline/timeline-store.ts';
import { compareWithDataDirectory } from './verify/compare.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

/** The pageserver as the process it is. */
class Process {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  stdout = '';
  stderr = '';

  constructor(args: readonly string[]) {
    this.child = fork(MAIN, args, {
      execArgv: ['--conditions=source', '--import', 'tsx'],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.child.stdout?.on('data', (chunk: Buffer) => (this.stdout += chunk.toString()));
    this.child.stderr?.on('data', (chunk: Buffer) => (this.stderr += chunk.toString()));
    this.ended = new Promise((resolve) => {
      this.child.once('close', (code) => resolve(code));
    });
  }

  /** What it says when it serves, or why it does not. */
  ready(): Promise<PageserverAddresses & { ready: boolean; error?: string }> {
    return new Promise((resolve, reject) => {
      this.child.once('message', (message) => resolve(message as PageserverAddresses & { ready: boolean }));
      void this.ended.then((code) => reject(new Error(`ended with ${code}: ${this.stderr}${this.stdout}`)));
    });
  }
}

let postgres: StockPostgres;
let safekeeper: Server;
let directory: ReturnType<typeof temporaryDirectory>;
let tenant: TenantId;
let timeline: TimelineId;
let commitLsn: string;
const running: Process[] = [];

function start(...args: string[]): Process {
  const started = new Process(args);
  running.push(started);
  return started;
}

async function api(
  addresses: PageserverAddresses,
  path: string,
  body?: object,
): Promise<{ status: number; json: Record<string, unknown> }> {
  const response = await fetch(
    `http://127.0.0.1:${addresses.http.port}${path}`,
    body === undefined
      ? {}
      : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
  );
  return { status: response.status, json: (await response.json()) as Record<string, unknown> };
}

async function commit(sql: string): Promise<void> {
  await postgres.query(sql);
  commitLsn = ((await postgres.query('select pg_current_wal_flush_lsn()::text as lsn'))[0] as { lsn: string }).lsn;
}

beforeAll(async () => {
  postgres = StockPostgres.create({
    major: 18,
    settings: { wal_keep_size: '1GB', full_page_writes: 'off', wal_sender_timeout: '2s' },
  });
  directory = temporaryDirectory();
  tenant = newTenantId();
  timeline = newTimelineId();
  // A stock server is a source of WAL; all a safekeeper has more is its list of timelines.
  safekeeper = createServer((_request, response) =>
    response.end(JSON.stringify([{ tenant, timeline, commitLsn }])),
  ).listen(0, '127.0.0.1');
  await new Promise((resolve) => safekeeper.once('listening', resolve));
});
afterEach(async () => {
  for (const { child, ended } of running.splice(0)) {
    child.kill('SIGKILL');
    await ended;
  }
});
afterAll(async () => {
  safekeeper.close();
  await postgres.remove();
  directory.remove();
});

describe('the pageserver process', () => {
  it('refuses to import what is no data directory, or one in use, and leaves nothing', async () => {
    const nothing = start(
      'bootstrap',
      '--data-dir',
      directory.path,
      '--tenant',
      tenant,
      '--timeline',
      timeline,
      '--pgdata',
      '/nonexistent',
    );
    expect(await nothing.ended).toBe(1);
    expect(nothing.stderr).toMatch(/^\/nonexistent is not a PostgreSQL data directory: .*\n$/);
    await postgres.start();
    const inUse = start(
      'bootstrap',
      '--data-dir',
      directory.path,
      '--tenant',
      tenant,
      '--timeline',
      timeline,
      '--pgdata',
      postgres.dataDirectory,
    );
    expect(await inUse.ended).toBe(1);
    expect(inUse.stderr).toMatch(/is in use/);
    await postgres.kill();
    const crashed = start(
      'bootstrap',
      '--data-dir',
      directory.path,
      '--tenant',
      tenant,
      '--timeline',
      timeline,
      '--pgdata',
      postgres.dataDirectory,
    );
    expect(await crashed.ended).toBe(1);
    expect(TimelineStore.open(directory.path).list()).toEqual([]);
    await postgres.start();
    await postgres.stop();
  });

  it('imports a cluster, once', async () => {
    const imported = start(
      'bootstrap',
      '--data-dir',
      directory.path,
      '--tenant',
      tenant,
      '--timeline',
      timeline,
      '--pgdata',
      postgres.dataDirectory,
    );
    expect(await imported.ended).toBe(0);
    expect(JSON.parse(imported.stdout)).toMatchObject({
      tenant,
      timeline,
      pgMajor: 18,
      lsn: expect.stringMatching(/^0\/[0-9A-F]+$/) as string,
      systemId: expect.stringMatching(/^\d+$/) as string,
    });
    const again = start(
      'bootstrap',
      '--data-dir',
      directory.path,
      '--tenant',
      tenant,
      '--timeline',
      timeline,
      '--pgdata',
      postgres.dataDirectory,
    );
    expect(await again.ended).toBe(1);
    expect(again.stderr).toMatch(/there is a timeline/);
  });

  it('refuses a configuration that it does not understand, in one line', async () => {
    writeFileSync(
      join(directory.path, 'pageserver.json'),
      JSON.stringify({ listen: { host: '127.0.0.1', port: 0 }, http: { host: '127.0.0.1', port: 0 }, colour: 'blue' }),
    );
    const refused = start('serve', '--data-dir', directory.path);
    expect(await refused.ready()).toEqual({
      ready: false,
      error: expect.stringMatching(/pageserver\.json: colour: /) as string,
    });
    expect(await refused.ended).toBe(1);
  });

  it('follows WAL, is killed in the middle, follows on, and has exactly what the server has', async () => {
    await postgres.start();
    await commit('create role pageserver login replication; create table t (id int primary key, v text)');
    const config = {
      listen: { host: '127.0.0.1', port: 0 },
      http: { host: '127.0.0.1', port: 0 },
      flushIntervalMs: 500,
      storage: { checkpointDistanceBytes: 1024 * 1024 },
      safekeepers: [
        { id: 1, host: '127.0.0.1', port: postgres.port, httpPort: (safekeeper.address() as AddressInfo).port },
      ],
    };
    writeFileSync(join(directory.path, 'pageserver.json'), JSON.stringify(config));
    const path = `/v1/tenant/${tenant}/timeline/${timeline}`;
    for (let round = 0; round < 3; round++) {
      const server = start('serve', '--data-dir', directory.path);
      const addresses = await server.ready();
      await commit(
        `insert into t select g, md5(g::text) from generate_series(${round * 20000 + 1}, ${round * 20000 + 20000}) g`,
      );
      await api(addresses, `${path}/wal-source`, {});
      expect((await api(addresses, `${path}/wait`, { lsn: commitLsn, timeoutMs: 30_000 })).status).toBe(200);
      await commit('update t set v = md5(v) where id % 7 = 0');
      server.child.kill('SIGKILL');
      await server.ended;
    }
    const server = start('serve', '--data-dir', directory.path);
    const addresses = await server.ready();
    await api(addresses, `${path}/wait`, { lsn: commitLsn, timeoutMs: 30_000 });
    const second = start('serve', '--data-dir', directory.path);
    expect(await second.ready()).toMatchObject({
      ready: false,
      error: expect.stringContaining('uses this data directory') as string,
    });

    const status = (await api(addresses, path)).json;
    expect(parseLsn(status['lastRecordLsn'] as string)).toBeGreaterThanOrEqual(parseLsn(commitLsn));
    expect(status).toMatchObject({ pgMajor: 18, ingest: 'following', ancestorTimeline: null });
    const metrics = await (await fetch(`http://127.0.0.1:${addresses.http.port}/metrics`)).text();
    expect(metrics).toMatch(/zenith_pageserver_ingested_records\{rmgr="heap"\} \d+/);
    expect((await api(addresses, '/healthz')).json).toEqual({ status: 'ok', broken: [], flushFailing: [] });

    // A branch at that LSN serves the same pages, and its snapshot holds what a compute needs.
    const child = newTimelineId();
    const created = await api(addresses, `/v1/tenant/${tenant}/timeline`, {
      timelineId: child,
      ancestorTimelineId: timeline,
      ancestorLsn: commitLsn,
    });
    expect(created.json).toMatchObject({ timeline: child, ancestorTimeline: timeline, ancestorLsn: commitLsn });
    expect(
      (
        await api(addresses, `/v1/tenant/${tenant}/timeline`, {
          timelineId: child,
          ancestorTimelineId: timeline,
          ancestorLsn: commitLsn,
        })
      ).status,
    ).toBe(200);
    const snapshot: SnapshotPart[] = [];
    const response = await fetch(
      `http://127.0.0.1:${addresses.http.port}/v1/tenant/${tenant}/timeline/${child}/snapshot?lsn=${commitLsn}`,
    );
    for await (const part of decodeSnapshot(response.body as unknown as AsyncIterable<Uint8Array>)) snapshot.push(part);
    const manifest = snapshot[0]?.kind === 'manifest' ? snapshot[0].manifest : undefined;
    const paths = manifest?.files.map((file) => file.path) ?? [];
    expect(paths).toEqual(
      expect.arrayContaining([
        'PG_VERSION',
        'global/pg_control',
        'global/pg_filenode.map',
        'base/5/pg_filenode.map',
        'pg_xact/0000',
        'pg_multixact/offsets/0000',
        'pg_multixact/members/0000',
      ]),
    );
    expect(manifest?.relations.length).toBeGreaterThan(300);
    const pages = await PageClient.connect({
      address: { kind: 'tcp', host: '127.0.0.1', port: addresses.listen.port },
      tenant,
      timeline: child,
      timeoutMs: 5000,
    });
    const relation = manifest?.relations.find((candidate) => candidate.db === 5 && candidate.blocks > 50);
    expect(
      (await pages.getPages(relation ?? { spc: 0, db: 0, rel: 0, fork: 0 }, 0, 50, parseLsn(commitLsn))).length,
    ).toBe(50 * 8192);
    pages.close();

    expect((await api(addresses, `/v1/tenant/${tenant}/timeline/${newTimelineId()}`)).status).toBe(404);
    expect((await api(addresses, `/v1/tenant/nonsense/timeline`)).json).toMatchObject({ code: 'invalid-id' });
    expect((await api(addresses, `${path}/wait`, { lsn: '0/FFFFFFF0', timeoutMs: 10 })).status).toBe(503);
    expect((await api(addresses, `${path}/wait`, { until: '0/0' })).status).toBe(400);

    await postgres.stop();
    server.child.kill('SIGTERM');
    expect(await server.ended).toBe(0);
    const store = TimelineStore.open(directory.path);
    const stored = store.get(tenant, timeline);
    expect(stored.lastRecordLsn).toBe(stored.diskConsistentLsn);
    expect(stored.lastRecordLsn).toBeGreaterThanOrEqual(parseLsn(commitLsn));
    expect(compareWithDataDirectory(stored, stored.lastRecordLsn, postgres.dataDirectory).differences).toEqual([]);
    await store.close();
  });
});
