import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  COMMIT_TS_XACTS_PER_PAGE,
  MULTIXACT_MEMBERS_PER_PAGE,
  SIZE_OF_COMMIT_TS_ENTRY,
  allocatePage,
  decodeControlFile,
  encodeControlFile,
  multixactMemberByte,
  pageChecksum,
  pageIsNew,
  relationPath,
  storedPageChecksum,
  type CheckPoint,
  type ControlFile,
} from '@zenith/pg-format';
import { SAMPLED_MAJORS, StockPostgres } from '@zenith/testing';
import { afterEach, describe, expect, it } from 'vitest';
import { inspectCluster } from '../import/cluster.ts';
import { importCluster } from '../import/import-cluster.ts';
import { decodeSize } from '../ingest/object-sizes.ts';
import { ObjectKind } from '../key-space/object.ts';
import { storePageSource } from '../page-service/store-source.ts';
import { Oracle } from './oracle.test-support.ts';

/** Where a multixact member is in its segment file. */
function multixactMember(offset: number): number {
  return Math.floor(offset / MULTIXACT_MEMBERS_PER_PAGE) * 8192 + multixactMemberByte(offset);
}

/** Where the timestamp of a transaction is in its segment file. */
function commitTimestamp(xid: number): number {
  return Math.floor(xid / COMMIT_TS_XACTS_PER_PAGE) * 8192 + (xid % COMMIT_TS_XACTS_PER_PAGE) * SIZE_OF_COMMIT_TS_ENTRY;
}

let oracle: Oracle | undefined;
afterEach(async () => {
  await oracle?.remove();
  oracle = undefined;
});

