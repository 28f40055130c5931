import { spawnSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { StockPostgres, chownTree, temporaryDirectory, unprivilegedUser } from '@zenith/testing';
import { lastRecovery, type Recovery } from '../support/recovery.ts';
import type { Workload } from './workloads.ts';

const MAJOR = 18;

/** No page is written between the base and the crash, so that both replays begin with the same pages. */
const SETTINGS = {
  wal_keep_size: '20GB',
  max_wal_size: '20GB',
  checkpoint_timeout: '1h',
  full_page_writes: 'off',
  autovacuum: 'off',
  synchronous_commit: 'off',
  shared_buffers: '1GB',
  bgwriter_lru_maxpages: '0',
};

/** A crash recovery and where the recovered server's data directory is, shut down. */
export interface RecoveredServer extends Recovery {
  readonly recovered: string;
}

/** A stock server that crashed after a workload. */
export interface CrashedServer {
  readonly pgMajor: 18;
  /** The data directory as it was before the workload, shut down cleanly. */
  readonly base: string;
  /** Where the WAL is that the workload wrote. */
  readonly walDirectory: string;
  /** Lets a stock server recover from the crash and stops it. Every call recovers a copy of its own, in the place of the one before. */
  recover(): Promise<RecoveredServer>;
  remove(): Promise<void>;
}

/** Runs a workload on a new stock server and kills it. */
export async function crashedServer(workload: Workload): Promise<CrashedServer> {
  const server = StockPostgres.create({ major: MAJOR, settings: SETTINGS });
  const directory = temporaryDirectory('zenith-bench-');
  const remove = async (): Promise<void> => {
    await server.remove();
    directory.remove();
  };
  try {
    const base = join(directory.path, 'base');
    await server.start();
    await workload.prepare(server);
    await server.query('checkpoint');
    await server.stop();
    cpSync(server.dataDirectory, base, { recursive: true, filter: (source) => !/pg_wal\/./.test(source) });
    await server.start();
    await workload.run(server);
    await server.query('select pg_switch_wal()');
    await server.kill();
    return {
      pgMajor: MAJOR,
      base,
      walDirectory: join(server.dataDirectory, 'pg_wal'),
      recover: () => recover(server.dataDirectory, join(directory.path, 'recovery')),
      remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function recover(crashed: string, folder: string): Promise<RecoveredServer> {
  const recovered = join(folder, 'data');
  rmSync(folder, { recursive: true, force: true });
  cpSync(crashed, recovered, { recursive: true, preserveTimestamps: true });
  rmSync(join(recovered, 'postmaster.pid'), { force: true });
  chownTree(folder, unprivilegedUser());
  spawnSync('sync'); // what was copied is not written back while the recovery is timed
  const server = StockPostgres.create({ major: MAJOR, dataDirectory: recovered });
  await server.start();
  await server.stop();
  spawnSync('sync'); // nor what the server wrote while the caller times something
  return { ...lastRecovery(readFileSync(join(folder, 'postgres.log'), 'utf8')), recovered };
}
