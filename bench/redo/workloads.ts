import type { StockPostgres } from '@zenith/testing';
import { hasPgbench, pgbenchInitialize, pgbenchTransactions } from '../../integration_tests/support/pgbench.ts';

/** Something that makes a server write WAL. */
export interface Workload {
  readonly name: string;
  /** Makes the tables; its WAL is not measured. */
  prepare(server: StockPostgres): Promise<void>;
  /** Writes the WAL that is replayed. */
  run(server: StockPostgres): Promise<void>;
}

const SCALE = 10;
const ACCOUNTS = SCALE * 100_000;

/** pgbench's TPC-B with 8 clients; without pgbench the same statements from a procedure of a server. */
export function tpcb(transactions: number): Workload {
  if (hasPgbench()) {
    return {
      name: 'pgbench TPC-B',
      prepare: (server) => pgbenchInitialize({ port: server.port, user: 'postgres' }, SCALE),
      run: (server) => pgbenchTransactions({ port: server.port, user: 'postgres' }, transactions),
    };
  }
  return {
    name: 'TPC-B from SQL',
    async prepare(server) {
      await server.query(`
        create table branches (bid int primary key, bbalance int, filler char(88));
        create table tellers (tid int primary key, bid int, tbalance int, filler char(84));
        create table accounts (aid int primary key, bid int, abalance int, filler char(84));
        create table history (tid int, bid int, aid int, delta int, mtime timestamp, filler char(22));
        insert into branches select g, 0, '' from generate_series(1, ${SCALE}) g;
        insert into tellers select g, g % ${SCALE}, 0, '' from generate_series(1, ${SCALE * 10}) g;
        insert into accounts select g, g % ${SCALE}, 0, '' from generate_series(1, ${ACCOUNTS}) g;
        create procedure work(n int) language plpgsql as $$
        declare d int; a int;
        begin
          for i in 1..n loop
            d := (random() * 10000)::int - 5000;
            a := 1 + (random() * ${ACCOUNTS - 1})::int;
            update accounts set abalance = abalance + d where aid = a;
            update tellers set tbalance = tbalance + d where tid = 1 + a % ${SCALE * 10};
            update branches set bbalance = bbalance + d where bid = 1 + a % ${SCALE};
            insert into history values (1 + a % ${SCALE * 10}, 1 + a % ${SCALE}, a, d, now());
            commit;
          end loop;
        end $$`);
      await server.query('vacuum');
    },
    run: async (server) => void (await server.query(`call work(${transactions})`)),
  };
}

/** Rows with two GIN indexes (with and without pending list) and two GiST indexes: inserts, updates, deletes, vacuum. */
export function ginAndGist(rows: number): Workload {
  return {
    name: 'GIN and GiST',
    async prepare(server) {
      await server.query(`
        create table documents (id int primary key, tags int[], words text[], area box, place point);
        create index on documents using gin (tags) with (fastupdate = off);
        create index on documents using gin (words) with (fastupdate = on, gin_pending_list_limit = 256);
        create index on documents using gist (area);
        create index on documents using gist (place);
        create procedure work(n int) language plpgsql as $$
        begin
          for i in 1..n / 100 loop
            insert into documents
            select i * 100 + g, array(select (random() * 5000)::int + g * 0 from generate_series(1, 8)),
              array(select 'word ' || ((random() * 3000)::int + g * 0) from generate_series(1, 4)),
              box(point(x, y), point(x + 3, y + 3)), point(x, y)
            from (select g, random() * 1000 x, random() * 1000 y from generate_series(1, 100) g) s;
            update documents set place = point(random() * 1000, random() * 1000) where id between i * 50 and i * 50 + 9;
            commit;
          end loop;
        end $$`);
    },
    async run(server) {
      await server.query(`call work(${rows})`);
      await server.query('delete from documents where id % 3 = 0');
      await server.query('vacuum documents');
    },
  };
}
