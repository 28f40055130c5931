import { ZenithError } from '@zenith/base';

/**
 * Every expected failure of this package.
 * - `postgres-not-found`: no PostgreSQL of that major version here
 * - `postgres-unusable`: a PostgreSQL was found, but it cannot be run as it is
 * - `os-user`: no OS user to run PostgreSQL as
 * - `unreachable-directory`: that OS user cannot get to a folder it needs
 * - `initdb-failed`: initdb exited with an error
 * - `invalid-config`: compute.json cannot be used
 * - `reserved-setting`: a setting the compute needs for itself was given another value
 * - `port-taken`: somebody else listens on the compute's port
 * - `already-running`: processes of an earlier PostgreSQL still live
 * - `safekeepers-unreachable`: no quorum of safekeepers answered in time
 * - `fenced`: a later compute of the same branch took over
 * - `pageserver-unavailable`: the pageserver did not answer, or has not ingested the start LSN in time
 * - `snapshot-mismatch`: the pageserver's snapshot is of another timeline, version or LSN than this compute needs
 * - `interrupted`: the compute was told to stop while it was starting
 * - `postgres-exited`: PostgreSQL stopped by itself
 * - `replication-lost`: PostgreSQL no longer streams its WAL to the proposer
 * - `wal-unavailable`: neither this compute nor a safekeeper has WAL that is needed
 * - `wal-lost`: the safekeepers' WAL ends before what the pageserver has ingested, or before a branch begins: they have lost what was committed
 */
export type ComputeErrorCode =
  | 'postgres-not-found'
  | 'postgres-unusable'
  | 'os-user'
  | 'unreachable-directory'
  | 'initdb-failed'
  | 'invalid-config'
  | 'reserved-setting'
  | 'port-taken'
  | 'already-running'
  | 'safekeepers-unreachable'
  | 'fenced'
  | 'pageserver-unavailable'
  | 'snapshot-mismatch'
  | 'interrupted'
  | 'postgres-exited'
  | 'replication-lost'
  | 'wal-unavailable'
  | 'wal-lost';

/** An expected failure of a compute; its code says which. */
export class ComputeError extends ZenithError<ComputeErrorCode> {
  override readonly name = 'ComputeError';
}

/** The message of whatever was thrown, for the one line a person reads. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The system error code (`ENOENT`, …) of whatever was thrown, if it has one. */
export function systemCodeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
