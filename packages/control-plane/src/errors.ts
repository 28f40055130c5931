import { ZenithError } from '@zenith/base';

/**
 * Every expected failure of the control plane. Stable: programs see them as `error.code` in the output of `zenith --json`.
 *
 * - `no-repository` no `.zenith` in this folder or above; `repository-exists` there is one where a new one was asked for
 * - `repository-invalid` config.json or metadata.json is not what this version writes
 * - `invalid-name`, `invalid-start`, `invalid-setting`, `invalid-option` an argument has no meaning
 * - `branch-exists`, `no-such-branch`, `no-such-lease`, `no-such-timeline`, `endpoint-exists`, `no-such-endpoint`, `no-such-relation`
 * - `branch-protected`, `branch-has-branches`, `branch-has-no-parent` keep a branch as it is
 * - `no-such-safekeeper`, `last-safekeeper` it cannot be removed; `members-changing` another change has begun and is to be ended first
 * - `lsn-in-future`, `lsn-before-start` the LSN lies outside of the branch's own history
 * - `invalid-time` a text is no point in time; `time-before-history`, `time-after-last-commit` no commit of the branch answers for it
 * - `endpoint-running` what was asked for needs it stopped; `branch-in-use` another endpoint runs on the branch
 * - `port-taken`, `no-free-port`
 * - `not-running` a service that is needed is down; `service-failed` it did not start, or died; `service-timeout` it did not answer in time;
 *   `service-refused` it answered with an error
 * - `busy` another command works on the same thing; `conflict` it changed meanwhile; `interrupted` by a signal
 * - `auth-off` the repository asks for no tokens; `tls-off` its connections are plain; `no-such-key`; `key-signs` the key cannot be revoked while it signs new tokens
 * - `initdb-failed`, `import-failed`, `postgres-not-found` during `zenith init`
 * - `system` the operating system refused (disk full, permission, …)
 */
export type ControlPlaneErrorCode =
  | 'no-repository'
  | 'repository-exists'
  | 'repository-invalid'
  | 'invalid-name'
  | 'invalid-start'
  | 'invalid-setting'
  | 'invalid-option'
  | 'branch-exists'
  | 'no-such-branch'
  | 'no-such-lease'
  | 'no-such-timeline'
  | 'endpoint-exists'
  | 'no-such-endpoint'
  | 'no-such-relation'
  | 'branch-protected'
  | 'branch-has-branches'
  | 'branch-has-no-parent'
  | 'no-such-safekeeper'
  | 'last-safekeeper'
  | 'members-changing'
  | 'lsn-in-future'
  | 'lsn-before-start'
  | 'invalid-time'
  | 'time-before-history'
  | 'time-after-last-commit'
  | 'endpoint-running'
  | 'branch-in-use'
  | 'port-taken'
  | 'no-free-port'
  | 'not-running'
  | 'service-failed'
  | 'service-timeout'
  | 'service-refused'
  | 'busy'
  | 'conflict'
  | 'interrupted'
  | 'auth-off'
  | 'tls-off'
  | 'no-such-key'
  | 'key-signs'
  | 'initdb-failed'
  | 'import-failed'
  | 'postgres-not-found'
  | 'system';

/** An expected failure of the control plane: one line for a person, a code for programs. */
export class ControlPlaneError extends ZenithError<ControlPlaneErrorCode> {
  override readonly name = 'ControlPlaneError';
}

/** The message of anything thrown, on one line. */
export function oneLine(thrown: unknown): string {
  return (thrown instanceof Error ? thrown.message : String(thrown)).trim().replaceAll(/\s*\n\s*/g, '; ');
}

/** True when `thrown` is an error of the operating system with this code, such as `ENOENT`. */
export function isSystemError(thrown: unknown, code: string): boolean {
  return thrown instanceof Error && (thrown as NodeJS.ErrnoException).code === code;
}

/** @throws ControlPlaneError `interrupted` when the signal was given */
export function throwIfInterrupted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw new ControlPlaneError('interrupted', 'interrupted');
}
