/**
 * The key space of a timeline. A key is (object, block). An object is what has blocks and a size: a fork of a relation, a segment of an SLRU, or
 * one of the small values a cluster keeps beside them (each a single block 0 of free length).
 *
 *   stored key, 22 bytes, big-endian so that bytes sort as keys do:
 *     kind u8 @0 | spc u32 @1 | db u32 @5 | rel u32 @9 | fork u8 @13 | block u32 @14 | 4 bytes reserved, zero @18
 */
export const ObjectKind = {
  /** Pages of a relation fork: (spc, db, rel, fork), block = block number. Forks main, vm and init only; the FSM is not kept. */
  relation: 0,
  /** Size of a relation fork in blocks: (spc, db, rel, fork), block 0, value u32, or empty when the fork does not exist (any more). */
  relationSize: 1,
  /** Pages of an SLRU segment: (spc = SlruKind, db 0, rel = segment number, fork 0), block = page within the segment, 0–31. */
  slru: 2,
  /** Size of an SLRU segment in pages: key as `slru`, block 0, value u32, or empty when truncated away. */
  slruSize: 3,
  /** Content of a pg_filenode.map: (spc, db); (1664, 0) is the shared one. */
  relationMap: 4,
  /** A database directory: (spc, db); value = content of its PG_VERSION file, empty when dropped. */
  database: 5,
  /** A tablespace: (spc); value = its location in UTF-8, one zero byte when it is in place, empty when dropped. */
  tablespace: 6,
  /** Two-phase state: (spc = high, db = low word of the full transaction id; high is 0 below 17); value = file content, empty when finished. */
  twoPhase: 7,
  /** The cluster's counters: one value, an 88-byte CheckPoint (pg_control.h). */
  checkpoint: 8,
  /** The cluster's pg_control as imported, with parameter changes since; one value. */
  controlFile: 9,
  /** Replication origin progress: (spc = origin id); value = remote LSN u64, local LSN u64; empty when dropped. */
  replicationOrigin: 10,
  /** When the timeline's transactions were committed: one key, each of its values a batch of commits (commit-times/commit-batch.ts), stored at or after the last of them. */
  commitTimes: 11,
} as const;

/** One of {@link ObjectKind}. */
export type ObjectKind = (typeof ObjectKind)[keyof typeof ObjectKind];

/** Which SLRU an object of kind `slru` belongs to. */
export const SlruKind = { clog: 0, multixactOffsets: 1, multixactMembers: 2, commitTs: 3 } as const;

/** One of {@link SlruKind}. */
export type SlruKind = (typeof SlruKind)[keyof typeof SlruKind];
