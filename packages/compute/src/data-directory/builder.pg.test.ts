import { lsn, newTenantId, newTimelineId, type Lsn } from '@zenith/base';
import { EVERY_MAJOR, StockPostgres, temporaryDirectory, unprivilegedUser } from '@zenith/testing';
import { PageClient, decodeSnapshot, type PageServerAddress } from '@zenith/wire';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { preloadLibrary } from '../presence-map/overlay.test-support.ts';
import { FilePageServer } from '../presence-map/page-server.test-support.ts';
import { buildDataDirectory, type BuiltDataDirectory } from './builder.ts';
import { endOfWal, snapshotOfCluster } from './cluster-snapshot.test-support.ts';
import type { Owner } from './layout.ts';

const SEGMENT = 16 * 1024 * 1024;
const PAGE = 8192;

describe.each(EVERY_MAJOR)('a data directory built for PostgreSQL %d', (major) => {
  let stock: StockPostgres;
  let pages: FilePageServer;
  let address: PageServerAddress;
  let end: Lsn;
  const cleanUp: (() => Promise<void> | void)[] = [];

  beforeAll(async () => {
    stock = StockPostgres.create({ major, settings: { max_prepared_transactions: '5' } });
    await stock.start();
    await stock.query(`
      create table t as select g as id, md5(g::text) as v from generate_series(1, 20000) g;
      create index t_id on t(id);
      create sequence s;
      select nextval('s');
      create unlogged table u(k int primary key, v text);
      insert into u select g, 'x' from generate_series(1, 500) g;`);
    await stock.query('create database other');
    await stock.query('create table in_other as select 42 as answer', 'other');
    const client = await stock.connect();
    await client.query('begin');
    await client.query("insert into t values (-1, 'prepared')");
    await client.query("prepare transaction 'kept'");
    await client.end();
    await stock.query('vacuum t');
    await stock.stop();
    pages = new FilePageServer(stock.dataDirectory, '');
    address = await pages.listen();
    end = endOfWal(stock.dataDirectory, snapshotOfCluster(stock.dataDirectory, major).control);
  });

  afterEach(async () => {
    for (const action of cleanUp.splice(0).reverse()) await action();
  });

  afterAll(async () => {
    await pages.close();
    await stock.remove();
  });

  async function build(startLsn: Lsn): Promise<{ server: StockPostgres; built: BuiltDataDirectory; buildMs: number }> {
    const directory = temporaryDirectory('zenith-build-');
    cleanUp.push(() => directory.remove());
    const { uid, gid } = unprivilegedUser();
    const owner: Owner = uid === undefined || gid === undefined ? undefined : { uid, gid };
    const pgdata = join(directory.path, 'pgdata');
    const presenceMap = join(directory.path, 'presence.map');
    mkdirSync(directory.path, { recursive: true });
    const { bytes, manifest } = snapshotOfCluster(stock.dataDirectory, major, startLsn);
    const tenant = newTenantId();
    const timeline = newTimelineId();
    const client = await PageClient.connect({ address, tenant, timeline, timeoutMs: 5000 });
    cleanUp.push(() => client.close());
    const began = performance.now();
    const built = await buildDataDirectory({
      tenant,
      timeline,
      major,
      startLsn,
      pgdata,
      presenceMap,
      owner,
      systemId: manifest.systemId,
      segmentSize: SEGMENT,
      tablespaces: join(directory.path, 'tablespaces'),
      server: { host: '127.0.0.1', port: 1, settings: { max_prepared_transactions: '5' } },
      snapshot: decodeSnapshot(
        (async function* (): AsyncGenerator<Uint8Array> {
          yield bytes;
        })(),
      ),
      tail: Promise.resolve(undefined),
      pageServer: address,
      readPages: (relation, block, count) => client.getPages(relation, block, count, startLsn),
      nowMs: Date.now(),
    });
    const buildMs = performance.now() - began;
    const server = StockPostgres.create({
      major,
      dataDirectory: pgdata,
      env: { LD_PRELOAD: preloadLibrary(), ZENITH_PRESENCE_MAP: presenceMap },
    });
    cleanUp.push(() => server.remove());
    return { server, built, buildMs };
  }

  /** All places X can have relative to pages and segments; the last makes the checkpoint record cross a page. */
  const places: [string, (end: number) => number][] = [
    ['where the WAL ended', (at) => at],
    ['right behind a page header', (at) => Math.ceil(at / PAGE) * PAGE + 24],
    ['on a page boundary', (at) => Math.ceil(at / PAGE) * PAGE],
    ['64 bytes before a page boundary', (at) => Math.ceil(at / PAGE) * PAGE + PAGE - 64],
    ['on a segment boundary', (at) => Math.ceil(at / SEGMENT) * SEGMENT],
    ['right behind the first header of a segment', (at) => Math.ceil(at / SEGMENT) * SEGMENT + 40],
    ['64 bytes before a segment boundary', (at) => Math.ceil(at / SEGMENT) * SEGMENT - 64],
  ];

  // The layouts differ between the versions in nothing that depends on the place: the older one is shown the hard ones.
  it.each(major === 18 ? places : places.filter(([name]) => /^(?:on a|64 bytes before a page)/.test(name)))(
    'starts without recovery and works when X lies %s',
    async (_name, place) => {
      const startLsn = lsn(place(end));
      const { server, built, buildMs } = await build(startLsn);
      console.log(
        `PostgreSQL ${major}: ${built.files} files, ${built.blocks} blocks built in ${buildMs.toFixed(0)} ms`,
      );
      await server.start();
      const sum = 'select count(*)::int as n, sum(id)::bigint as s, min(v) as v from t';
      const expected = Array.from({ length: 20_000 }, (_, i) => i + 1).reduce((a, b) => a + b, 0);
      expect((await server.query(sum))[0]).toMatchObject({ n: 20_000, s: String(expected) });
      expect(await server.query('select v from t where id = 12345')).toHaveLength(1);
      expect(await server.query('select answer from in_other', 'other')).toEqual([{ answer: 42 }]);
      expect(
        await server.query(
          'select pg_current_wal_insert_lsn() >= $$0/0$$::pg_lsn as ok, pg_is_in_recovery() as recovering',
        ),
      ).toEqual([{ ok: true, recovering: false }]);
      const [control] = await server.query(
        'select checkpoint_lsn::text as lsn, redo_lsn::text as redo, next_xid, timeline_id from pg_control_checkpoint()',
      );
      expect(control?.['lsn']).toBe(control?.['redo']);
      await server.query("commit prepared 'kept'");
      await server.query(
        "insert into t select g, 'new' from generate_series(20001, 21000) g; update t set v = 'changed' where id <= 10; create table fresh(i int); insert into fresh values (1)",
      );
      await server.query('checkpoint');
      expect((await server.query(sum))[0]).toMatchObject({ n: 21_001 });
      await server.stop();
      await server.start();
      expect((await server.query(sum))[0]).toMatchObject({ n: 21_001 });
      expect(await server.query('select nextval($$s$$)::int as n')).toEqual([{ n: 2 }]);
    },
  );

  it('has unlogged relations empty and usable', async () => {
    const { server } = await build(end);
    await server.start();
    expect(await server.query('select count(*)::int as n from u')).toEqual([{ n: 0 }]);
    await server.query("insert into u select g, 'y' from generate_series(1, 100) g");
    expect(await server.query('select v from u where k = 50')).toEqual([{ v: 'y' }]);
  });

  it('is refused when the snapshot is of another LSN', async () => {
    const { bytes, manifest } = snapshotOfCluster(stock.dataDirectory, major, end);
    const directory = temporaryDirectory('zenith-build-');
    cleanUp.push(() => directory.remove());
    const building = buildDataDirectory({
      tenant: newTenantId(),
      timeline: newTimelineId(),
      major,
      owner: undefined,
      systemId: manifest.systemId,
      segmentSize: SEGMENT,
      pageServer: address,
      startLsn: lsn(end + 8),
      pgdata: join(directory.path, 'pgdata'),
      presenceMap: join(directory.path, 'presence.map'),
      tablespaces: join(directory.path, 'tablespaces'),
      server: { host: '127.0.0.1', port: 1, settings: {} },
      snapshot: decodeSnapshot(
        (async function* (): AsyncGenerator<Uint8Array> {
          yield bytes;
        })(),
      ),
      tail: Promise.resolve(undefined),
      readPages: () => Promise.reject(new Error('not needed')),
      nowMs: 0,
    });
    await expect(building).rejects.toMatchObject({ code: 'snapshot-mismatch' });
  });
});
