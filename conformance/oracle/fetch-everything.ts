import type { Client } from 'pg';

/** Connects to a database as a superuser; the caller ends it. */
export type Connect = (database: string) => Promise<Client>;

// pg_prewarm() in this mode reads every block by itself, past the buffers, so that none of them is changed. Temporary relations are not the pageserver's, and of unlogged ones only the init fork is, which is complete from the start.
const READ_EVERY_BLOCK = `
  select coalesce(sum(pg_prewarm(relation.oid, 'read', fork)), 0)::int as blocks
    from pg_class as relation, unnest(array['main', 'vm']) as fork
   where relpersistence = 'p' and pg_relation_filenode(relation.oid) is not null and pg_relation_size(relation.oid, fork) > 0`;

/**
 * Makes a compute fetch every block that it does not have yet, of every relation of every database, `template0` included: what is then in its files can be compared as a whole. Leaves nothing behind but the transactions that it took.
 * @returns how many blocks were read
 */
export async function fetchEverything(connect: Connect): Promise<number> {
  const client = await connect('postgres');
  try {
    const { rows } = await client.query<{ datname: string; datallowconn: boolean }>(
      'select datname, datallowconn from pg_database order by datname',
    );
    const allow = (name: string, isAllowed: boolean): Promise<unknown> =>
      client.query(`alter database ${client.escapeIdentifier(name)} allow_connections ${isAllowed}`);
    let blocks = 0;
    for (const { datname, datallowconn } of rows) {
      if (!datallowconn) await allow(datname, true);
      blocks += await fetchDatabase(connect, datname);
      if (!datallowconn) await allow(datname, false);
    }
    return blocks;
  } finally {
    await client.end();
  }
}

async function fetchDatabase(connect: Connect, database: string): Promise<number> {
  const client = await connect(database);
  try {
    await client.query('begin');
    await client.query('create extension if not exists pg_prewarm');
    const { rows } = await client.query<{ blocks: number }>(READ_EVERY_BLOCK);
    await client.query('rollback');
    return rows[0]?.blocks ?? 0;
  } finally {
    await client.end();
  }
}
