import { script, type WorkloadServer } from '../script.test-support.ts';

/**
 * Makes a server write every kind of hash record, in every form but those that take an index of hundreds of megabytes. Bulk insertions get no images to
 * check, they would be most of the WAL; what they did, later images and the files at the end show.
 */
export async function hashChanges(server: WorkloadServer): Promise<void> {
  await growth(server);
  await squeezing(server);
  await killedTuples(server);
}

/** Buckets split as rows come, with chains of overflow pages among them, so that splits have to move tuples to full pages. */
async function growth(server: WorkloadServer): Promise<void> {
  await script(
    server,
    `
    set wal_consistency_checking = hash;
    create table hg(id int, k int);
    create index hg_k on hg using hash (k);
    insert into hg select i, i from generate_series(1, 700) i;
    set wal_consistency_checking = '';
    insert into hg select i, i from generate_series(700, 3000) i;
    insert into hg select i, 7 from generate_series(1, 1500) i;
    set wal_consistency_checking = hash;
    insert into hg select i, i from generate_series(3000, 4200) i;
    create table hb(id int, t text);
    insert into hb select i, md5((i % 900)::text) from generate_series(1, 2500) i;
    set wal_consistency_checking = '';
    create index hb_t on hb using hash (t);
    create index hb_id on hb using hash (id) with (fillfactor = 10);
    `,
  );
}

/** Chains that vacuum shortens: pages that are emptied by others or by the first, pages that stay, and freed pages that are used again. */
async function squeezing(server: WorkloadServer): Promise<void> {
  await script(
    server,
    `
    set wal_consistency_checking = hash;
    create table hs(id int, k int);
    create index hs_k on hs using hash (k);
    set wal_consistency_checking = '';
    insert into hs select i, i % 4 from generate_series(1, 8000) i;
    set wal_consistency_checking = hash;
    delete from hs where id % 3 = 0;
    vacuum hs;
    set wal_consistency_checking = '';
    insert into hs select i, 3 from generate_series(1, 3000) i;
    set wal_consistency_checking = hash;
    delete from hs where id % 5 in (1, 2, 3);
    vacuum hs;
    set wal_consistency_checking = '';
    insert into hs select i, 1 from generate_series(1, 2500) i;
    set wal_consistency_checking = hash;
    delete from hs where k = 1 and id < 2400;
    vacuum hs;
    set wal_consistency_checking = '';
    insert into hs select i, 2 from generate_series(1, 2500) i;
    set wal_consistency_checking = hash;
    delete from hs where k = 2 and id % 600 <> 0;
    vacuum hs;
    set wal_consistency_checking = '';
    insert into hs select i, 9 from generate_series(1, 1500) i;
    set wal_consistency_checking = hash;
    delete from hs;
    vacuum hs;
    insert into hs select i, i from generate_series(1, 50) i;
    `,
  );
}

/** Scans mark deleted tuples; an insertion that finds its page full then removes them. */
async function killedTuples(server: WorkloadServer): Promise<void> {
  await script(
    server,
    `
    set wal_consistency_checking = hash;
    create table hk(id int, k int);
    create index hk_k on hk using hash (k);
    set wal_consistency_checking = '';
    insert into hk select i, 5 from generate_series(1, 900) i;
    set wal_consistency_checking = hash;
    delete from hk where id % 2 = 0;
    set enable_seqscan = off;
    set enable_bitmapscan = off;
    select count(*) from hk where k = 5;
    insert into hk select i, 5 from generate_series(1, 300) i;
    delete from hk where id < 200;
    select count(*) from hk where k = 5;
    vacuum hk;
    `,
  );
}
