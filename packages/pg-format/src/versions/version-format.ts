import type { PgMajor } from '../version.ts';

/** What differs between PostgreSQL majors, as one table of constants each; code asks the table, never the number. */
export interface VersionFormat {
  /** The major this table is for. */
  readonly major: PgMajor;
  /** Magic number of a WAL page. PG: XLOG_PAGE_MAGIC, xlog_internal.h. */
  readonly walPageMagic: number;
  /** Longest xl_tot_len that is accepted. Unit: bytes. PG 16: XLogRecordMaxSize, xlogrecord.h; before it palloc's limit, 1 GiB. */
  readonly walRecordLengthMax: number;
  /** PG: PG_CONTROL_VERSION, pg_control.h. */
  readonly pgControlVersion: number;
  /** The catalog version of the released major. PG: CATALOG_VERSION_NO, catversion.h. */
  readonly catalogVersion: number;
  /** Where the mock authentication nonce (32 bytes) begins in ControlFileData. Unit: bytes. */
  readonly controlFileNonceOffset: number;
  /** Where the CRC lies in ControlFileData; it covers everything before it. Unit: bytes. */
  readonly controlFileCrcOffset: number;
  /** True when the control file says whether `char` is signed. PG 18. */
  readonly controlFileHasCharSignedness: boolean;
  /** True when a CheckPoint carries the wal_level. PG 17. */
  readonly checkPointHasWalLevel: boolean;
  /** True when an online checkpoint logs XLOG_CHECKPOINT_REDO at its redo point. PG 17. */
  readonly hasCheckpointRedoRecord: boolean;
  /** Most mappings in a relation map. PG: MAX_MAPPINGS, relmapper.c. */
  readonly relationMapEntriesMax: number;
  /** Size of a relation map file. Unit: bytes. PG: sizeof(RelMapFile). */
  readonly relationMapLength: number;
  /** Hexadecimal digits in the name of a two-phase state file: the xid, or with 17 the full transaction id. PG: twophase.c. */
  readonly twoPhaseNameLength: 8 | 16;
  /** Size of one dropped-statistics item in commit, abort and prepare records. Unit: bytes. PG: xl_xact_stats_item, xact.h. */
  readonly xactStatsItemLength: 12 | 16;
  /** How wide a page number of an SLRU is in WAL records. Unit: bytes. PG 17: int64, slru.h. */
  readonly slruPageNumberLength: 4 | 8;
  /** True when there is a directory pg_wal/summaries. PG 17. */
  readonly hasWalSummaries: boolean;
  /** True when initdb makes a cluster with data checksums unless told otherwise. PG 18. */
  readonly dataChecksumsByDefault: boolean;
  /** Version in the name of a tablespace's directory, `PG_<major>_<catalog version>`. PG: TABLESPACE_VERSION_DIRECTORY, relpath.h. */
  readonly tablespaceDirectory: string;
}
