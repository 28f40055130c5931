import type { Lsn, SystemId, TimelineId } from '@zenith/base';
import type { Page, PgMajor } from '@zenith/pg-format';
import type { CommitTime } from '../commit-times/commit-time.ts';
import type { ObjectId } from '../key-space/object-table.ts';
import type { ObjectKind } from '../key-space/object.ts';
import type { ValueKind } from '../key-space/value.ts';
import type { ScanPrefix, ScanVisit } from '../timeline/scan.ts';

/** What ingest needs of a timeline: to put values, and to look at what is there. A timeline is one; so is anything else that keeps values. */
export interface IngestTarget {
  readonly timeline: TimelineId;
  readonly pgMajor: PgMajor;
  /** Everything up to here has been put. */
  readonly lastRecordLsn: Lsn;
  /** The small integer that stands for an object in this process. */
  intern(kind: ObjectKind, spc: number, db: number, rel: number, fork: number): ObjectId;
  /** Adds a value above lastRecordLsn; `bytes` are copied, faster with a `view` over exactly them. LSNs never go back. It cannot be read before {@link advance}. */
  put(
    object: ObjectId,
    block: number,
    lsn: Lsn,
    kind: ValueKind,
    bytes: Uint8Array,
    offset: number,
    length: number,
    view?: DataView,
  ): void;
  /** The record that ends at `lsn` commits a transaction, and nothing is wrong with it: it is not abandoned any more. Commits come in the order of the WAL. */
  noteCommit(lsn: Lsn, time: CommitTime): void;
  /** Everything up to `lsn`, the end of a record, has been put. Not to be called in the middle of a record. */
  advance(lsn: Lsn): void;
  /** The record that was being put is given up: what was put above `lsn`, the end of the last whole record, is taken back, and everything up to there has been put. */
  abandon(lsn: Lsn): void;
  /** The content of a small object at `lsn`, at most lastRecordLsn: undefined when it never was, empty when it is gone. */
  readSmall(object: ObjectId, lsn: Lsn): Uint8Array | undefined;
  /** Visits every small object of a kind that exists at `lsn`, at most lastRecordLsn; the content is borrowed. */
  scan(kind: ObjectKind, lsn: Lsn, visit: ScanVisit, prefix?: ScanPrefix): void;
  /** Rebuilds a page as of `lsn`, at most lastRecordLsn. It may have to be fetched, see {@link fetching}. */
  readPage(object: ObjectId, block: number, lsn: Lsn, page: Page): void;
  /** Runs a read, or what reads, again from its beginning when what it needs had to be fetched. */
  fetching<T>(read: () => T | Promise<T>): Promise<T>;
}

/** What is known of the WAL that is to be followed. */
export interface WalOptions {
  /** System identifier every segment must carry; not checked when it is left out. */
  readonly systemId?: SystemId;
  /** Unit: bytes. */
  readonly segmentSize?: number;
}
