import { brinChanges } from './brin/workload.test-support.ts';
import { ginChanges } from './gin/workload.test-support.ts';
import { gistChanges } from './gist/workload.test-support.ts';
import { hashChanges } from './hash/workload.test-support.ts';
import { script, type WorkloadServer } from './script.test-support.ts';
import { spgistChanges } from './spgist/workload.test-support.ts';

/**
 * Workloads that make a server write every kind of record that this package redoes. Everything is small: with
 * wal_consistency_checking each block that a record touches is 8 KiB of WAL.
 */
export async function runWorkload(server: WorkloadServer): Promise<void> {
  await heapChanges(server);
  await pruningAndFreezing(server);
  await lockingAndMultixacts(server);
  await speculativeInsertion(server);
  await btreeChanges(server);
  await postingListSplits(server);
  await btreePageDeletion(server);
  await sequencesAndOthers(server);
  await transactions(server);
  await ginChanges(server);
  await brinChanges(server);
  await gistChanges(server);
  await spgistChanges(server);
  await hashChanges(server);
}

/** Fewer and shorter workloads, for servers that differ in how they log images. */
export async function runShortWorkload(server: WorkloadServer): Promise<void> {
  await heapChanges(server);
  await pruningAndFreezing(server);
  await lockingAndMultixacts(server);
}

async function heapChanges(server: WorkloadServer): Promise<void> {
  const file = `${server.dataDirectory}/rows.copy`;
  await script(
    server,
    `
    select setseed(0.5);
    create table h(id int, a int, b text);
    insert into h select i, i % 7, repeat('x', (random() * 200)::int) from generate_series(1, 600) i;
    copy (select i, 3, 'some text of a row that is copied' from generate_series(1, 400) i) to '${file}';
    copy h from '${file}';
    update h set b = b || 'y' where id % 3 = 0;
    update h set a = a + 1 where id % 5 = 0;
    delete from h where id % 11 = 0;
    begin; insert into h select i, 1, 'aborted' from generate_series(1, 50) i; rollback;
    begin; savepoint s; insert into h values (1, 2, null); rollback to s; update h set a = null where id = 5; commit;
    update h set b = 'prefix and ' || b || ' suffix' where id between 100 and 120;
    create table wide(id int primary key, t text);
    alter table wide alter t set storage external;
    insert into wide select i, repeat(md5(i::text), 300) from generate_series(1, 12) i;
    update wide set t = t || 'more' where id = 3;
    delete from wide where id = 4;
    create table parts(k int, v int) partition by list (k);
    create table part1 partition of parts for values in (1);
    create table part2 partition of parts for values in (2);
    insert into parts select 1, i from generate_series(1, 20) i;
    update parts set k = 2 where v < 8;
    create table emptied(i int);
    insert into emptied select generate_series(1, 1000);
    vacuum emptied;
    delete from emptied where i > 300;
    vacuum emptied;
    truncate emptied;
    insert into emptied values (1);
    create unlogged table u(i int primary key);
    insert into u values (1);
    create table frozen(id int, a int, b text);
    begin; truncate frozen; copy frozen from '${file}' with (freeze); commit;
    insert into frozen values (0, 0, 'not frozen');
    create table av(i int, t text);
    insert into av select i, repeat('v', 100) from generate_series(1, 90) i;
    vacuum av;
    update av set t = repeat('w', 300) where i = 1;
    analyze h;
    `,
  );
}

async function pruningAndFreezing(server: WorkloadServer): Promise<void> {
  await script(
    server,
    `
    create table p(id int primary key, n int, t text) with (fillfactor = 70);
    insert into p select i, 0, repeat('t', 60) from generate_series(1, 300) i;
    ${[0, 1, 2, 0, 1, 2].map((third) => `update p set n = n + 1 where id % 3 = ${third};\nselect count(*) from p;\n`).join('')}
    delete from p where id between 50 and 90;
    vacuum p;
    insert into p select i, 9, null from generate_series(1000, 1080) i;
    vacuum (freeze) p;
    vacuum (freeze) h;
    delete from p where id < 20;
    update p set n = 5 where id = 200;
    select count(*) from p;
    create table noindex(i int, t text);
    insert into noindex select i, md5(i::text) from generate_series(1, 400) i;
    delete from noindex where i % 2 = 0;
    vacuum noindex;
    vacuum (freeze) noindex;
    `,
  );
}

