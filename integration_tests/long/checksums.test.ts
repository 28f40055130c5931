import { CorruptionError, type Lsn } from '@zenith/base';
import { pageChecksum, pageIsNew, storedPageChecksum } from '@zenith/pg-format';
import { SAMPLED_MAJORS } from '@zenith/testing';
import { PageClient } from '@zenith/wire';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Zenith } from '../support/zenith.ts';

const PAGE = 8192;
const BATCH = 64;

/** A relation's file, as the page service names it. */
interface Relation {
  readonly spc: number;
  readonly db: number;
  readonly rel: number;
  readonly fork: number;
  readonly blocks: number;
}

/** What of the database `postgres` is stored: every fork of every permanent relation but the free-space maps, which nobody keeps. */
function relations(zenith: Zenith, branch: string): Promise<Relation[]> {
  return zenith.query<Relation>(
    branch,
    `select case when c.reltablespace = 0 then 1663 else c.reltablespace end::int as spc,
            case when c.reltablespace = 1664 then 0 else d.oid end::int as db, pg_relation_filenode(c.oid)::int as rel, f.fork,
            (pg_relation_size(c.oid, f.name) / ${PAGE})::int as blocks
       from pg_class c, pg_database d, (values ('main', 0), ('vm', 2)) as f(name, fork)
      where d.datname = current_database() and c.relpersistence = 'p' and pg_relation_filenode(c.oid) is not null
        and pg_relation_size(c.oid, f.name) > 0`,
  );
}

/** What `pg_checksums --check` does, over the pages that the pageserver gives out. @throws CorruptionError for the first page that is wrong */
async function checkServedPages(zenith: Zenith, branch: string, lsn: Lsn): Promise<number> {
  const forks = await relations(zenith, branch);
  const { tenant, timeline, pageserverPort } = await zenith.branch(branch);
  const pages = await PageClient.connect({
    address: { kind: 'tcp', host: '127.0.0.1', port: pageserverPort },
    tenant,
    timeline,
    timeoutMs: 20_000,
  });
  let checked = 0;
  try {
    for (const relation of forks) {
      for (let first = 0; first < relation.blocks; first += BATCH) {
        const bytes = await pages.getPages(relation, first, Math.min(BATCH, relation.blocks - first), lsn);
        for (let at = 0; at < bytes.length; at += PAGE) {
          const page = {
            bytes: bytes.subarray(at, at + PAGE),
            view: new DataView(bytes.buffer, bytes.byteOffset + at, PAGE),
          };
          if (pageIsNew(page)) continue;
          const block = first + at / PAGE;
          if (storedPageChecksum(page) !== pageChecksum(page, block))
            throw new CorruptionError(`block ${block} of ${JSON.stringify(relation)} has a wrong checksum`);
          checked++;
        }
      }
    }
  } finally {
    pages.close();
  }
  return checked;
}

/** Everything, by sequential scans and by every index. */
async function readAll(zenith: Zenith, branch: string): Promise<unknown[]> {
  const client = await zenith.connect(branch);
  const results: unknown[] = [];
  try {
    for (const scan of ['seqscan', 'indexscan', 'bitmapscan']) {
      for (const other of ['seqscan', 'indexscan', 'bitmapscan'])
        await client.query(`set enable_${other} = ${other === scan ? 'on' : 'off'}`);
      for (const sql of [
        'select count(*)::int as n, sum(id)::int as s from t where id > 0',
        'select count(*)::int as n from t where k = 77',
        'select count(*)::int as n from t where a @> array[7]',
        'select count(*)::int as n from t where r && int4range(100, 200)',
        "select count(*)::int as n from t where v >= 'f'",
        'select sum(length(v))::int as n from wide',
      ])
        results.push((await client.query(sql)).rows);
    }
  } finally {
    await client.end();
  }
  return results;
}

describe.each(SAMPLED_MAJORS)('data checksums with PostgreSQL %i', (major) => {
  let zenith: Zenith;
  beforeAll(async () => {
    zenith = await Zenith.init('--data-checksums', '--pg-version', String(major));
    await zenith.run('start');
  });
  afterAll(() => zenith.destroy());

  test('a cluster with data checksums works with 1 MB of shared buffers, and every page that comes back has a right one', async () => {
    await zenith.startPostgres('main', '--set', 'shared_buffers=1MB', '--set', 'autovacuum=off');
    expect(await zenith.query('main', 'show data_checksums')).toEqual([{ data_checksums: 'on' }]);
    await zenith.query(
      'main',
      `create table t (id int primary key, k int, a int[], r int4range, v text);
     create index on t using hash (k);
     create index on t using gin (a);
     create index on t using gist (r);
     create index on t using spgist (v);
     create index on t using brin (id);
     insert into t select g, g % 1000, array[g % 50, g % 7], int4range(g, g + 10), md5(g::text) from generate_series(1, 8000) g;
     create table wide (id int primary key, v text);
     insert into wide select g, (select string_agg(md5((g * i)::text), '') from generate_series(1, 200) i) from generate_series(1, 60) g;
     create unlogged table fleeting (id int primary key)`,
    );
    // Reading sets hint bits, which with checksums are logged, without images: the compute writes none.
    await zenith.query('main', 'checkpoint');
    await readAll(zenith, 'main');
    await zenith.query('main', 'delete from t where id % 10 = 3; update t set k = k + 1 where id % 10 = 4');
    await zenith.query('main', 'vacuum (freeze) t');
    const before = await readAll(zenith, 'main');
    await zenith.run('pg', 'stop', 'main');

    await zenith.startPostgres('main');
    expect(await readAll(zenith, 'main')).toEqual(before);
    await zenith.query('main', 'insert into fleeting values (1)');
    expect(
      await zenith.query('main', 'select coalesce(sum(checksum_failures), 0)::int as failures from pg_stat_database'),
    ).toEqual([{ failures: 0 }]);
    const { commitLsn } = await zenith.branch('main');
    expect(await checkServedPages(zenith, 'main', commitLsn)).toBeGreaterThan(1000);
  });

  test('a branch of it has them too', async () => {
    await zenith.run('pg', 'stop', 'main');
    await zenith.run('branch', 'copy', 'main');
    await zenith.startPostgres('copy');
    expect(await zenith.query('copy', 'show data_checksums')).toEqual([{ data_checksums: 'on' }]);
    expect(await zenith.query('copy', 'select count(*)::int as n from t')).toEqual([{ n: 7200 }]);
    const { startLsn } = await zenith.branch('copy');
    expect(await checkServedPages(zenith, 'copy', startLsn)).toBeGreaterThan(1000);
  });
});
