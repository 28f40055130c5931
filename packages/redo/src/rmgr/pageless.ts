import type { Page, WalRecord } from '@zenith/pg-format';
import { CorruptionError } from '@zenith/base';
import { allWithoutPages } from './no-redo.ts';
import { resourceManager, type ResourceManager } from './resource-manager.ts';

// Resource managers whose records touch no page of a relation. What they do to the commit log, to files and to counters is ingested, not
// redone. Codes: PG 15-18: xact.h, storage_xlog.h, clog.h, dbcommands_xlog.h, tablespace.h, multixact.h, relmapper.h, standbydefs.h,
// commit_ts.h, origin.h, message.h, pg_control.h

/** An image of a page, and no more: restored before any redo routine is asked, so that one that arrives here had none. PG: xlog_redo(). */
function redoFullPageImage(_record: WalRecord, _blockIndex: number, _page: Page): boolean {
  throw new CorruptionError('a full-page image record without the image');
}

/** With full_page_writes off a hint record has no image and changes nothing. PG: xlog_redo(). */
function redoFullPageImageForHint(): boolean {
  return false;
}

const xlogRecords = {
  ...allWithoutPages({
    0x00: 'CHECKPOINT_SHUTDOWN',
    0x10: 'CHECKPOINT_ONLINE',
    0x20: 'NOOP',
    0x30: 'NEXTOID',
    0x40: 'SWITCH',
    0x50: 'BACKUP_END',
    0x60: 'PARAMETER_CHANGE',
    0x70: 'RESTORE_POINT',
    0x80: 'FPW_CHANGE',
    0x90: 'END_OF_RECOVERY',
    0xd0: 'OVERWRITE_CONTRECORD',
  }),
  0xa0: { name: 'FPI_FOR_HINT', redo: redoFullPageImageForHint },
  0xb0: { name: 'FPI', redo: redoFullPageImage },
};

/** XLOG up to 16. */
export const XLOG_15: ResourceManager = resourceManager({ name: 'XLOG', records: xlogRecords });

/** XLOG from 17 on, with the record that marks a checkpoint's redo point. */
export const XLOG_17: ResourceManager = resourceManager({
  name: 'XLOG',
  records: { ...xlogRecords, ...allWithoutPages({ 0xe0: 'CHECKPOINT_REDO' }) },
});

/** Transaction commit, abort, prepare. PG: XLOG_XACT_OPMASK. */
export const TRANSACTION: ResourceManager = resourceManager({
  name: 'TRANSACTION',
  infoMask: 0x70,
  records: allWithoutPages({
    0x00: 'COMMIT',
    0x10: 'PREPARE',
    0x20: 'ABORT',
    0x30: 'COMMIT_PREPARED',
    0x40: 'ABORT_PREPARED',
    0x50: 'ASSIGNMENT',
    0x60: 'INVALIDATION',
  }),
});

/** Creation and truncation of relation files. */
export const STORAGE: ResourceManager = resourceManager({
  name: 'STORAGE',
  records: allWithoutPages({ 0x10: 'CREATE', 0x20: 'TRUNCATE' }),
});

/** Commit log pages. */
export const CLOG: ResourceManager = resourceManager({
  name: 'CLOG',
  records: allWithoutPages({ 0x00: 'ZEROPAGE', 0x10: 'TRUNCATE' }),
});

/** Databases. */
export const DATABASE: ResourceManager = resourceManager({
  name: 'DATABASE',
  records: allWithoutPages({ 0x00: 'CREATE_FILE_COPY', 0x10: 'CREATE_WAL_LOG', 0x20: 'DROP' }),
});

/** Tablespaces. */
export const TABLESPACE: ResourceManager = resourceManager({
  name: 'TABLESPACE',
  records: allWithoutPages({ 0x00: 'CREATE', 0x10: 'DROP' }),
});

/** Multixacts. */
export const MULTIXACT: ResourceManager = resourceManager({
  name: 'MULTIXACT',
  records: allWithoutPages({ 0x00: 'ZERO_OFF_PAGE', 0x10: 'ZERO_MEM_PAGE', 0x20: 'CREATE_ID', 0x30: 'TRUNCATE_ID' }),
});

/** Relation maps. */
export const RELMAP: ResourceManager = resourceManager({
  name: 'RELMAP',
  records: allWithoutPages({ 0x00: 'UPDATE' }),
});

/** What hot standby needs to know. */
export const STANDBY: ResourceManager = resourceManager({
  name: 'STANDBY',
  records: allWithoutPages({ 0x00: 'LOCK', 0x10: 'RUNNING_XACTS', 0x20: 'INVALIDATIONS' }),
});

/** Commit timestamp pages. */
export const COMMIT_TS: ResourceManager = resourceManager({
  name: 'COMMIT_TS',
  records: allWithoutPages({ 0x00: 'ZEROPAGE', 0x10: 'TRUNCATE', 0x20: 'SETTS' }),
});

/** Replication origins. */
export const REPLICATION_ORIGIN: ResourceManager = resourceManager({
  name: 'REPLICATION_ORIGIN',
  records: allWithoutPages({ 0x00: 'SET', 0x10: 'DROP' }),
});

/** Messages for logical decoding. */
export const LOGICAL_MESSAGE: ResourceManager = resourceManager({
  name: 'LOGICAL_MESSAGE',
  records: allWithoutPages({ 0x00: 'MESSAGE' }),
});
