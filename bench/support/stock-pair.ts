import { appendFileSync, cpSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { PgMajor } from '@zenith/pg-format';
import { StockPostgres, chownTree, unprivilegedUser } from '@zenith/testing';

/** Settings every server of a comparison shares. */
export const COMMON_SETTINGS: Readonly<Record<string, string>> = {
  shared_buffers: '512MB',
  max_wal_size: '8GB',
  checkpoint_timeout: '1h',
  max_connections: '50',
};

/** A stock server with `fsync=on`, as a careful user would run it. */
export async function stockPrimary(
  major: PgMajor,
  settings: Readonly<Record<string, string>> = {},
): Promise<StockPostgres> {
  const server = StockPostgres.create({ major, settings: { ...COMMON_SETTINGS, fsync: 'on', ...settings } });
  await server.start();
  return server;
}

/** A stock standby of `primary`, which is stopped, copied, made to wait for the standby at each commit, and started again. */
export async function addSynchronousStandby(primary: StockPostgres): Promise<StockPostgres> {
  await primary.stop();
  const folder = join(dirname(primary.dataDirectory), 'standby');
  cpSync(primary.dataDirectory, folder, { recursive: true, preserveTimestamps: true });
  rmSync(join(folder, 'postmaster.opts'), { force: true });
  appendFileSync(join(primary.dataDirectory, 'postgresql.conf'), "synchronous_standby_names = 'standby'\n");
  await primary.start();
  appendFileSync(
    join(folder, 'postgresql.conf'),
    `primary_conninfo = 'host=127.0.0.1 port=${primary.port} user=postgres application_name=standby'\n`,
  );
  writeFileSync(join(folder, 'standby.signal'), '');
  chownTree(folder, unprivilegedUser());
  const standby = StockPostgres.create({ major: primary.major, dataDirectory: folder });
  await standby.start();
  return standby;
}
