import type { PgMajor } from '@zenith/pg-format';
import { recordNames } from '@zenith/redo';
import type { RunReport } from './run-report.ts';

/** Kinds of records of a version that none of the runs wrote. `+INIT` forms count as their kind. */
export function neverSeen(major: PgMajor, reports: readonly Pick<RunReport, 'types'>[]): string[] {
  const seen = new Set(reports.flatMap(({ types }) => Object.keys(types).map((name) => name.replace('+INIT', ''))));
  return recordNames(major).filter((name) => !seen.has(name));
}
