import { script, type WorkloadServer } from '../script.test-support.ts';

/** Makes a server write every kind of GiST record, in every form that redo tells apart. Bulk insertions into wide pages get no images to check. */
export async function gistChanges(server: WorkloadServer): Promise<void> {
  await growth(server);
  await pageDeletion(server);
  await killedTuples(server);
}

/** Wide keys make a deep tree of few tuples to a page, so that splits go up several levels; points have a sorted build. */
async function growth(server: WorkloadServer): Promise<void> {
  await script(
    server,
    `
    set wal_consistency_checking = gist;
    select setseed(0.5);
    create function words(seed int) returns tsvector language sql immutable as $$ select to_tsvector('simple', string_agg(md5((seed * 1000 + j)::text), ' ')) from generate_series(1, 120) j $$;
    create table gg(id int, p point, v tsvector);
    create index gg_p on gg using gist (p);
    create index gg_v on gg using gist (v tsvector_ops (siglen = 1800)) with (buffering = off);
    insert into gg select i, point(random(), random()), words(i) from generate_series(1, 500) i;
    update gg set p = point(id, -id) where id % 10 = 0;
    delete from gg where id % 4 = 0;
    vacuum gg;
    insert into gg select i, point(random() * 10, i % 3), words(i % 100 + 1000) from generate_series(1, 300) i;
    create index gg_built on gg using gist (p);
    create index gg_buffered on gg using gist (v tsvector_ops (siglen = 1800)) with (buffering = on);
    insert into gg select i, point(i, i), words(i + 2000) from generate_series(1, 100) i;
    `,
  );
}

/** Leaves that vacuum finds empty leave the tree, and are used again. */
async function pageDeletion(server: WorkloadServer): Promise<void> {
  await script(
    server,
    `
    set wal_consistency_checking = gist;
    create table gd(id int, p point);
    create index gd_p on gd using gist (p);
    set wal_consistency_checking = '';
    insert into gd select i, point(i, i) from generate_series(1, 2500) i;
    set wal_consistency_checking = gist;
    delete from gd where id between 300 and 2200;
    vacuum gd;
    vacuum gd;
    insert into gd select i, point(i, 5) from generate_series(1, 1500) i;
    delete from gd where id > 5;
    vacuum gd;
    insert into gd select i, point(i, i) from generate_series(1, 300) i;
    `,
  );
}

/** Scans mark deleted tuples; an insertion that finds its leaf full then removes them. */
async function killedTuples(server: WorkloadServer): Promise<void> {
  await script(
    server,
    `
    set wal_consistency_checking = gist;
    create table gk(id int, p point);
    create index gk_p on gk using gist (p);
    insert into gk select i, point(i % 12, i % 11) from generate_series(1, 1200) i;
    delete from gk where id % 3 <> 0;
    set enable_seqscan = off;
    set enable_bitmapscan = off;
    select count(*) from gk where p <@ box '(0,0),(12,12)';
    insert into gk select i, point(i % 12, i % 11) from generate_series(1, 900) i;
    delete from gk where id % 5 = 0;
    select count(*) from gk where p <@ box '(0,0),(12,12)';
    vacuum gk;
    insert into gk select i, point(i % 12, i % 11) from generate_series(1, 100) i;
    `,
  );
}
