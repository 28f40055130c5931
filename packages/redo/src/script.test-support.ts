import type { StockPostgres } from '@zenith/testing';

/** What a workload wants of a server: connections, and a folder it may write to. */
export type WorkloadServer = Pick<StockPostgres, 'connect' | 'query' | 'dataDirectory'>;

/** Runs statements one by one on one connection: each line that ends in a semicolon is a query, and so a transaction of its own. */
export async function script(server: WorkloadServer, sql: string): Promise<void> {
  const client = await server.connect();
  try {
    for (const statement of sql.split(/;[ ]*\n/)) if (statement.trim() !== '') await client.query(statement);
  } finally {
    await client.end();
  }
}
