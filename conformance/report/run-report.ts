import type { PgMajor } from '@zenith/pg-format';
import type { TypeCounts } from '../oracle/redo-oracle.ts';
import { partKnown } from './known-differences.ts';

/** What one suite gave on one major version; kept as JSON for the documentation. */
export interface RunReport {
  readonly major: PgMajor;
  readonly suite: string;
  /** The day, `2026-11-25`. */
  readonly date: string;
  /** Absent for the workloads, which are no suite of PostgreSQL's. */
  readonly tests?: {
    /** How many have one of the results that 15.18 expects, on the stock server and on the Zenith compute. */
    readonly stock: number;
    readonly zenith: number;
    readonly count: number;
    /** Files of results; how many were identical byte for byte, and what differed although volatile parts were overlooked. */
    readonly files: number;
    readonly identical: number;
    readonly differences: readonly string[];
    /** Tests that passed on one of the two only. */
    readonly unequal: readonly string[];
  };
  readonly walBytes: number;
  readonly types: Readonly<Record<string, TypeCounts>>;
  readonly mismatches: readonly string[];
  readonly mismatchCount: number;
  /** The comparisons of everything, summed up. */
  readonly cluster: {
    readonly comparisons: number;
    readonly relationPages: number;
    readonly slruPages: number;
    readonly files: number;
    readonly differences: readonly string[];
    readonly differenceCount: number;
    readonly unsupportedPages: number;
    /** Pages that a compute never fetched, so that there was nothing to compare. Absent in older reports. */
    readonly missingPages?: number;
    readonly mapPagesBehind: number;
  };
}

/** What of a run is not as it must be, one line each; empty when all is well. */
export function failuresOf(report: RunReport): readonly string[] {
  return partKnown(report.major, report.suite, differencesOf(report)).failures;
}

/** What of a run is different for a reason that is known and lies in PostgreSQL, one line each. */
export function knownOf(report: RunReport): readonly string[] {
  return partKnown(report.major, report.suite, differencesOf(report)).known;
}

function differencesOf(report: RunReport): string[] {
  const { tests, cluster } = report;
  return [
    ...(tests?.differences ?? []).map((text) => `result ${text}`),
    ...(tests?.unequal ?? []).map((name) => `test ${name} passes on one of the two servers only`),
    ...(tests !== undefined && report.major === 15 && tests.zenith < tests.count && report.suite !== 'contrib'
      ? [`${tests.count - tests.zenith} of ${tests.count} tests fail, on the version they were written for`]
      : []),
    ...(report.mismatchCount > report.mismatches.length
      ? [`${report.mismatchCount} blocks are not as PostgreSQL says; the first are`]
      : []),
    ...report.mismatches.map((text) => `redo ${text}`),
    ...(cluster.differenceCount > cluster.differences.length
      ? [`${cluster.differenceCount} differences in the cluster; the first are`]
      : []),
    ...cluster.differences.map((text) => `cluster ${text}`),
  ];
}
