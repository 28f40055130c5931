import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { formatLsn, type TenantId, type TimelineId } from '@zenith/base';
import { PidFile } from '@zenith/service';
import { inspectCluster } from '../import/cluster.ts';
import { importCluster, type ImportProgress } from '../import/import-cluster.ts';
import { CONFIGURATION_FILE, readOptions, storageOptions } from '../options.ts';
import { TimelineStore } from '../timeline/timeline-store.ts';
import { PID_FILE } from './pageserver.ts';

/** What is imported, and as what. */
export interface BootstrapOptions {
  readonly dataDirectory: string;
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** A PostgreSQL data directory that was shut down cleanly. */
  readonly pgdata: string;
}

/** What was imported; the LSN as text. */
export interface BootstrapResult {
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  readonly pgMajor: number;
  readonly systemId: string;
  readonly lsn: string;
}

/**
 * Imports a data directory as a new timeline of a pageserver that does not run. All or nothing: when it fails, there is no timeline.
 * @throws PageserverError `not-a-data-directory`, `not-shut-down`, `unsupported-cluster`, `invalid-configuration`; ServiceError `data-directory-in-use`; StorageError `timeline-exists`; CorruptionError; what the file system
 *   throws
 */
export async function bootstrap(
  options: BootstrapOptions,
  onProgress: (progress: ImportProgress) => void,
): Promise<BootstrapResult> {
  const { dataDirectory, tenant, timeline, pgdata } = options;
  const cluster = inspectCluster(pgdata);
  mkdirSync(dataDirectory, { recursive: true });
  const storage = existsSync(join(dataDirectory, CONFIGURATION_FILE)) ? storageOptions(readOptions(dataDirectory)) : {};
  const pidFile = PidFile.acquire(join(dataDirectory, PID_FILE));
  try {
    const store = TimelineStore.open(dataDirectory, { options: storage });
    try {
      const load = store.importTimeline({ tenant, timeline, pgMajor: cluster.pgMajor, initialLsn: cluster.lsn });
      try {
        await importCluster(cluster, load.writer, onProgress);
        await load.finish();
      } catch (error) {
        load.abandon();
        throw error;
      }
    } finally {
      await store.close();
    }
  } finally {
    pidFile.release();
  }
  return { tenant, timeline, pgMajor: cluster.pgMajor, systemId: cluster.systemId, lsn: formatLsn(cluster.lsn) };
}
