import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseLsn, type Lsn } from '@zenith/base';
import { EVERY_MAJOR, StockPostgres } from '@zenith/testing';
import { decodeControlFile, encodeControlFile } from '../control-file/control-file.ts';
import { pageChecksum } from '../page/checksum.ts';
import { pageIsNew, storedPageChecksum } from '../page/header.ts';
import { BLCKSZ, pageLsn } from '../page/page.ts';
import { xidOfFull } from '../transaction-id.ts';
import { DEFAULT_WAL_SEGMENT_SIZE } from '../wal/constants.ts';
import { WalRecord } from '../wal/record.ts';
import { RM_XACT_ID } from '../wal/resource-managers.ts';
import { walSegmentFileName, walSegmentNumber } from '../wal/segment.ts';
import { WalStreamDecoder } from '../wal/stream-decoder.ts';
import {
  XLOG_XACT_ABORT,
  XLOG_XACT_ABORT_PREPARED,
  XLOG_XACT_COMMIT,
  XLOG_XACT_COMMIT_PREPARED,
  XLOG_XACT_OPMASK,
  XLOG_XACT_PREPARE,
  XactRecord,
  parseAbort,
  parseCommit,
  parsePrepare,
} from '../wal/xact.ts';
import { decodeRelationMap, encodeRelationMap } from './relation-map.ts';
import { parseRelationPath, relationPath } from './relation-path.ts';
import {
  CLOG,
  TRANSACTION_STATUS_ABORTED,
  TRANSACTION_STATUS_COMMITTED,
  TRANSACTION_STATUS_IN_PROGRESS,
  clogByte,
  clogShift,
  parseSlruFileName,
  slruFileName,
  slruPage,
  slruPageInSegment,
  slruSegment,
} from './slru.ts';
import { formatOf } from '../versions/formats.ts';
import { encodeTwoPhaseFile, parseTwoPhaseFile, parseTwoPhaseFileName, twoPhaseFileName } from './two-phase-file.ts';

/** One transaction record, copied. */
interface Seen {
  readonly type: number;
  readonly xid: number;
  readonly subxacts: number[];
  readonly rels: number[];
  readonly abortRels: number[];
  readonly gid: string;
  readonly twoPhaseXid: number;
  readonly db: number;
  readonly hasOrigin: boolean;
  readonly originLsn: Lsn;
  readonly file: Uint8Array | undefined;
}

function copyOf(record: WalRecord, xact: XactRecord): Seen {
  const list = (count: number, offset: number, step: number, skip: number): number[] =>
    Array.from({ length: count }, (_, i) => xact.view.getUint32(offset + step * i + skip, true));
  const type = record.info & XLOG_XACT_OPMASK;
  return {
    type,
    xid: record.xid,
    subxacts: list(xact.subxactCount, xact.subxactsOffset, 4, 0),
    rels: list(xact.relCount, xact.relsOffset, 12, 8),
    abortRels: list(xact.abortRelCount, xact.abortRelsOffset, 12, 8),
    gid: Buffer.from(xact.bytes.slice(xact.gidOffset, xact.gidOffset + xact.gidLength)).toString(),
    twoPhaseXid: xact.twoPhaseXid,
    db: xact.db,
    hasOrigin: xact.hasOrigin,
    originLsn: xact.originLsn,
    file:
      type === XLOG_XACT_PREPARE
        ? encodeTwoPhaseFile(record.bytes, record.mainDataOffset, record.mainDataLength)
        : undefined,
  };
}

