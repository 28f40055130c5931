import { execFile } from 'node:child_process';
import type { Lsn, SystemId, TenantId, TimelineId } from '@zenith/base';
import type { PgMajor } from '@zenith/pg-format';
import * as v from 'valibot';
import { ControlPlaneError, oneLine } from '../errors.ts';
import { lsnText, pgMajor } from '../metadata/records.ts';
import { serviceEntryPoint } from '../nodes/entry-points.ts';

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
  const args = [
    serviceEntryPoint('pageserver'),
    'bootstrap',
    '--data-dir',
    dataDir,
    '--tenant',
    tenant,
    '--timeline',
    timeline,
    '--pgdata',
    pgdata,
  ];
  const output = await new Promise<string>((done, failed) => {
    const options = {
      encoding: 'utf8',
      timeout: IMPORT_TIMEOUT_MS,
      maxBuffer: IMPORT_OUTPUT_MAX,
      killSignal: 'SIGKILL',
      ...(signal === undefined ? {} : { signal }),
    } as const;
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      if (error === null) done(stdout);
      else if (signal?.aborted === true) failed(new ControlPlaneError('interrupted', 'interrupted'));
      else
        failed(
          new ControlPlaneError(
            'import-failed',
            `the pageserver could not import the new cluster: ${lastLine(stderr) ?? lastLine(stdout) ?? oneLine(error)}`,
            { cause: error },
          ),
        );
    });
  });
  const line = lastLine(output) ?? '';
  try {
    const { lsn, ...rest } = v.parse(bootstrapSchema, JSON.parse(line));
    return { ...rest, startLsn: lsn };
  } catch (error) {
    throw new ControlPlaneError('import-failed', `the pageserver imported the new cluster, but said '${line}'`, {
      cause: error,
    });
  }
}

function lastLine(text: string): string | undefined {
  const line = text.trimEnd().split('\n').at(-1)?.trim();
  return line === undefined || line === '' ? undefined : line;
}
