import { ZenithError } from '@zenith/base';

/**
 * Expected failures of the pageserver around its storage engine.
 *
 * - `invalid-configuration`: pageserver.json is missing or does not fit its schema.
 * - `address-unavailable`: a port is taken, or an address cannot be listened on.
 * - `not-imported`: a timeline has no cluster in it.
 * - `not-a-data-directory`, `not-shut-down`, `unsupported-cluster`: what is to be imported is none, is in use or crashed, or is of a kind that cannot be imported.
 * - `bad-request`: a request over HTTP that does not fit its schema.
 * - `wal-source-failed`: the WAL of a timeline cannot be had, or not be followed.
 * - `superseded`: in remote storage a timeline belongs to a pageserver with a newer generation.
 * - `remote-diverged`: remote storage has more of a timeline than the local disk, from another data directory.
 */
export type PageserverErrorCode =
  | 'invalid-configuration'
  | 'address-unavailable'
  | 'not-imported'
  | 'not-a-data-directory'
  | 'not-shut-down'
  | 'unsupported-cluster'
  | 'bad-request'
  | 'wal-source-failed'
  | 'superseded'
  | 'remote-diverged';

/** An expected failure of the pageserver; its code says which. */
export class PageserverError extends ZenithError<PageserverErrorCode> {
  override readonly name = 'PageserverError';
}
