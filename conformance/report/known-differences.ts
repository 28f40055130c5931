import type { PgMajor } from '@zenith/pg-format';

/** A difference that is told, but fails no run: its cause is in stock PostgreSQL. */
export interface KnownDifference {
  readonly majors: readonly PgMajor[];
  readonly suite: string;
  /** Matches the line that the run tells. */
  readonly pattern: RegExp;
  /** How many lines of a run may match; every further one is a failure. */
  readonly countMax: number;
  /** For the documentation. */
  readonly reason: string;
}

/** All that are known. */
export const KNOWN_DIFFERENCES: readonly KnownDifference[] = [
  {
    majors: [16, 17, 18],
    suite: 'contrib',
    pattern: /^cluster base\/\d+\/\d+_init block 0: the timeline has only 0 blocks/,
    countMax: 1,
    reason:
      'the init fork of an unlogged `bloom` index, for which stock PostgreSQL 16 to 18 write no WAL (15 does). On a compute, reads of such a table fail from the next start on until the index is rebuilt by `REINDEX`',
  },
];

/** Parts what a run found different, one line each, into what is known and what is a failure. */
export function partKnown(
  major: PgMajor,
  suite: string,
  lines: readonly string[],
): { readonly known: readonly string[]; readonly failures: readonly string[] } {
  const known: string[] = [];
  const failures: string[] = [];
  const seen = new Map<KnownDifference, number>();
  for (const line of lines) {
    const one = KNOWN_DIFFERENCES.find(
      (difference) => difference.majors.includes(major) && difference.suite === suite && difference.pattern.test(line),
    );
    const count = one === undefined ? 0 : (seen.get(one) ?? 0);
    if (one === undefined || count >= one.countMax) failures.push(line);
    else {
      seen.set(one, count + 1);
      known.push(line);
    }
  }
  return { known, failures };
}