describe.each(SAMPLED_MAJORS)('PostgreSQL %i', (major) => {
  it('an imported cluster that did nothing but start and stop is what the timeline has', async () => {
    oracle = await Oracle.start(major);
    const { differences, relationPages, slruPages, files, forks } = await oracle.stopAndCompare();
    expect(differences).toEqual([]);
    expect(forks).toBeGreaterThan(300);
    expect(relationPages).toBeGreaterThan(1500);
    expect(slruPages).toBeGreaterThanOrEqual(2);
    expect(files).toBeGreaterThanOrEqual(7);
  });

  it('follows DDL and DML on heaps and btrees, toast, truncation and removal', async () => {
    oracle = await Oracle.start(major);
    const { server } = oracle;
    await server.query(`
      create table t (id serial primary key, k int, v text);
      create index on t (k);
      insert into t (k, v) select g % 1000, repeat(md5(g::text), 3) from generate_series(1, 20000) g;
      update t set v = v || 'x' where id % 3 = 0;
      delete from t where id % 5 = 0;
      create table big (id int primary key, v text);
      insert into big select g, (select string_agg(md5((g * i)::text), '') from generate_series(1, 300) i) from generate_series(1, 100) g;
      update big set v = v || v where id % 2 = 0;
      create table emptied as select g from generate_series(1, 5000) g;
      create table dropped as select g from generate_series(1, 5000) g;
      create unlogged table fleeting (id int primary key);
      insert into fleeting select generate_series(1, 1000);
      create sequence s;
      select nextval('s') from generate_series(1, 100);
      create temp table mine as select g from generate_series(1, 100) g;
    `);
    await server.query('vacuum (analyze) t');
    await server.query('checkpoint');
    await server.query(
      'update t set k = k + 1; delete from t where id < 5000; truncate emptied; drop table dropped; insert into emptied values (1)',
    );
    await server.query('vacuum (freeze) t');
    await server.query('delete from t where id > 10000');
    await server.query('vacuum t');
    await server.query(
      "begin; select * from t for update; rollback; insert into t (k, v) select g, 'again' from generate_series(1, 3000) g",
    );
    for (const sql of [
      'vacuum full pg_class',
      'vacuum full t',
      'reindex table big',
      'cluster big using big_pkey',
      'alter table t alter column k type bigint',
    ])
      await server.query(sql);
    await server.query(`begin; create table rolled_back as select g from generate_series(1, 1000) g; rollback`);
    const { differences, unsupportedPages, mapPagesBehind } = await oracle.stopAndCompare();
    expect(differences).toEqual([]);
    expect(unsupportedPages).toBe(0);
    expect(mapPagesBehind).toBe(0);
  });

  it('follows transactions: subtransactions, prepared ones, multixacts, commit timestamps', async () => {
    oracle = await Oracle.start(major, { track_commit_timestamp: 'on' });
    const { server } = oracle;
    await server.query(
      'create table t (id int primary key, v int default 0); insert into t select generate_series(1, 3000)',
    );
    await server.query(`
      do $$ begin
        for i in 1..3000 loop
          begin
            update t set v = v + 1 where id = i;
            if i % 7 = 0 then raise exception 'undone'; end if;
          exception when others then null;
          end;
        end loop;
      end $$`);
    const clients = await Promise.all([1, 2, 3].map(() => server.connect()));
    for (let round = 0; round < 20; round++) {
      for (const client of clients)
        await client.query(
          `begin; select * from t where id between ${round * 50 + 1} and ${round * 50 + 50} for key share`,
        );
      for (const [i, client] of clients.entries()) await client.query(i === 1 ? 'rollback' : 'commit');
    }
    await Promise.all(clients.map((client) => client.end()));
    await server.query(
      "begin; insert into t values (10001); savepoint a; insert into t values (10002); create table p1 (i int); prepare transaction 'left'",
    );
    await server.query("begin; insert into t values (10003); create table p2 (i int); prepare transaction 'committed'");
    await server.query("commit prepared 'committed'");
    await server.query("begin; insert into t values (10004); create table p3 (i int); prepare transaction 'aborted'");
    await server.query("rollback prepared 'aborted'");
    await server.query('checkpoint');
    await server.query('vacuum (freeze) t');
    const { differences, files, slruPages } = await oracle.stopAndCompare();
    expect(differences).toEqual([]);
    expect(files).toBeGreaterThanOrEqual(8); // one of them the prepared transaction that is left
    expect(slruPages).toBeGreaterThanOrEqual(5);
  });

  it('follows databases and tablespaces', async () => {
    oracle = await Oracle.start(major);
    const { server } = oracle;
    await server.query('create table before (id int primary key); insert into before select generate_series(1, 1000)');
    await server.query('create database by_wal template template1 strategy wal_log');
    await server.query('create database by_copy template postgres strategy file_copy');
    await server.query(
      'create table here (id int primary key); insert into here select generate_series(1, 1000)',
      'by_copy',
    );
    await server.query(
      'create table here (id int primary key); insert into here select generate_series(1, 1000)',
      'by_wal',
    );
    await server.query('create database gone template by_copy strategy file_copy');
    await server.query('drop database gone');
    await server.query('create database by_copy_again template by_copy strategy file_copy');
    await server.query('delete from here where id % 2 = 0', 'by_copy');
    const place = oracle.directoryForServer();
    await server.query(`create tablespace place location '${place}'`);
    await server.query('create table elsewhere (id int primary key) tablespace place');
    await server.query('insert into elsewhere select generate_series(1, 1000)');
    await server.query('create database moved template by_wal tablespace place strategy wal_log');
    await server.query('alter database by_copy set tablespace place');
    await server.query(`create tablespace unused location '${oracle.directoryForServer()}'`);
    await server.query('drop tablespace unused');
    const { differences, unsupportedPages, missingPages, mapPagesBehind, forks } = await oracle.stopAndCompare();
    expect(differences).toEqual([]);
    expect(unsupportedPages).toBe(0);
    expect(missingPages).toBe(0);
    expect(mapPagesBehind).toBeGreaterThan(20); // those of the databases whose pages are in the WAL
    expect(forks).toBeGreaterThan(1800);
  });

  it('has the counters of the server where its checkpoints begin, from the records before alone', async () => {
    oracle = await Oracle.start(major, { track_commit_timestamp: 'on', checkpoint_timeout: '1d' });
    const { server } = oracle;
    const move = async (round: number): Promise<void> => {
      await server.query(`create table t${round} (id int primary key); insert into t${round} values (1)`);
      const clients = await Promise.all([server.connect(), server.connect(), server.connect()]);
      for (const client of clients) await client.query(`begin; select * from t${round} for key share`);
      for (const client of clients) await client.query('commit');
      await Promise.all(clients.map((client) => client.end()));
      await server.query('select lo_create(0) from generate_series(1, 9000)'); // more oids than are logged ahead
      await server.query('begin; select lo_create(0); savepoint a; select lo_create(0); release a; commit');
      await server.query('begin; select lo_create(0); savepoint a; select lo_create(0); rollback');
    };
    await move(1);
    const imported = oracle.controlFile().checkPointCopy;
    await server.query('checkpoint');
    const controlFile = oracle.controlFile();
    await oracle.follow();
    const online = { controlFile, lsn: oracle.timeline.lastRecordLsn };
    await move(2);
    // Every database can do without the old transactions: the server raises the oldest counters and writes no record of it.
    await server.query('alter database template0 allow_connections true');
    for (const database of ['template0', 'template1', 'postgres']) await server.query('vacuum (freeze)', database);
    const { differences } = await oracle.stopAndCompare({ earlier: [online] });
    expect(differences).toEqual([]);
    const [first, second, third] = [imported, controlFile.checkPointCopy, oracle.controlFile().checkPointCopy];
    const always = ['nextXid', 'nextOid', 'nextMulti', 'nextMultiOffset', 'newestCommitTsXid'] as const;
    expect(always.filter((name) => !(first[name] < second[name] && second[name] < third[name]))).toEqual([]);
    const atLast = ['oldestXid', 'oldestMulti', 'oldestCommitTsXid'] as const;
    expect(atLast.filter((name) => !(second[name] < third[name]))).toEqual([]);
  });

  it('finds each thing in which the files are not what the timeline has', async () => {
    oracle = await Oracle.start(major, { track_commit_timestamp: 'on' });
    const { server } = oracle;
    await server.query(`
      create table t (id int primary key, v text);
      insert into t select g, 'row' from generate_series(1, 1000) g;
      create sequence s;
      select nextval('s');
      create table all_visible as select g as id from generate_series(1, 10000) g`);
    await server.query('vacuum t, all_visible');
    const clients = await Promise.all([server.connect(), server.connect()]);
    for (const client of clients) await client.query('begin; select * from t for key share');
    for (const client of clients) await client.query('commit');
    await Promise.all(clients.map((client) => client.end()));
    const fileOf = async (name: string): Promise<string> =>
      (await server.query(`select pg_relation_filepath('${name}') as file`))[0]?.['file'] as string;
    const [heap, sequence, index, visible] = [
      await fileOf('t'),
      await fileOf('s'),
      await fileOf('t_pkey'),
      `${await fileOf('all_visible')}_vm`,
    ];
    expect((await oracle.stopAndCompare()).differences).toEqual([]);

    const { nextXid, nextOid, nextMulti, nextMultiOffset, oldestXid, newestCommitTsXid } =
      oracle.controlFile().checkPointCopy;
    type Change = (bytes: Buffer) => Uint8Array;
    /** What is found with files as `changes` make them, the change's name before the block's. */
    const found = (changes: Readonly<Record<string, Change>>): string[] => {
      const originals = Object.keys(changes).map((file) => {
        const path = join(server.dataDirectory, file);
        return { file, path, bytes: readFileSync(path) };
      });
      for (const { file, path, bytes } of originals) writeFileSync(path, changes[file]?.(Buffer.from(bytes)) ?? bytes);
      try {
        return (oracle as Oracle)
          .compare()
          .differences.map(({ where, what }) =>
            `${where}: ${what.replace(/: PostgreSQL has .*/, '')}`.replace(
              /^global\/pg_control at [0-9A-F/]+/,
              'counter',
            ),
          );
      } finally {
        for (const { path, bytes } of originals) writeFileSync(path, bytes);
      }
    };
    /** A bit turned over. */
    const flip =
      (at: number): Change =>
      (bytes) => {
        bytes[at] = (bytes[at] ?? 0) ^ 1;
        return bytes;
      };
    const control =
      (counters: Partial<CheckPoint>, change: Partial<ControlFile> = {}): Change =>
      (bytes) => {
        const file = decodeControlFile(bytes);
        return encodeControlFile({ ...file, ...change, checkPointCopy: { ...file.checkPointCopy, ...counters } });
      };
    const [clog, offsets, members, commitTs] = [
      'pg_xact/0000',
      'pg_multixact/offsets/0000',
      'pg_multixact/members/0000',
      'pg_commit_ts/0000',
    ] as const;
    const slru = (file: string, at: number): string => `${file} page ${Math.floor(at / 8192)}: byte ${at % 8192}`;
    const sequenceTuple = 8192 - 8 - 48 + 24; // last_value, and what is left of the values logged ahead 8 bytes behind it
    const pages = readFileSync(join(server.dataDirectory, heap)).length / 8192;

    // One of each. The counters are compared where the shutdown begins, and behind it.
    const [lastXid, lastOffset, lastMember, lastTimestamp] = [
      Math.floor((Number(nextXid) - 1) / 4),
      (nextMulti - 1) * 4,
      multixactMember(nextMultiOffset - 1),
      commitTimestamp(newestCommitTsXid),
    ];
    expect(
      found({
        [heap]: flip(8191),
        [index]: flip(8192 + 40),
        [sequence]: flip(sequenceTuple + 16),
        [visible]: flip(24),
        [clog]: flip(lastXid),
        [offsets]: flip(lastOffset),
        [members]: flip(lastMember),
        [commitTs]: flip(lastTimestamp),
        'global/pg_filenode.map': flip(20),
        'base/1/PG_VERSION': flip(0),
        'global/pg_control': control(
          { nextXid: nextXid + 1n, nextMultiOffset: nextMultiOffset + 1, newestCommitTsXid: newestCommitTsXid + 1 },
          { maxPreparedXacts: 21 },
        ),
      }).toSorted(),
    ).toEqual(
      [
        `${heap} block 0: byte 8191`,
        `${index} block 1: byte 40`,
        `${sequence} block 0: byte ${sequenceTuple}`,
        `${visible} block 0: byte 24`,
        slru(clog, lastXid),
        slru(offsets, lastOffset),
        slru(members, lastMember),
        slru(commitTs, lastTimestamp),
        'global/pg_filenode.map: the content differs',
        'base/1/PG_VERSION: the content differs',
        ...['nextXid', 'nextMultiOffset', 'newestCommitTsXid'].flatMap((name) => [
          `counter: ${name}`,
          `counter: ${name}`,
        ]),
        'global/pg_control: maxPreparedXacts',
      ].toSorted(),
    );
    // Too short; no whole step of the sequence; a bit of the map that the timeline lacks without a reason; what lies behind the counters.
    const [behindXids, behindMembers] = [Math.floor(Number(nextXid) / 4) + 1, multixactMember(nextMultiOffset)];
    expect(
      found({
        [heap]: (bytes) => bytes.subarray(0, -8192),
        [sequence]: flip(sequenceTuple + 8),
        [visible]: flip(8191),
        [clog]: flip(behindXids),
        [offsets]: flip(nextMulti * 4),
        [members]: flip(behindMembers),
        'global/pg_control': control({ nextOid: nextOid - 8193, oldestXid: oldestXid - 1, oldestMultiDb: 77 }),
      }).toSorted(),
    ).toEqual(
      [
        `${heap}: the timeline has ${pages} blocks, the file has ${pages - 1}`,
        `${sequence} block 0: byte ${sequenceTuple}`,
        `${visible} block 0: byte 8191`,
        slru(clog, behindXids),
        slru(offsets, nextMulti * 4),
        slru(members, behindMembers),
        ...['nextOid', 'nextOid', 'oldestXid', 'oldestXid', 'oldestMultiDb'].map((name) => `counter: ${name}`),
      ].toSorted(),
    );
    // Too long; the LSN of the map; what is comparable of an SLRU is said by the counters of the control file.
    const forgetNext: Change = (bytes) => {
      bytes.writeUInt32LE(0, nextMulti * 4);
      return bytes;
    };
    expect(
      found({
        [heap]: (bytes) => Buffer.concat([bytes, Buffer.alloc(8192, 1)]),
        [visible]: flip(4),
        [offsets]: forgetNext,
        'global/pg_control': control({ nextMulti: nextMulti + 5 }),
      }).toSorted(),
    ).toEqual(
      [
        `${heap} block ${pages}: the timeline has only ${pages} blocks, and this page is not empty`,
        `${visible} block 0: byte 4`,
        slru(offsets, nextMulti * 4),
        'counter: nextMulti',
        'counter: nextMulti',
      ].toSorted(),
    );
    // What is legal: a page of zeroes at the end, a checksum, the next multixact's offset not known yet.
    expect(
      found({
        [heap]: (bytes) => flip(8)(Buffer.concat([bytes, Buffer.alloc(8192)])),
        [offsets]: forgetNext,
        'global/pg_control': control({}, { state: 6, time: 1 }),
      }),
    ).toEqual([]);

    const { missingPages, differences } = oracle.compare({
      isMissing: ({ spc, db, rel, fork }, block) =>
        block === 0 && heap === relationPath(major, { spc, db, rel, fork, segment: 0 }),
    });
    expect(missingPages).toBe(1);
    expect(differences).toEqual([]);
  });

  it('serves every page of a cluster with data checksums with the right one, hint records without images included', async () => {
    oracle = await Oracle.start(major, {}, {}, ['--data-checksums']);
    const { server, store } = oracle;
    expect(await server.query('show data_checksums')).toEqual([{ data_checksums: 'on' }]);
    await server.query(`
      create table t (id int primary key, k int, v text);
      create index on t using gin ((array[k, id % 10]));
      create index on t using hash (k);
      insert into t select g, g % 1000, repeat(md5(g::text), 3) from generate_series(1, 10000) g;
      create table built as select * from t;
      create index on built (k);
      checkpoint`);
    await server.query('select count(*) from t; select count(*) from built');
    await server.query('delete from t where id % 5 = 0; update t set k = k + 1 where id % 3 = 0');
    await server.query('vacuum t');
    await server.query('create table copy (like t); insert into copy select * from t; truncate built');
    const { differences, unsupportedPages } = await oracle.stopAndCompare();
    expect(differences).toEqual([]);
    expect(unsupportedPages).toBe(0);

    const { timeline } = oracle;
    const pages = storePageSource(store).timeline(timeline.tenant, timeline.timeline);
    const page = allocatePage();
    const counts = { right: 0, stale: 0 };
    const wrong: string[] = [];
    timeline.scan(ObjectKind.relationSize, timeline.lastRecordLsn, ({ spc, db, rel, fork }, size) => {
      const object = timeline.find(ObjectKind.relation, spc, db, rel, fork);
      for (let block = 0; block < decodeSize(size); block++) {
        timeline.readPages(object, block, 1, timeline.lastRecordLsn, page.bytes, 0);
        if (pageIsNew(page)) continue;
        if (storedPageChecksum(page) !== pageChecksum(page, block)) counts.stale++;
        pages?.readRelationPages(spc, db, rel, fork, block, 1, timeline.lastRecordLsn, page.bytes, 0);
        if (storedPageChecksum(page) === pageChecksum(page, block)) counts.right++;
        else wrong.push(`relation ${rel} fork ${fork} block ${block}`);
      }
    });
    expect(wrong).toEqual([]);
    expect(counts.right).toBeGreaterThan(2000);
    expect(counts.stale).toBeGreaterThan(300); // what was redone: that the page service sets them is what is tested
  });

  it('does not import a page with a wrong checksum', async () => {
    const server = StockPostgres.create({ major, initdb: ['--data-checksums'] });
    try {
      const file = join(server.dataDirectory, 'base/1/1259');
      const bytes = readFileSync(file);
      bytes[8192 + 5000] = (bytes[8192 + 5000] as number) ^ 1;
      writeFileSync(file, bytes);
      const sink = { put: () => undefined, backpressure: () => undefined };
      await expect(importCluster(inspectCluster(server.dataDirectory), sink, () => undefined)).rejects.toThrow(
        /block 1 of its fork carries the checksum \d+, its content has \d+.*base\/1\/1259/,
      );
    } finally {
      await server.remove();
    }
  });

  it('gives the same after the store was closed and opened in the middle, with small layers and compaction', async () => {
    oracle = await Oracle.start(
      major,
      {},
      { checkpointDistanceBytes: 1024 * 1024, compactionThreshold: 3, layerBytesTarget: 1024 * 1024 },
    );
    const { server } = oracle;
    await server.query(
      'create table t (id int primary key, v text); insert into t select g, md5(g::text) from generate_series(1, 20000) g',
    );
    await oracle.follow();
    await oracle.reopen();
    await server.query('update t set v = md5(v) where id % 2 = 0; delete from t where id % 10 = 0');
    await oracle.follow();
    await oracle.timeline.compact();
    await server.query('vacuum t');
    await server.query('insert into t select g, md5(g::text) from generate_series(20001, 30000) g');
    await oracle.reopen();
    const { differences } = await oracle.stopAndCompare();
    expect(differences).toEqual([]);
  });
});
