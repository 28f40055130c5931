import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Zenith } from '../support/zenith.ts';

/** The server programs of the distribution's own PostgreSQL, Debian 12's or 13's. */
const BIN = ['/usr/lib/postgresql/15/bin', '/usr/lib/postgresql/17/bin'].find((folder) =>
  existsSync(`${folder}/initdb`),
);

describe("a distribution's PostgreSQL", () => {
  let zenith: Zenith;
  beforeAll(async () => {
    if (BIN === undefined) throw new Error('no PostgreSQL server was found (Debian: apt-get install postgresql)');
    zenith = await Zenith.init('--pg-bin', BIN);
    await zenith.run('start');
  });
  afterAll(() => zenith.destroy());

  test.each(['lz4', 'zstd', 'pglz'])(
    'runs branches, and pages come back from images that it compressed with %s',
    async (method) => {
      await zenith.startPostgres('main', '--set', `wal_compression=${method}`);
      const [version] = await zenith.query<{ version: string }>('main', 'select version()');
      expect(version?.version).toMatch(/\(Debian /);
      // Building an index logs its pages as images; the heap is written by another way, so that either can be checked with the other.
      await zenith.query(
        'main',
        `create table ${method} as select i, md5(i::text) as t, array[i % 100, i % 7] as a from generate_series(1, 30000) i`,
      );
      await zenith.query('main', `create index on ${method} (t)`);
      await zenith.query('main', `create index on ${method} using gin (a)`);
      await zenith.query('main', `create index on ${method} using spgist (t)`);
      const read = `
        set enable_seqscan = off; set enable_bitmapscan = off;
        select count(*)::int as n, sum(i)::int as s from (select i from ${method} where t >= '' order by t) ordered`;
      const statements = async (branch: string): Promise<unknown[]> => {
        const client = await zenith.connect(branch);
        try {
          const results = [await client.query(read)];
          await client.query('set enable_bitmapscan = on');
          results.push(await client.query(`select count(*)::int from ${method} where a @> array[42]`));
          await client.query('create extension if not exists amcheck');
          await client.query(`select bt_index_check(indexrelid, true) from pg_index join pg_class c on c.oid = indexrelid
            where indrelid = '${method}'::regclass and c.relam = (select oid from pg_am where amname = 'btree')`);
          return results.flat().map(({ rows }) => rows);
        } finally {
          await client.end();
        }
      };
      const before = await statements('main');
      expect(before).toContainEqual([{ n: 30_000, s: 450_015_000 }]);
      await zenith.run('pg', 'stop', 'main');
      await zenith.run('branch', `of_${method}`, 'main');
      await zenith.startPostgres(`of_${method}`, '--set', 'shared_buffers=1MB');
      expect(await statements(`of_${method}`)).toEqual(before);
      await zenith.run('pg', 'stop', `of_${method}`);
    },
  );
});