async function lockingAndMultixacts(server: WorkloadServer): Promise<void> {
  await script(
    server,
    `
    create table l(id int primary key, k int, t text);
    insert into l select i, i, 'x' from generate_series(1, 60) i;
    vacuum (freeze) l;
    `,
  );
  const [a, b, c] = await Promise.all([server.connect(), server.connect(), server.connect()]);
  try {
    await a.query('begin; select * from l where id <= 10 for share');
    await b.query('begin; select * from l where id <= 10 for share');
    await c.query('begin; select * from l where id <= 5 for key share');
    for (const client of [a, b, c]) await client.query('commit');
    // A key-share lock on rows whose update is in progress locks the new version, too.
    await b.query('begin isolation level repeatable read; select count(*) from l');
    await a.query("begin; update l set t = 'new' where id between 20 and 30");
    await b.query('select * from l where id between 20 and 30 for key share');
    await a.query('commit');
    await b.query('commit');
    await a.query(
      "begin; select * from l where id = 40 for update; savepoint s; update l set t = 'sub' where id = 40; rollback to s; select * from l where id = 40 for share; commit",
    );
    await a.query('begin; delete from l where id = 41; rollback');
    await a.query('update l set k = k + 1 where id = 41');
    await c.query('begin; select * from l where id between 50 and 55 for key share');
    for (let i = 0; i < 25; i++)
      await a.query('begin; select * from l where id between 50 and 55 for key share; commit');
    await c.query('commit');
  } finally {
    await Promise.all([a.end(), b.end(), c.end()]);
  }
  await script(server, 'vacuum (freeze) l');
}

/**
 * Two sessions insert the same key speculatively; the second to reach the index has to take its heap tuple back. An index expression waits on
 * advisory locks that a third session holds: on lock 3 while lock 1 is taken (the check before the insertion), else on lock 2 (the index
 * insertion), so that both have inserted their tuples before either reaches the index.
 */
async function speculativeInsertion(server: WorkloadServer): Promise<void> {
  await server.query(`
    create table s(key text, data text);
    create function stop_at(t text) returns text language plpgsql immutable as $$
    declare
      session int := nullif(current_setting('spec.session', true), '')::int;
    begin
      if session is null then return t; end if;
      if pg_try_advisory_xact_lock(session, 1) then perform pg_advisory_xact_lock(session, 2);
      else perform pg_advisory_xact_lock(session, 3);
      end if;
      return t;
    end $$;
    create unique index on s (stop_at(key))`);
  const [a, b, controller] = await Promise.all([server.connect(), server.connect(), server.connect()]);
  try {
    await controller.query('select pg_advisory_lock(s, l) from generate_series(1, 2) s, generate_series(1, 3) l');
    await a.query("set spec.session = '1'");
    await b.query("set spec.session = '2'");
    const insert = (data: string): string =>
      `insert into s values ('k', '${data}') on conflict (stop_at(key)) do update set data = s.data || ' conflict'`;
    const first = a.query(insert('first'));
    const second = b.query(insert('second'));
    await untilWaiting(controller, 3, 2);
    await controller.query('select pg_advisory_unlock(s, 1), pg_advisory_unlock(s, 3) from generate_series(1, 2) s');
    await untilWaiting(controller, 2, 2);
    await controller.query('select pg_advisory_unlock(2, 2)');
    await second;
    await controller.query('select pg_advisory_unlock(1, 2)');
    await first;
  } finally {
    await Promise.all([a.end(), b.end(), controller.end()]);
  }
  await script(server, "insert into s select i::text, 'x' from generate_series(1, 40) i on conflict do nothing");
}

async function untilWaiting(
  client: { query(sql: string): Promise<{ rows: Record<string, unknown>[] }> },
  lock: number,
  sessions: number,
): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt++) {
    const { rows } = await client.query(
      `select count(*)::int as waiting from pg_locks where locktype = 'advisory' and objid = ${lock} and not granted`,
    );
    if (Number(rows[0]?.['waiting']) >= sessions) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`${sessions} sessions did not come to wait for lock ${lock}`);
}

