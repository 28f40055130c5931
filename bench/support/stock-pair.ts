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
  const [standby] = await addStandbys(primary, ['standby'], 'standby');
  if (standby === undefined) throw new Error('one standby was asked for');
  return standby;
}

/** Three stock standbys of `primary`, two of which, whichever, have to have a commit on their disks; the primary is stopped, copied and started again. */
export function addQuorumOfStandbys(primary: StockPostgres): Promise<StockPostgres[]> {
  return addStandbys(primary, ['standby_1', 'standby_2', 'standby_3'], 'ANY 2 (standby_1, standby_2, standby_3)');
}

async function addStandbys(
  primary: StockPostgres,
  names: readonly string[],
  synchronous: string,
): Promise<StockPostgres[]> {
  await primary.stop();
  const folders = names.map((name) => join(dirname(primary.dataDirectory), name));
  for (const folder of folders) {
    cpSync(primary.dataDirectory, folder, { recursive: true, preserveTimestamps: true });
    rmSync(join(folder, 'postmaster.opts'), { force: true });
  }
  appendFileSync(join(primary.dataDirectory, 'postgresql.conf'), `synchronous_standby_names = '${synchronous}'\n`);
  await primary.start();
  const standbys: StockPostgres[] = [];
  for (const [index, folder] of folders.entries()) {
    appendFileSync(
      join(folder, 'postgresql.conf'),
      `primary_conninfo = 'host=127.0.0.1 port=${primary.port} user=postgres application_name=${names[index]}'\n`,
    );
    writeFileSync(join(folder, 'standby.signal'), '');
    chownTree(folder, unprivilegedUser());
    const standby = StockPostgres.create({ major: primary.major, dataDirectory: folder });
    standbys.push(standby);
    await standby.start();
  }
  return standbys;
}
