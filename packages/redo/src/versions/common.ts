import {
  RM_BRIN_ID,
  RM_BTREE_ID,
  RM_CLOG_ID,
  RM_COMMIT_TS_ID,
  RM_DBASE_ID,
  RM_GENERIC_ID,
  RM_GIN_ID,
  RM_HEAP_ID,
  RM_LOGICALMSG_ID,
  RM_MAX_BUILTIN_ID,
  RM_MULTIXACT_ID,
  RM_RELMAP_ID,
  RM_REPLORIGIN_ID,
  RM_SEQ_ID,
  RM_SMGR_ID,
  RM_STANDBY_ID,
  RM_TBLSPC_ID,
  RM_XACT_ID,
} from '@zenith/pg-format';
import { BRIN } from '../brin/resource-manager.ts';
import { BTREE } from '../btree/resource-manager.ts';
import { GIN } from '../gin/resource-manager.ts';
import { HEAP } from '../heap/resource-managers.ts';
import { GENERIC } from '../rmgr/generic.ts';
import {
  CLOG,
  COMMIT_TS,
  DATABASE,
  LOGICAL_MESSAGE,
  MULTIXACT,
  RELMAP,
  REPLICATION_ORIGIN,
  STANDBY,
  STORAGE,
  TABLESPACE,
  TRANSACTION,
} from '../rmgr/pageless.ts';
import type { ResourceManager, ResourceManagerTable } from '../rmgr/resource-manager.ts';
import { SEQUENCE } from '../rmgr/sequence.ts';

/** Resource managers that are the same in every supported major version, by rmid. */
const COMMON: Readonly<Record<number, ResourceManager>> = {
  [RM_XACT_ID]: TRANSACTION,
  [RM_SMGR_ID]: STORAGE,
  [RM_CLOG_ID]: CLOG,
  [RM_DBASE_ID]: DATABASE,
  [RM_TBLSPC_ID]: TABLESPACE,
  [RM_MULTIXACT_ID]: MULTIXACT,
  [RM_RELMAP_ID]: RELMAP,
  [RM_STANDBY_ID]: STANDBY,
  [RM_HEAP_ID]: HEAP,
  [RM_BTREE_ID]: BTREE,
  [RM_GIN_ID]: GIN,
  [RM_SEQ_ID]: SEQUENCE,
  [RM_BRIN_ID]: BRIN,
  [RM_COMMIT_TS_ID]: COMMIT_TS,
  [RM_REPLORIGIN_ID]: REPLICATION_ORIGIN,
  [RM_GENERIC_ID]: GENERIC,
  [RM_LOGICALMSG_ID]: LOGICAL_MESSAGE,
};

/** The table of one major version: what is common, and the resource managers that differ, by rmid. */
export function resourceManagerTable(differing: Readonly<Record<number, ResourceManager>>): ResourceManagerTable {
  const all: Readonly<Record<number, ResourceManager>> = { ...COMMON, ...differing };
  return Array.from({ length: RM_MAX_BUILTIN_ID + 1 }, (_, rmid) => all[rmid]);
}
