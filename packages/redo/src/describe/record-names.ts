import type { PgMajor } from '@zenith/pg-format';
import { resourceManagersOf } from '../versions/resource-managers.ts';

/** The names of all kinds of records that a server of that major version knows, as `recordName()` gives them but without `+INIT`, by resource manager. */
export function recordNames(major: PgMajor): string[] {
  return resourceManagersOf(major).flatMap((rmgr) =>
    rmgr === undefined ? [] : rmgr.records.flatMap((type) => (type === undefined ? [] : [`${rmgr.name}/${type.name}`])),
  );
}