async function btreeChanges(server: WorkloadServer): Promise<void> {
  await script(
    server,
    `
    select setseed(0.25);
    create table b(id int, dup int, r float8, t text);
    create index b_id on b (id);
    create index b_dup on b (dup);
    create index b_r on b (r);
    create index b_t on b (t);
    insert into b select i, i % 5, random(), repeat(md5(i::text), 12) from generate_series(1, 500) i;
    insert into b select i, 2, random(), md5(random()::text) from generate_series(500, 1, -1) i;
    create index b_built on b (t, id);
    delete from b where id % 4 = 0 and dup = 2;
    vacuum b;
    insert into b select i, 1, random(), 'after vacuum' from generate_series(1, 350) i;
    reindex index b_dup;
    create table k(id int, t text);
    create index k_id on k (id);
    insert into k select i, '' from generate_series(1, 800) i;
    delete from k where id % 2 = 0;
    set enable_seqscan = off;
    set enable_bitmapscan = off;
    select count(*) from k where id between 1 and 800;
    insert into k select i, '' from generate_series(1, 800) i;
    create table bu(id int primary key, same int, changing int);
    create index bu_same on bu (same);
    create index bu_changing on bu (changing);
    insert into bu select i, i % 3, 0 from generate_series(1, 150) i;
    ${Array.from({ length: 14 }, (_, i) => `update bu set changing = ${i} where id <= 150;\n`).join('')}
    delete from bu where id % 3 = 1;
    vacuum bu;
    `,
  );
}

/**
 * An index that is full of posting lists, over a table with holes: new rows' heap TIDs fall into the middle of posting lists, on pages that
 * have to be split.
 */
async function postingListSplits(server: WorkloadServer): Promise<void> {
  const file = `${server.dataDirectory}/keys.copy`;
  await script(
    server,
    `
    copy (select i % 2, i from generate_series(1, 3600) i) to '${file}';
    create table pl(k int, i int);
    copy pl from '${file}';
    delete from pl where i % 3 = 0;
    vacuum pl;
    create index pl_k on pl (k) with (fillfactor = 100);
    insert into pl select i % 2, i from generate_series(1, 500) i;
    `,
  );
}

/** Wide keys make a deep tree of few tuples: then almost all of it is deleted, so that levels become single pages, and it grows again. */
async function btreePageDeletion(server: WorkloadServer): Promise<void> {
  const wide = (from: number, to: number): string =>
    `insert into d select i, lpad(i::text, 8, '0') || repeat('k', 1800) from generate_series(${from}, ${to}) i`;
  await script(
    server,
    `
    create table d(id int, t text);
    alter table d alter t set storage plain;
    create index d_t on d (t);
    ${wide(1, 320)};
    delete from d where id between 6 and 315;
    vacuum d;
    vacuum d;
    ${wide(316, 420)};
    delete from d where id > 3;
    vacuum d;
    vacuum (index_cleanup on) d;
    ${wide(4, 80)};
    delete from d;
    vacuum d;
    vacuum d;
    insert into d select i, lpad((i * 7 % 97)::text, 8, '0') || repeat('k', 1500) from generate_series(1, 100) i;
    create table m(id int primary key);
    insert into m select generate_series(1, 2200);
    delete from m where id < 2150;
    vacuum m;
    vacuum m;
    insert into m select generate_series(4000, 4500);
    vacuum m;
    `,
  );
}

async function sequencesAndOthers(server: WorkloadServer): Promise<void> {
  await script(
    server,
    `
    create sequence sq;
    select nextval('sq') from generate_series(1, 100);
    select setval('sq', 5000);
    alter sequence sq restart;
    create table ser(id serial, x int generated always as identity);
    insert into ser select from generate_series(1, 80);
    create extension bloom;
    create table bl(i int, j int);
    insert into bl select i, i % 10 from generate_series(1, 300) i;
    create index bl_idx on bl using bloom (i, j);
    insert into bl select i, 3 from generate_series(1, 150) i;
    delete from bl where i < 40;
    vacuum bl;
    set wal_compression = pglz;
    create table c(i int primary key, t text);
    insert into c select i, repeat('c', 100) from generate_series(1, 200) i;
    update c set t = t || 'd' where i % 2 = 0;
    vacuum c;
    vacuum full h;
    cluster p using p_pkey;
    alter table b add column later int default 4;
    create database copied;
    comment on table b is 'x';
    analyze;
    `,
  );
}

/** Subtransactions by the thousand and prepared transactions, for the commit log. */
async function transactions(server: WorkloadServer): Promise<void> {
  await script(
    server,
    `
    create table x(i int);
    do $$ begin for i in 1..1500 loop begin insert into x values (i); exception when others then null; end; end loop; end $$;
    do $$ begin for i in 1..50 loop begin insert into x values (i); raise exception 'no'; exception when others then null; end; end loop; end $$;
    begin; savepoint s; insert into x values (1); release s; insert into x values (2); prepare transaction 'kept';
    commit prepared 'kept';
    begin; insert into x values (3); prepare transaction 'dropped';
    rollback prepared 'dropped';
    `,
  );
}
