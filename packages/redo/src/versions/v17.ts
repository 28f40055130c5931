import { RM_GIST_ID, RM_HASH_ID, RM_HEAP2_ID, RM_SPGIST_ID, RM_XLOG_ID } from '@zenith/pg-format';
import { GIST_16 } from '../gist/resource-manager.ts';
import { HASH_17 } from '../hash/resource-manager.ts';
import { HEAP2_17 } from '../heap/resource-managers.ts';
import { XLOG_17 } from '../rmgr/pageless.ts';
import type { VersionTable } from '../rmgr/resource-manager.ts';
import { SPGIST_16 } from '../spgist/resource-manager.ts';
import { resourceManagerTable } from './common.ts';

/** PostgreSQL 17. */
export const VERSION_17: VersionTable = {
  major: 17,
  resourceManagers: resourceManagerTable({
    [RM_XLOG_ID]: XLOG_17,
    [RM_HEAP2_ID]: HEAP2_17,
    [RM_HASH_ID]: HASH_17,
    [RM_GIST_ID]: GIST_16,
    [RM_SPGIST_ID]: SPGIST_16,
  }),
};
