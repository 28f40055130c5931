import type { StockPostgres } from '@zenith/testing';

/** Runs statements one by one on one connection: each line that ends in a semicolon is a query, and so a transaction of its own. */
export async function script(server: StockPostgres, sql: string): Promise<void> {
  const client = await server.connect();
  try {
    for (const statement of sql.split(/;[ ]*\n/)) if (statement.trim() !== '') await client.query(statement);
  } finally {
    await client.end();
  }
}