describe.each(EVERY_MAJOR)('a data directory of PostgreSQL %i', (major) => {
  let server: StockPostgres;
  let path: (...parts: string[]) => string;
  let start: Lsn;
  const relfilenode: Record<string, number> = {};
  const xids: Record<string, number> = {};
  let database = 0;

  const value = async (sql: string): Promise<string> => String(Object.values((await server.query(sql))[0] ?? {})[0]);

  beforeAll(async () => {
    server = StockPostgres.create({
      major,
      initdb: ['--data-checksums'],
      settings: {
        max_prepared_transactions: '5',
        autovacuum: 'off',
        max_connections: '37',
        wal_log_hints: 'on',
        track_commit_timestamp: 'on',
        wal_level: 'logical',
      },
    });
    path = (...parts) => join(server.dataDirectory, ...parts);
    await server.start();
    start = parseLsn(await value('select pg_current_wal_insert_lsn()'));
    await server.query(
      'create table t(id int primary key, a text); create unlogged table u(id int primary key); create sequence s; create table dropped(i int)',
    );
    for (const name of ['t', 't_pkey', 'u', 'dropped'])
      relfilenode[name] = Number(await value(`select pg_relation_filenode('${name}')`));
    database = Number(await value(`select oid from pg_database where datname = 'postgres'`));
    await server.query('insert into t select i, md5(i::text) from generate_series(1, 5000) i');
    await server.query('vacuum full pg_class');
    await server.query('drop table dropped');
    const client = await server.connect();
    const xid = async (name: string): Promise<void> => {
      xids[name] = Number((await client.query<{ x: string }>('select pg_current_xact_id()::xid::text x')).rows[0]?.x);
    };
    await client.query('begin');
    await xid('aborted');
    await client.query('create table never(i int)');
    await client.query('rollback');
    await client.query('begin');
    await xid('nested');
    for (let i = 0; i < 3; i++) await client.query(`savepoint s${i}; insert into t values (${-1 - i}, 'nested')`);
    await client.query('commit');
    await client.query(
      "select pg_replication_origin_create('elsewhere'), pg_replication_origin_session_setup('elsewhere')",
    );
    await client.query('begin');
    await xid('replayed');
    await client.query("select pg_replication_origin_xact_setup('0/ABCDEF8', '2024-02-29 12:00:00+00')");
    await client.query("insert into t values (-9, 'replayed')");
    await client.query('commit');
    await client.query('select pg_replication_origin_session_reset()');
    for (const name of ['kept', 'finished', 'undone']) {
      await client.query('begin');
      await xid(name);
      await client.query(`create table ${name}(i int)`);
      relfilenode[name] = Number(
        (await client.query<{ f: number }>(`select pg_relation_filenode('${name}') f`)).rows[0]?.f,
      );
      await client.query(`savepoint a; insert into t values (${-100 - (xids[name] as number)}, '${name}')`);
      await client.query(`prepare transaction 'name of ${name}'`);
    }
    await client.query(`commit prepared 'name of finished'`);
    await client.query(`rollback prepared 'name of undone'`);
    await client.end();
    await server.query('vacuum');
    await server.stop();
  }, 180_000);

  afterAll(async () => {
    await server.remove();
  });

  test('its control file is decoded, and encoded to the same bytes', () => {
    const bytes = readFileSync(path('global', 'pg_control'));
    const control = decodeControlFile(bytes);
    expect(control.major).toBe(major);
    expect(control).toMatchObject({
      state: 1,
      maxConnections: 37,
      maxPreparedXacts: 5,
      walLogHints: true,
      trackCommitTimestamp: true,
      walLevel: 2,
      dataChecksumVersion: 1,
      floatFormat: 1234567,
      blockSize: 8192,
      relationSegmentSize: 131072,
      walSegmentSize: DEFAULT_WAL_SEGMENT_SIZE,
      defaultCharSignedness: process.arch === 'x64',
    });
    expect(control.checkPointCopy).toMatchObject({
      redo: control.checkPoint,
      pgTimeline: 1,
      previousPgTimeline: 1,
      fullPageWrites: true,
      walLevel: formatOf(major).checkPointHasWalLevel ? 2 : 0,
      oldestActiveXid: 0,
    });
    expect(xidOfFull(control.checkPointCopy.nextXid)).toBeGreaterThan(Math.max(...Object.values(xids)));
    expect(Buffer.from(encodeControlFile(control)).equals(bytes)).toBe(true);
  });

  test('its relation maps are decoded, and encoded to the same bytes', () => {
    const databases = readdirSync(path('base')).filter((name) => /^\d+$/.test(name));
    expect(databases.length).toBe(3);
    for (const parts of [['global'], ...databases.map((name) => ['base', name])]) {
      const bytes = readFileSync(path(...parts, 'pg_filenode.map'));
      const mappings = decodeRelationMap(major, bytes);
      expect(mappings.length).toBeGreaterThan(10);
      for (const { rel } of mappings) expect(existsSync(path(...parts, String(rel)))).toBe(true);
      expect(Buffer.from(encodeRelationMap(major, mappings)).equals(bytes)).toBe(true);
    }
    const own = decodeRelationMap(major, readFileSync(path('base', String(database), 'pg_filenode.map')));
    expect(own.find((one) => one.oid === 1259)?.rel).toBeGreaterThan(16384);
  });

  test('every relation file has a path that is read back, and every page a right checksum', () => {
    let pageCount = 0;
    const forks = new Set<number>();
    for (const folder of ['global', `base/${database}`]) {
      for (const name of readdirSync(path(folder))) {
        const file = parseRelationPath(major, `${folder}/${name}`);
        if (file === undefined) {
          expect(['PG_VERSION', 'pg_filenode.map', 'pg_control', 'pg_internal.init']).toContain(name);
          continue;
        }
        forks.add(file.fork);
        expect(relationPath(major, file)).toBe(`${folder}/${name}`);
        const bytes = readFileSync(path(folder, name));
        for (let at = 0; at + BLCKSZ <= bytes.length; at += BLCKSZ) {
          const page = {
            bytes: bytes.subarray(at, at + BLCKSZ),
            view: new DataView(bytes.buffer, bytes.byteOffset + at, BLCKSZ),
          };
          if (pageIsNew(page)) continue;
          pageCount++;
          expect(pageChecksum(page, file.segment * 131072 + at / BLCKSZ)).toBe(storedPageChecksum(page));
          expect(pageLsn(page)).toBeLessThan(2 ** 40);
        }
      }
    }
    expect(pageCount).toBeGreaterThan(500);
    expect(forks).toEqual(new Set([0, 1, 2, 3]));
  });

  /** The status of a transaction in pg_xact. */
  function status(xid: number): number {
    const page = slruPage(CLOG, xid);
    const bytes = readFileSync(path(CLOG.directory, slruFileName(slruSegment(page))));
    return ((bytes[slruPageInSegment(page) * BLCKSZ + clogByte(xid)] as number) >> clogShift(xid)) & 3;
  }

  test('its commit log says how each transaction ended', () => {
    expect(status(xids['nested'] as number)).toBe(TRANSACTION_STATUS_COMMITTED);
    expect(status((xids['nested'] as number) + 3)).toBe(TRANSACTION_STATUS_COMMITTED);
    expect(status(xids['aborted'] as number)).toBe(TRANSACTION_STATUS_ABORTED);
    expect(status(xids['kept'] as number)).toBe(TRANSACTION_STATUS_IN_PROGRESS);
    expect(status(xids['finished'] as number)).toBe(TRANSACTION_STATUS_COMMITTED);
    expect(status(xids['undone'] as number)).toBe(TRANSACTION_STATUS_ABORTED);
  });

  test('its SLRU segments have names that are read back and sizes of whole pages', () => {
    for (const folder of ['pg_xact', 'pg_multixact/offsets', 'pg_multixact/members', 'pg_commit_ts']) {
      const names = readdirSync(path(folder));
      expect(names.length).toBeGreaterThan(0);
      for (const name of names) {
        expect(slruFileName(parseSlruFileName(name) as number)).toBe(name);
        expect(statSync(path(folder, name)).size % BLCKSZ).toBe(0);
      }
    }
  });

  /** Every transaction record from `start` on. */
  function transactions(): Seen[] {
    const seen: Seen[] = [];
    const record = new WalRecord();
    const xact = new XactRecord();
    const decoder = new WalStreamDecoder(major, start);
    for (let segment = walSegmentNumber(start, DEFAULT_WAL_SEGMENT_SIZE); decoder.end === undefined; segment++) {
      const name = walSegmentFileName(1, segment, DEFAULT_WAL_SEGMENT_SIZE);
      if (!existsSync(path('pg_wal', name))) break;
      const bytes = readFileSync(path('pg_wal', name));
      decoder.push(bytes.subarray(Math.max(0, start - segment * DEFAULT_WAL_SEGMENT_SIZE)));
      while (decoder.next(record)) {
        if (record.rmid !== RM_XACT_ID) continue;
        const type = record.info & XLOG_XACT_OPMASK;
        if (type === XLOG_XACT_COMMIT || type === XLOG_XACT_COMMIT_PREPARED) parseCommit(major, record, xact);
        else if (type === XLOG_XACT_ABORT || type === XLOG_XACT_ABORT_PREPARED) parseAbort(major, record, xact);
        else if (type === XLOG_XACT_PREPARE) parsePrepare(major, record, xact);
        else continue;
        seen.push(copyOf(record, xact));
      }
    }
    return seen;
  }

  test('its transaction records say what was committed, dropped, prepared and replayed', () => {
    const seen = transactions();
    const of = (name: string): number => xids[name] as number;
    const one = (type: number, xid: number): Seen | undefined =>
      seen.find(
        (record) =>
          record.type === type &&
          (type === XLOG_XACT_COMMIT_PREPARED || type === XLOG_XACT_ABORT_PREPARED
            ? record.twoPhaseXid
            : record.xid) === xid,
      );

    expect(one(XLOG_XACT_COMMIT, of('nested'))?.subxacts).toEqual([1, 2, 3].map((i) => of('nested') + i));
    expect(
      seen.some((record) => record.type === XLOG_XACT_COMMIT && record.rels.includes(relfilenode['dropped'] as number)),
    ).toBe(true);
    expect(one(XLOG_XACT_ABORT, of('aborted'))?.rels.length).toBe(1);
    expect(one(XLOG_XACT_COMMIT, of('replayed'))).toMatchObject({ hasOrigin: true, originLsn: 0xabcdef8 });
    for (const name of ['kept', 'finished', 'undone']) {
      expect(one(XLOG_XACT_PREPARE, of(name))).toMatchObject({
        twoPhaseXid: of(name),
        gid: `name of ${name}\0`,
        db: database,
        subxacts: [of(name) + 1],
        rels: [],
        abortRels: [relfilenode[name]],
      });
    }
    expect(one(XLOG_XACT_COMMIT_PREPARED, of('finished'))).toMatchObject({
      twoPhaseXid: of('finished'),
      gid: 'name of finished\0',
      subxacts: [of('finished') + 1],
      db: database,
    });
    expect(one(XLOG_XACT_ABORT_PREPARED, of('undone'))).toMatchObject({
      twoPhaseXid: of('undone'),
      gid: 'name of undone\0',
      rels: [relfilenode['undone']],
    });
  });

  test('the state file of its prepared transaction is the record with a checksum, under the name of its id', () => {
    const xid = xids['kept'] as number;
    const name = twoPhaseFileName(major, BigInt(xid));
    expect(readdirSync(path('pg_twophase'))).toEqual([name]);
    expect(parseTwoPhaseFileName(major, name)).toBe(BigInt(xid));
    const bytes = readFileSync(path('pg_twophase', name));
    const made = transactions().find((record) => record.type === XLOG_XACT_PREPARE && record.xid === xid)
      ?.file as Uint8Array;
    expect(Buffer.from(made).equals(bytes)).toBe(true);
    const xact = new XactRecord();
    parseTwoPhaseFile(major, bytes, xact);
    expect([xact.twoPhaseXid, xact.subxactCount, xact.abortRelCount]).toEqual([xid, 1, 1]);
    bytes[20] = (bytes[20] as number) ^ 1;
    expect(() => parseTwoPhaseFile(major, bytes, xact)).toThrow('checksum');
  });
});
