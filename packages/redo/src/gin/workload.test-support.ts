import { script, type WorkloadServer } from '../script.test-support.ts';

/** Makes a server write every kind of GIN record, in every form that redo tells apart. Heap records get no images to check: they would be most of the WAL. */
export async function ginChanges(server: WorkloadServer): Promise<void> {
  await pendingLists(server);
  await entryTrees(server);
  await postingTrees(server);
}

/** Rows on the pending list: alone, several to a page, one over several pages; the list is emptied by request and by vacuum. */
async function pendingLists(server: WorkloadServer): Promise<void> {
  await script(
    server,
    `
    set wal_consistency_checking = gin;
    create table gp(id int, a int[]);
    create index gp_a on gp using gin (a) with (fastupdate = on, gin_pending_list_limit = 4096);
    insert into gp select i, array[i % 10, 100 + i, i % 3] from generate_series(1, 120) i;
    insert into gp select i, array(select j from generate_series(1, 450) j) from generate_series(1, 2) i;
    insert into gp values (1, null), (2, '{}'), (3, array[null, 5]);
    insert into gp select i, array(select j from generate_series(1, 420) j) from generate_series(1, 20) i;
    select gin_clean_pending_list('gp_a');
    insert into gp select i, array[i, i + 1, i + 2] from generate_series(1, 60) i;
    vacuum gp;
    insert into gp select i, array[i] from generate_series(1, 10) i;
    alter index gp_a set (fastupdate = off);
    delete from gp where id % 2 = 0;
    vacuum gp;
    insert into gp select i, array[i, 3] from generate_series(1, 40) i;
    `,
  );
}

/** Few wide keys to a page make a deep entry tree; rows of the same key make its posting lists grow. */
async function entryTrees(server: WorkloadServer): Promise<void> {
  await script(
    server,
    `
    set wal_consistency_checking = gin;
    create table ge(id int, t text[], j jsonb);
    create index ge_t on ge using gin (t) with (fastupdate = off);
    create index ge_j on ge using gin (j, t) with (fastupdate = off);
    insert into ge select i, array[(select string_agg(md5(i * j || 'k'), '') from generate_series(1, 70) j)], null from generate_series(1, 60) i;
    insert into ge select i, array['x', (i % 20)::text], jsonb_build_object('a', i % 9, 'b', array[i, 1]) from generate_series(1, 100) i;
    delete from ge where id % 3 = 0;
    vacuum ge;
    insert into ge select i, array['after vacuum', (i % 20)::text], '{}' from generate_series(1, 40) i;
    `,
  );
}

/**
 * Posting trees of some leaves, built full. Rows of another key leave places all over the table, so that new items come into the middle of
 * full leaves; then most of a leaf's items go away, and all of another's.
 */
async function postingTrees(server: WorkloadServer): Promise<void> {
  const file = `${server.dataDirectory}/postings.copy`;
  await script(
    server,
    `
    set wal_consistency_checking = gin;
    copy (select i, case when i % 5 = 0 then array[9] else array[1, 2 + i % 2] end from generate_series(1, 40000) i) to '${file}';
    create table gt(id int, a int[]);
    copy gt from '${file}';
    create index gt_a on gt using gin (a) with (fastupdate = on, gin_pending_list_limit = 65536);
    delete from gt where id % 5 = 0;
    vacuum gt;
    insert into gt select i, array[1, 2] from generate_series(1, 700) i;
    select gin_clean_pending_list('gt_a');
    insert into gt select i, array[1] from generate_series(1, 700) i;
    select gin_clean_pending_list('gt_a');
    delete from gt where id between 3000 and 6000;
    delete from gt where id % 3 = 0 and id < 9000;
    vacuum gt;
    alter index gt_a set (fastupdate = off);
    insert into gt select i, array[1, 3] from generate_series(1, 100) i;
    delete from gt where id between 12000 and 39000;
    vacuum gt;
    insert into gt select i, array[1, 2, 3] from generate_series(1, 60) i;
    vacuum gt;
    create table gn(id int, a int[]);
    insert into gn select i, array[7] from generate_series(1, 2500) i;
    create index gn_a on gn using gin (a) with (fastupdate = off);
    insert into gn select i, array[7] from generate_series(1, 600) i;
    delete from gn where id % 2 = 1;
    vacuum gn;
    insert into gn select i, array[7] from generate_series(1, 100) i;
    `,
  );
}
