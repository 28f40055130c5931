/** Resource manager: WAL itself, checkpoints, full-page images. PG: rmgrlist.h. */
export const RM_XLOG_ID = 0;
/** Resource manager: transactions. PG: rmgrlist.h. */
export const RM_XACT_ID = 1;
/** Resource manager: creation and truncation of relation files. PG: rmgrlist.h. */
export const RM_SMGR_ID = 2;
/** Resource manager: commit log. PG: rmgrlist.h. */
export const RM_CLOG_ID = 3;
/** Resource manager: databases. PG: rmgrlist.h. */
export const RM_DBASE_ID = 4;
/** Resource manager: tablespaces. PG: rmgrlist.h. */
export const RM_TBLSPC_ID = 5;
/** Resource manager: multixacts. PG: rmgrlist.h. */
export const RM_MULTIXACT_ID = 6;
/** Resource manager: relation maps. PG: rmgrlist.h. */
export const RM_RELMAP_ID = 7;
/** Resource manager: hot standby support. PG: rmgrlist.h. */
export const RM_STANDBY_ID = 8;
/** Resource manager: heap, second set of records. PG: rmgrlist.h. */
export const RM_HEAP2_ID = 9;
/** Resource manager: heap. PG: rmgrlist.h. */
export const RM_HEAP_ID = 10;
/** Resource manager: btree indexes. PG: rmgrlist.h. */
export const RM_BTREE_ID = 11;
/** Resource manager: hash indexes. PG: rmgrlist.h. */
export const RM_HASH_ID = 12;
/** Resource manager: GIN indexes. PG: rmgrlist.h. */
export const RM_GIN_ID = 13;
/** Resource manager: GiST indexes. PG: rmgrlist.h. */
export const RM_GIST_ID = 14;
/** Resource manager: sequences. PG: rmgrlist.h. */
export const RM_SEQ_ID = 15;
/** Resource manager: SP-GiST indexes. PG: rmgrlist.h. */
export const RM_SPGIST_ID = 16;
/** Resource manager: BRIN indexes. PG: rmgrlist.h. */
export const RM_BRIN_ID = 17;
/** Resource manager: commit timestamps. PG: rmgrlist.h. */
export const RM_COMMIT_TS_ID = 18;
/** Resource manager: replication origins. PG: rmgrlist.h. */
export const RM_REPLORIGIN_ID = 19;
/** Resource manager: generic page deltas of extensions. PG: rmgrlist.h. */
export const RM_GENERIC_ID = 20;
/** Resource manager: logical decoding messages. PG: rmgrlist.h. */
export const RM_LOGICALMSG_ID = 21;

/** Highest id of a built-in resource manager, 15 to 18. PG: RM_MAX_BUILTIN_ID, rmgr.h. */
export const RM_MAX_BUILTIN_ID = 21;
/** Lowest id an extension's resource manager can have; the highest is 255. PG: rmgr.h. */
export const RM_MIN_CUSTOM_ID = 128;

/** True for the id of a built-in resource manager or of an extension's. PG: RmgrIdIsValid(), rmgr.h. */
export function isResourceManagerId(rmid: number): boolean {
  return rmid <= RM_MAX_BUILTIN_ID || rmid >= RM_MIN_CUSTOM_ID;
}
