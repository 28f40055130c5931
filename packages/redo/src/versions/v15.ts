import { RM_GIST_ID, RM_HASH_ID, RM_HEAP2_ID, RM_SPGIST_ID, RM_XLOG_ID } from '@zenith/pg-format';
import { GIST_15 } from '../gist/resource-manager.ts';
import { HASH_15 } from '../hash/resource-manager.ts';
import { HEAP2_15 } from '../heap/resource-managers.ts';
import { XLOG_15 } from '../rmgr/pageless.ts';
import type { VersionTable } from '../rmgr/resource-manager.ts';
import { SPGIST_15 } from '../spgist/resource-manager.ts';
import { resourceManagerTable } from './common.ts';

/** PostgreSQL 15. */
export const VERSION_15: VersionTable = {
  major: 15,
  resourceManagers: resourceManagerTable({
    [RM_XLOG_ID]: XLOG_15,
    [RM_HEAP2_ID]: HEAP2_15,
    [RM_HASH_ID]: HASH_15,
    [RM_GIST_ID]: GIST_15,
    [RM_SPGIST_ID]: SPGIST_15,
  }),
};
