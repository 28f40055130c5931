/** Record type of RM_XLOG_ID. PG: pg_control.h. */
export const XLOG_CHECKPOINT_SHUTDOWN = 0x00;
/** Record type of RM_XLOG_ID. PG: pg_control.h. */
export const XLOG_CHECKPOINT_ONLINE = 0x10;
/** Record type of RM_XLOG_ID. PG: pg_control.h. */
export const XLOG_NOOP = 0x20;
/** Record type of RM_XLOG_ID: oids up to the u32 in the main data may be used. PG: pg_control.h. */
export const XLOG_NEXTOID = 0x30;
/** Record type of RM_XLOG_ID: the rest of the WAL segment is unused. PG: pg_control.h. */
export const XLOG_SWITCH = 0x40;
/** Record type of RM_XLOG_ID. PG: pg_control.h. */
export const XLOG_BACKUP_END = 0x50;
/** Record type of RM_XLOG_ID: settings that a standby must match. PG: pg_control.h, xl_parameter_change. */
export const XLOG_PARAMETER_CHANGE = 0x60;
/** Record type of RM_XLOG_ID. PG: pg_control.h. */
export const XLOG_RESTORE_POINT = 0x70;
/** Record type of RM_XLOG_ID. PG: pg_control.h. */
export const XLOG_FPW_CHANGE = 0x80;
/** Record type of RM_XLOG_ID. PG: pg_control.h. */
export const XLOG_END_OF_RECOVERY = 0x90;
/** Record type of RM_XLOG_ID: full-page images because of hint bits. PG: pg_control.h. */
export const XLOG_FPI_FOR_HINT = 0xa0;
/** Record type of RM_XLOG_ID: full-page images. PG: pg_control.h. */
export const XLOG_FPI = 0xb0;
/** Record type of RM_XLOG_ID: names the record whose continuation was lost and overwritten. PG: pg_control.h. */
export const XLOG_OVERWRITE_CONTRECORD = 0xd0;
/** Record type of RM_XLOG_ID: the redo point of an online checkpoint. PG 17: pg_control.h. */
export const XLOG_CHECKPOINT_REDO = 0xe0;
