import { ZenithError } from '@zenith/base';

/**
 * Expected failures of the storage engine.
 *
 * - `no-such-timeline`: no timeline of that tenant and id is here.
 * - `timeline-exists`: the id is taken, by a timeline that is not what was asked for.
 * - `timeline-has-branches`: a timeline that others share history of cannot be removed.
 * - `lsn-outside-history`: a branch point below the history that is kept of the ancestor.
 * - `lsn-not-available`: the LSN is not ingested (yet, or in time), or lies below the history that is kept.
 * - `time-before-history`: the time lies before the history that is kept.
 * - `time-after-last-commit`: the time lies after the last commit that is known.
 * - `no-such-block`: the page does not exist at that LSN.
 * - `history-needed`: history cannot be dropped while a timeline that may need it cannot be opened, or leases cannot be read.
 * - `too-many-leases`: a timeline has as many leases as it can have.
 * - `too-many-waiters`: more readers wait for WAL than the option allows.
 * - `page-history-too-long`: a page cannot be rebuilt within the bound on what one rebuild may read.
 * - `layer-absent`: a layer that the read needs is only in remote storage yet, or damaged here and not to be had from there now.
 * - `closing`: the store is being closed.
 */
export type StorageErrorCode =
  | 'no-such-timeline'
  | 'timeline-exists'
  | 'timeline-has-branches'
  | 'lsn-outside-history'
  | 'lsn-not-available'
  | 'time-before-history'
  | 'time-after-last-commit'
  | 'no-such-block'
  | 'history-needed'
  | 'too-many-leases'
  | 'too-many-waiters'
  | 'page-history-too-long'
  | 'layer-absent'
  | 'closing';

/** An expected failure of the storage engine. */
export class StorageError extends ZenithError<StorageErrorCode> {
  override readonly name = 'StorageError';
}
