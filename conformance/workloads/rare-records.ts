import type { Client } from 'pg';
import type { Workload, WorkloadContext } from './workload.ts';

/** A segment of the commit log is that of 1,048,576 transactions: so many are needed before one can be dropped. */
const TRANSACTIONS = 1_100_000;

async function withClient(
  context: WorkloadContext,
  database: string,
  work: (client: Client) => Promise<void>,
): Promise<void> {
  const client = await context.connect(database);
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

/** What only certain functions write: a switch of the segment, a restore point, the end of a backup, replication origins. */
const functions: Workload = {
  name: 'records of SQL functions',
  checks: [],
  async run(context) {
    await withClient(context, 'postgres', async (client) => {
      for (const statement of [
        'select pg_switch_wal()',
        "select pg_create_restore_point('here')",
        "select pg_backup_start('nothing is copied', true)",
        'select * from pg_backup_stop(false)',
        "select pg_replication_origin_create('elsewhere')",
        "select pg_replication_origin_advance('elsewhere', '0/123456')",
        "select pg_replication_origin_drop('elsewhere')",
        "select pg_logical_emit_message(true, 'prefix', 'content')",
      ])
        await client.query(statement);
    });
  },
};

/** A catalog that is rewritten while a logical slot may still decode its old rows. */
const logicalRewrite: Workload = {
  name: 'catalogs rewritten under logical decoding',
  checks: [],
  async run(context) {
    await withClient(context, 'postgres', async (client) => {
      for (const statement of [
        "select pg_create_logical_replication_slot('rewrites', 'test_decoding')",
        'create table decoded (id int primary key, t text)',
        "insert into decoded values (1, 'one')",
        'alter table decoded add column extra int',
        'vacuum full pg_class',
        'vacuum full pg_attribute',
        'truncate decoded',
        'drop table decoded',
        "select pg_drop_replication_slot('rewrites')",
      ])
        await client.query(statement);
    });
  },
};

/** Tablespaces: one of PostgreSQL's own, inside of the data directory. */
const tablespaces: Workload = {
  name: 'tablespaces in place',
  checks: [],
  async run(context) {
    await withClient(context, 'postgres', async (client) => {
      for (const statement of [
        'set allow_in_place_tablespaces = on',
        "create tablespace inside location ''",
        'create table there (id int primary key) tablespace inside',
        'insert into there select generate_series(1, 1000)',
        'alter table there set tablespace pg_default',
        'alter index there_pkey set tablespace inside',
        'drop table there',
        'drop tablespace inside',
      ])
        await client.query(statement);
    });
  },
};

/** Transactions by the million and multixacts by the thousand, all of them frozen: the logs of their fates are cut off at the front. */
const frozenTransactions: Workload = {
  name: `${TRANSACTIONS} transactions, frozen`,
  checks: [],
  async run(context) {
    const clients = await Promise.all([context.connect(), context.connect()]);
    try {
      const [a, b] = clients;
      await a.query('create table shared (id int primary key)');
      await a.query('insert into shared select generate_series(1, 3000)');
      // One transaction and 3,000 subtransactions of another, each of which locks a row that the first has locked: as many multixacts, two pages of them.
      await a.query('begin');
      await a.query('select count(*) from (select from shared for key share) locked');
      await b.query(
        'do $$ begin for i in 1..3000 loop begin perform from shared where id = i for key share; exception when division_by_zero then null; end; end loop; end $$',
      );
      await a.query('commit');
      await a.query(
        'create procedure use_up(n int) language plpgsql as $$ begin for i in 1..n loop perform pg_current_xact_id(); commit; end loop; end $$',
      );
      await a.query('set synchronous_commit = off');
      await a.query(`call use_up(${TRANSACTIONS})`);
      await a.query('alter database template0 allow_connections true');
    } finally {
      for (const client of clients) await client.end();
    }
    const { rows } = await listDatabases(context);
    for (const { datname } of rows)
      await withClient(context, datname, async (client) => void (await client.query('vacuum (freeze)')));
    await withClient(context, 'postgres', async (client) => {
      await client.query('alter database template0 allow_connections false');
      await client.query('checkpoint');
    });
  },
};

async function listDatabases(context: WorkloadContext): Promise<{ rows: { datname: string }[] }> {
  const client = await context.connect();
  try {
    return await client.query<{ datname: string }>('select datname from pg_database order by oid');
  } finally {
    await client.end();
  }
}

/** Workloads for kinds of records that none of PostgreSQL's suites writes. They come first: the others leave a prepared transaction open, and nothing after it is frozen. */
export const rareRecords: readonly Workload[] = [functions, logicalRewrite, tablespaces, frozenTransactions];
