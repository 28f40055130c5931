import { ControlPlaneError } from '@zenith/control-plane';
import pg from 'pg';
import type { CommandContext } from '../command-context.ts';
import { psqlTarget, type PsqlTarget } from '../commands/psql.ts';
import type { RelationLocator } from './relation.ts';

/** Unit: milliseconds. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Relations without a tablespace of their own are in their database's; shared ones (tablespace 1664) are in no database. Mapped ones have their file number in a relation map. */
const LOOK_UP = `
  select coalesce(nullif(c.reltablespace, 0), d.dattablespace)::int8 as spc,
         case when c.relisshared then 0 else d.oid end::int8 as db,
         pg_relation_filenode(c.oid)::int8 as rel
    from pg_class c, pg_database d
   where c.oid = to_regclass($1) and d.datname = current_database()`;

async function serverOn(context: CommandContext, branch: string): Promise<PsqlTarget> {
  try {
    return await psqlTarget(context, branch);
  } catch (error) {
    if (!(error instanceof ControlPlaneError) || error.code !== 'not-running') throw error;
    throw new ControlPlaneError(
      'not-running',
      `names of relations are looked up by the server on the branch, and ${error.message}, or write TABLESPACE/DATABASE/RELFILENODE (oids)`,
      { cause: error },
    );
  }
}

/**
 * Where the server that runs on a branch has a relation now. Its file number changes when it is rewritten (VACUUM FULL, CLUSTER, TRUNCATE, …): pages of before are at the older one.
 * @param database `postgres` by default
 * @throws ControlPlaneError `not-running`, `no-such-relation`; what the server refuses
 */
export async function resolveRelation(
  context: CommandContext,
  branch: string,
  database: string | undefined,
  name: string,
): Promise<RelationLocator> {
  const { host, port, user, database: defaultDatabase } = await serverOn(context, branch);
  const client = new pg.Client({
    host,
    port,
    user,
    database: database ?? defaultDatabase,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  // A connection that breaks while no query waits for it; the next query fails and says so.
  client.on('error', () => undefined);
  await client.connect();
  try {
    const { rows } = await client.query<{ spc: string; db: string; rel: string | null }>(LOOK_UP, [name]);
    const [row] = rows;
    if (row === undefined)
      throw new ControlPlaneError(
        'no-such-relation',
        `there is no relation ${name} in the database '${database ?? defaultDatabase}'`,
      );
    if (row.rel === null)
      throw new ControlPlaneError('no-such-relation', `${name} has no pages: it is no table or index`);
    return { spc: Number(row.spc), db: Number(row.db), rel: Number(row.rel) };
  } finally {
    await client.end();
  }
}
