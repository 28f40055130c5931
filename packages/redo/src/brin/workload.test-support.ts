import { script, type WorkloadServer } from '../script.test-support.ts';

/**
 * Makes a server write every kind of BRIN record. A table with a page for each row soon has enough ranges for a second page of the map, whose
 * place tuples have to leave; text summaries grow until their pages are full. Heap records get no images to check.
 */
export async function brinChanges(server: WorkloadServer): Promise<void> {
  const row = (from: number, to: number): string =>
    `insert into br select i, i::text, repeat('r', 600) from generate_series(${from}, ${to}) i`;
  await script(
    server,
    `
    set wal_consistency_checking = brin;
    create table br(id int, t text, filler text) with (fillfactor = 10, autovacuum_enabled = off);
    alter table br alter filler set storage plain;
    ${row(1, 500)};
    create index br_id on br using brin (id) with (pages_per_range = 1);
    create index br_t on br using brin (t) with (pages_per_range = 3);
    create index br_bloom on br using brin (id int4_bloom_ops(n_distinct_per_range = 50), t text_minmax_ops) with (pages_per_range = 8);
    create index br_multi on br using brin (id int4_minmax_multi_ops) with (pages_per_range = 16);
    ${row(501, 1450)};
    select brin_summarize_new_values('br_id');
    select brin_summarize_new_values('br_t');
    select brin_desummarize_range('br_id', 5);
    select brin_desummarize_range('br_id', 700);
    select brin_desummarize_range('br_id', 1400);
    select brin_desummarize_range('br_t', 17);
    select brin_summarize_range('br_id', 700);
    update br set t = t || repeat('grown', 20) where id between 1 and 120;
    update br set id = -id where id between 200 and 260;
    update br set t = repeat('z', 900) || t where id between 300 and 340;
    delete from br where id between 1000 and 1100;
    vacuum br;
    update br set t = 'a' || t where id between 400 and 600;
    create table bb(b box);
    create index bb_b on bb using brin (b) with (pages_per_range = 2);
    insert into bb select box(point(i, i), point(i + 5, i + 5)) from generate_series(1, 400) i;
    select brin_summarize_new_values('bb_b');
    insert into bb values ('(1000, 1000), (-5, -5)');
    `,
  );
}
