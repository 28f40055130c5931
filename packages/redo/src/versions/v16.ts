import { RM_GIST_ID, RM_HASH_ID, RM_HEAP2_ID, RM_SPGIST_ID, RM_XLOG_ID } from '@zenith/pg-format';
import { GIST_16 } from '../gist/resource-manager.ts';
import { HASH_15 } from '../hash/resource-manager.ts';
import { HEAP2_16 } from '../heap/resource-managers.ts';
import { XLOG_15 } from '../rmgr/pageless.ts';
import type { VersionTable } from '../rmgr/resource-manager.ts';
import { SPGIST_16 } from '../spgist/resource-manager.ts';
import { resourceManagerTable } from './common.ts';

/** PostgreSQL 16. */
export const VERSION_16: VersionTable = {
  major: 16,
  resourceManagers: resourceManagerTable({
    [RM_XLOG_ID]: XLOG_15,
    [RM_HEAP2_ID]: HEAP2_16,
    [RM_HASH_ID]: HASH_15,
    [RM_GIST_ID]: GIST_16,
    [RM_SPGIST_ID]: SPGIST_16,
  }),
};
