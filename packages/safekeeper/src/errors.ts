import { ZenithError } from '@zenith/base';

/**
 * Every expected failure of a safekeeper.
 * - `configuration-invalid`: safekeeper.json is missing, not JSON, or says what the schema does not allow
 * - `bad-request`: a request over HTTP says what it must not
 * - `listen-failed`: an address cannot be listened on
 * - `timeline-refused`: a timeline cannot be created as the proposer describes it
 * - `timeline-broken`: the timeline's files are damaged, or a write failed: nothing more is accepted for it until a restart
 * - `disk-full`: the disk has no room, or is mounted read-only: nothing more is accepted for the timeline until it takes writes again, and then it goes on by itself
 * - `wal-not-here`: the WAL asked for lies before what is kept
 * - `peer-unavailable`: another safekeeper that is needed does not answer, or not as it should
 */
export type SafekeeperErrorCode =
  | 'configuration-invalid'
  | 'bad-request'
  | 'listen-failed'
  | 'timeline-refused'
  | 'timeline-broken'
  | 'disk-full'
  | 'wal-not-here'
  | 'peer-unavailable';

/** An expected failure of a safekeeper; its code says which. */
export class SafekeeperError extends ZenithError<SafekeeperErrorCode> {
  override readonly name = 'SafekeeperError';
}
