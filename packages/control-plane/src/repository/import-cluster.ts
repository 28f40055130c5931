import type { Lsn, SystemId, TenantId, TimelineId } from '@zenith/base';
import type { PgMajor } from '@zenith/pg-format';
import * as v from 'valibot';
import { ControlPlaneError } from '../errors.ts';
import { lsnText, pgMajor } from '../metadata/records.ts';
import { runServiceCommand } from '../nodes/run-command.ts';

/** Importing a fresh cluster takes a second or two. Unit: milliseconds. */
const IMPORT_TIMEOUT_MS = 300_000;

/** Unit: bytes. */
const IMPORT_OUTPUT_MAX = 1024 * 1024;

/** What `pageserver bootstrap` prints, on its last line, when it has imported a cluster. */
const bootstrapSchema = v.object({
  pgMajor,
  systemId: v.pipe(
    v.string(),
    v.digits(),
    v.transform((text) => text as SystemId),
  ),
  lsn: lsnText,
});

/** What is imported, as what. */
export interface ClusterImport {
  /** The pageserver's data directory; the pageserver does not run. */
  readonly dataDir: string;
  readonly tenant: TenantId;
  readonly timeline: TimelineId;
  /** A cleanly shut down PostgreSQL data directory. */
  readonly pgdata: string;
  readonly signal: AbortSignal | undefined;
}

/** The imported cluster. */
export interface ImportedCluster {
  readonly pgMajor: PgMajor;
  readonly systemId: SystemId;
  /** The end of its shutdown checkpoint: where the timeline begins. */
  readonly startLsn: Lsn;
}

/**
 * Imports a cluster into the pageserver's data directory, by the pageserver's own importer in a process of its own.
 * @throws ControlPlaneError `import-failed`, `interrupted`
 */
export async function importCluster({
  dataDir,
  tenant,
  timeline,
  pgdata,
  signal,
}: ClusterImport): Promise<ImportedCluster> {
  const line = await runServiceCommand({
    service: 'pageserver',
    args: ['bootstrap', '--data-dir', dataDir, '--tenant', tenant, '--timeline', timeline, '--pgdata', pgdata],
    timeoutMs: IMPORT_TIMEOUT_MS,
    outputMax: IMPORT_OUTPUT_MAX,
    signal,
    failure: { code: 'import-failed', what: 'the pageserver could not import the new cluster' },
  });
  try {
    const { lsn, ...rest } = v.parse(bootstrapSchema, JSON.parse(line));
    return { ...rest, startLsn: lsn };
  } catch (error) {
    throw new ControlPlaneError('import-failed', `the pageserver imported the new cluster, but said '${line}'`, {
      cause: error,
    });
  }
}
