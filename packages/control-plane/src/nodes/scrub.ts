import * as v from 'valibot';
import { ControlPlaneError } from '../errors.ts';
import type { Repository } from '../repository/repository.ts';
import { runServiceCommand } from './run-command.ts';

/** Reading all layers takes as long as downloading them. Unit: milliseconds. */
const SCRUB_TIMEOUT_MS = 24 * 3600 * 1000;

/** A report names every orphan, with keys of 200 characters. Unit: bytes. */
const REPORT_BYTES_MAX = 256 * 1024 * 1024;

const problem = { key: v.string(), message: v.string() };

/** `lsn`: where the WAL in the object is not valid, as text; null when that is not what is wrong. */
const corruptObject = v.object({ ...problem, lsn: v.optional(v.nullable(v.string()), null) });

const scrubReport = v.object({
  timelines: v.number(),
  objects: v.number(),
  bytes: v.number(),
  missing: v.array(v.object(problem)),
  corrupt: v.array(corruptObject),
  orphans: v.array(v.object({ key: v.string(), bytes: v.number(), removable: v.boolean() })),
  foreign: v.array(v.string()),
  deleted: v.array(v.string()),
});

/** What was found in remote storage. */
export type ScrubReport = v.InferOutput<typeof scrubReport>;

/** How to look at remote storage. */
export interface ScrubRequest {
  /** Compares lengths, not checksums. */
  readonly quick: boolean;
  /** Removes objects that no index names and nobody can come to name. */
  readonly deleteOrphans: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** What the safekeepers' program says of archived WAL. */
const archiveReport = v.object({
  ...scrubReport.entries,
  orphans: v.array(v.object({ key: v.string(), bytes: v.number() })),
  deleted: v.optional(v.array(v.string()), []),
});

/**
 * Compares the indexes and the archived WAL in the repository's remote storage with what is there, and decodes that WAL; the services may run or not.
 * @throws ControlPlaneError `service-failed` when remote storage does not answer; `interrupted`
 */
export async function scrubRemoteStorage(repository: Repository, request: ScrubRequest): Promise<ScrubReport> {
  const layers = await scrubPart(repository, request, 'pageserver', scrubReport);
  const { orphans, ...wal } = await scrubPart(
    repository,
    { ...request, deleteOrphans: false },
    'safekeeper',
    archiveReport,
  );
  return {
    timelines: layers.timelines,
    objects: layers.objects + wal.objects,
    bytes: layers.bytes + wal.bytes,
    missing: [...layers.missing, ...wal.missing],
    corrupt: [...layers.corrupt, ...wal.corrupt],
    // A safekeeper may be about to describe it.
    orphans: [...layers.orphans, ...orphans.map((orphan) => ({ ...orphan, removable: false }))],
    foreign: [...layers.foreign, ...wal.foreign],
    deleted: layers.deleted,
  };
}

async function scrubPart<Schema extends v.GenericSchema>(
  { config, layout }: Repository,
  { quick, deleteOrphans, signal }: ScrubRequest,
  service: 'pageserver' | 'safekeeper',
  schema: Schema,
): Promise<v.InferOutput<Schema>> {
  const line = await runServiceCommand({
    service,
    args: [
      'scrub',
      '--location',
      config.remoteStorage ?? layout.remoteStorage,
      ...(quick ? ['--quick'] : []),
      ...(deleteOrphans ? ['--delete-orphans'] : []),
    ],
    timeoutMs: SCRUB_TIMEOUT_MS,
    outputMax: REPORT_BYTES_MAX,
    signal,
    failure: { code: 'service-failed', what: 'remote storage could not be looked at' },
  });
  try {
    return v.parse(schema, JSON.parse(line));
  } catch (error) {
    throw new ControlPlaneError('service-failed', `the scrubber said something that is no report`, { cause: error });
  }
}
