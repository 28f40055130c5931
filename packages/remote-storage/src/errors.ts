import { ZenithError } from '@zenith/base';

/**
 * Expected failures of remote storage.
 *
 * - `not-found`: there is no object of that key.
 * - `already-exists`: a put that wanted no object of that key found one. After a lost response it may be the caller's own.
 * - `unavailable`: the storage did not answer, or said that it cannot now, as often as it was asked. Later may do.
 * - `refused`: the storage answered that it will not: credentials, permissions, a bucket that does not exist.
 * - `invalid-location`: what was given as the place of remote storage is none.
 */
export type RemoteStorageErrorCode = 'not-found' | 'already-exists' | 'unavailable' | 'refused' | 'invalid-location';

/** An expected failure of remote storage; its code says which. */
export class RemoteStorageError extends ZenithError<RemoteStorageErrorCode> {
  override readonly name = 'RemoteStorageError';
}
