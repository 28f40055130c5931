import pg from 'pg';
import { formatResult } from './format-result.ts';
import type { Output } from '../output/output.ts';

/** Unit: milliseconds. */
const CONNECT_TIMEOUT_MS = 10_000;

/** Types whose values psql aligns to the right: int8, int2, int4, oid, float4, float8, numeric. PG: pg_type.dat. */
const NUMERIC_TYPES: ReadonlySet<number> = new Set([20, 21, 23, 26, 700, 701, 1700]);

/** Where a session connects to. */
export interface SqlTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
}

/** One row, by column name; every value as PostgreSQL's text. */
export type TextRow = Readonly<Record<string, string | null>>;

/** A connection that shows what it does as psql would. */
export class SqlSession {
  readonly #client: pg.Client;
  readonly #output: Output;

  private constructor(client: pg.Client, output: Output) {
    this.#client = client;
    this.#output = output;
  }

  /** Runs `work` with a connection to the database `postgres`, which ends with it. */
  static async with<T>(
    { host, port, user }: SqlTarget,
    output: Output,
    work: (session: SqlSession) => Promise<T>,
  ): Promise<T> {
    const types = { getTypeParser: () => (value: string) => value };
    const client = new pg.Client({
      host,
      port,
      user,
      database: 'postgres',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      types,
    });
    // A connection that breaks while no query waits for it; the next query fails and says so.
    client.on('error', () => undefined);
    await client.connect();
    try {
      return await work(new SqlSession(client, output));
    } finally {
      await client.end();
    }
  }

  /** Runs a statement, shows it and what came of it. */
  async run(statement: string): Promise<TextRow[]> {
    this.#output.line(`postgres=# ${statement}`);
    const result = await this.#client.query<Record<string, string | null>>(statement);
    const columns = result.fields.map(({ name, dataTypeID }) => ({ name, numeric: NUMERIC_TYPES.has(dataTypeID) }));
    for (const line of formatResult(statement, columns, result.rows, result.rowCount ?? 0)) this.#output.line(line);
    return result.rows;
  }

  /** Runs a statement without showing it. */
  async ask(statement: string, values: readonly string[]): Promise<TextRow[]> {
    return (await this.#client.query<Record<string, string | null>>(statement, [...values])).rows;
  }
}
