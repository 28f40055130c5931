import type { PgMajor } from '@zenith/pg-format';
import type { ResourceManagerTable, VersionTable } from '../rmgr/resource-manager.ts';
import { VERSION_15 } from './v15.ts';
import { VERSION_16 } from './v16.ts';
import { VERSION_17 } from './v17.ts';
import { VERSION_18 } from './v18.ts';

const TABLES: readonly (ResourceManagerTable | undefined)[] = byMajor([VERSION_15, VERSION_16, VERSION_17, VERSION_18]);

function byMajor(versions: readonly VersionTable[]): readonly (ResourceManagerTable | undefined)[] {
  const tables: (ResourceManagerTable | undefined)[] = [];
  for (const version of versions) tables[version.major] = version.resourceManagers;
  return Array.from(tables);
}

/** The resource managers of a major version, by rmid. */
export function resourceManagersOf(major: PgMajor): ResourceManagerTable {
  return TABLES[major] as ResourceManagerTable;
}
