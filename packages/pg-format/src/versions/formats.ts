import { unreachable } from '@zenith/base';
import type { PgMajor } from '../version.ts';
import { PG15 } from './pg15.ts';
import { PG16 } from './pg16.ts';
import { PG17 } from './pg17.ts';
import { PG18 } from './pg18.ts';
import type { VersionFormat } from './version-format.ts';

/** The table of `major`. */
export function formatOf(major: PgMajor): VersionFormat {
  switch (major) {
    case 15:
      return PG15;
    case 16:
      return PG16;
    case 17:
      return PG17;
    case 18:
      return PG18;
    default:
      return unreachable(major);
  }
}
