import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PgMajor } from '@zenith/pg-format';
import { chownTree, StockPostgres, temporaryDirectory, unprivilegedUser } from '@zenith/testing';
import type { Zenith } from './zenith.ts';

/** A stock PostgreSQL in a data directory that `zenith export` made. */
export interface ExportedServer {
  readonly server: StockPostgres;
  /** Stops it and removes its directory. */
  readonly remove: () => Promise<void>;
}

/** A standby of a branch, whose compute runs. It needs nothing of Zenith's but WAL: all its pages are in its files. It is not started yet. */
export function exportStandby(zenith: Zenith, branch: string): Promise<ExportedServer> {
  return exported(zenith, branch, ['--standby'], "wal_retrieve_retry_interval = '200ms'\n");
}

/** A copy of a branch, or of `branch@LSN`, that goes its own way. It is not started yet. */
export function exportCopy(zenith: Zenith, from: string): Promise<ExportedServer> {
  return exported(zenith, from, [], '');
}

async function exported(
  zenith: Zenith,
  from: string,
  options: readonly string[],
  settings: string,
): Promise<ExportedServer> {
  const { path, remove } = temporaryDirectory('zenith-export-');
  const pgdata = join(path, 'pgdata');
  const { pgMajor } = await zenith.json<{ pgMajor: PgMajor }>('export', from, pgdata, ...options);
  appendFileSync(join(pgdata, 'postgresql.conf'), settings);
  chownTree(path, unprivilegedUser());
  const server = StockPostgres.create({ major: pgMajor, dataDirectory: pgdata, superuser: zenith.user });
  return {
    server,
    remove: async () => {
      await server.stop();
      remove();
    },
  };
}
