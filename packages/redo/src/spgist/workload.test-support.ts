import { script, type WorkloadServer } from '../script.test-support.ts';

/**
 * Makes a server write every kind of SP-GiST record, in every form that redo tells apart. Bulk insertions get no images to check, they would be most of the
 * WAL; what they did, later images and the files at the end show.
 */
export async function spgistChanges(server: WorkloadServer): Promise<void> {
  await radixTrees(server);
  await quadTrees(server);
  await rootsAndNulls(server);
}

/** Texts with long common prefixes: inner tuples get more nodes, are split, and move when their page is full. */
async function radixTrees(server: WorkloadServer): Promise<void> {
  await script(
    server,
    `
    set wal_consistency_checking = spgist;
    select setseed(0.5);
    create table sr(id int, t text);
    create index sr_t on sr using spgist (t);
    insert into sr select i, repeat('p', 40) || md5((i % 500)::text) from generate_series(1, 1500) i;
    set wal_consistency_checking = '';
    insert into sr select i, repeat('p', i % 41) || chr(65 + i % 57) || i from generate_series(1, 1500) i;
    insert into sr select i, md5(i::text) || repeat(chr(200 + i % 150), 5) from generate_series(1, 800) i;
    insert into sr select i, 'x' || chr(300 + i) || chr(300 + i * 7 % 1500) || 'tail' from generate_series(1, 1600) i;
    set wal_consistency_checking = spgist;
    insert into sr select i, 'x' || chr(300 + i % 40) || chr(400 + i) || 'tail' from generate_series(1, 800) i;
    set wal_consistency_checking = '';
    insert into sr select j, chr(64 + i) || repeat('q', 100) || chr(300 + j) from generate_series(1, 9) i, generate_series(1, 300) j;
    set wal_consistency_checking = spgist;
    insert into sr select i, chr(64 + i) || repeat('q', 50) || 'Z' from generate_series(1, 9) i;
    insert into sr select i, (select string_agg(md5(i::text || j), '') from generate_series(1, 400 + i * 20) j) from generate_series(1, 4) i;
    delete from sr where id % 3 = 0;
    vacuum sr;
    insert into sr select i, repeat('p', 40) || md5((i % 500)::text) from generate_series(1, 500) i;
    insert into sr select i, 'x' || chr(300 + i) || chr(300 + i * 3 % 1500) || repeat('long', 30) from generate_series(1, 500) i;
    vacuum sr;
    create index sr_built on sr using spgist (t) with (fillfactor = 100);
    insert into sr select i, repeat('p', i % 30) || md5(i::text) from generate_series(1, 600) i;
    delete from sr where t like 'ppp%' and id % 7 <> 0;
    vacuum sr;
    insert into sr select i, repeat('p', i % 30) || md5(i::text) from generate_series(1, 600) i;
    vacuum sr;
    `,
  );
}

/** Points whose quadrants fill their leaf pages: chains move to other pages, and empty chains get tuples again. */
async function quadTrees(server: WorkloadServer): Promise<void> {
  await script(
    server,
    `
    set wal_consistency_checking = spgist;
    select setseed(0.25);
    create table quads(id int, p point);
    create index quads_p on quads using spgist (p);
    create index quads_k on quads using spgist (p kd_point_ops);
    set wal_consistency_checking = '';
    insert into quads select i, point(random() * 1000, random() * 1000) from generate_series(1, 2500) i;
    set wal_consistency_checking = spgist;
    insert into quads select i, point(1, 1) from generate_series(1, 700) i;
    delete from quads where p[0] < 300;
    vacuum quads;
    insert into quads select i, point(random() * 400, random() * 1000) from generate_series(1, 900) i;
    delete from quads where id % 4 <> 1;
    vacuum quads;
    insert into quads select i, point(random() * 1000, random() * 1000) from generate_series(1, 1500) i;
    vacuum quads;
    vacuum quads;
    `,
  );
}

/** An index that is a root leaf only, and a tree of nulls. */
async function rootsAndNulls(server: WorkloadServer): Promise<void> {
  await script(
    server,
    `
    set wal_consistency_checking = spgist;
    create table sn(id int, t text);
    create index sn_t on sn using spgist (t);
    insert into sn select i, 'root' || i from generate_series(1, 40) i;
    delete from sn where id % 2 = 0;
    vacuum sn;
    set wal_consistency_checking = '';
    insert into sn select i, null from generate_series(1, 2500) i;
    set wal_consistency_checking = spgist;
    delete from sn where t is null and id % 3 = 0;
    vacuum sn;
    insert into sn select i, null from generate_series(1, 300) i;
    create table prefixes(id int, t text);
    create index prefixes_t on prefixes using spgist (t);
    insert into prefixes select i, repeat('s', 60) || chr(300 + i) || i from generate_series(1, 150) i;
    insert into prefixes values (0, 'sssZ');
    create table si(id int, r int4range, a inet);
    create index si_r on si using spgist (r) include (id);
    create index si_a on si using spgist (a);
    insert into si select i, int4range(i % 50, i % 50 + i), ('10.' || i % 7 || '.' || i % 200 || '.1')::inet from generate_series(1, 700) i;
    delete from si where id < 200;
    vacuum si;
    `,
  );
}
