import { failuresOf, knownOf, type RunReport } from './run-report.ts';
import { unreachableReason } from './unreachable.ts';
import { neverSeen } from './never-seen.ts';

/** What a run found, for people. */
export function formatRun(report: RunReport): string {
  const { tests, cluster } = report;
  const lines = [`PostgreSQL ${report.major}, ${report.suite}`];
  if (tests !== undefined)
    lines.push(
      `  tests: ${tests.count}; as 15.18 expects them: ${tests.stock} on stock, ${tests.zenith} on Zenith; ${tests.files} files of results, ${tests.identical} identical, ${tests.differences.length} different`,
    );
  const rows = Object.entries(report.types).sort(([a], [b]) => (a < b ? -1 : 1));
  const width = Math.max(...rows.map(([name]) => name.length));
  lines.push(
    `  ${'record'.padEnd(width)} ${'seen'.padStart(10)} ${'compared'.padStart(10)} ${'mismatches'.padStart(10)}`,
  );
  for (const [name, { records, compared, mismatches }] of rows)
    lines.push(
      `  ${name.padEnd(width)} ${String(records).padStart(10)} ${String(compared).padStart(10)} ${String(mismatches).padStart(10)}`,
    );
  const total = rows.reduce((sum, [, { compared }]) => sum + compared, 0);
  lines.push(
    `  ${(report.walBytes / 1e6).toFixed(0)} MB of WAL, ${total} blocks compared with PostgreSQL's images, ${report.mismatchCount} mismatches`,
    `  never seen: ${
      neverSeen(report.major, [report])
        .map((name) => (unreachableReason(name) === undefined ? name : `${name} (cannot be)`))
        .join(', ') || 'none'
    }`,
    `  whole cluster, at ${cluster.comparisons} LSNs: ${cluster.relationPages} relation pages, ${cluster.slruPages} SLRU pages, ${cluster.files} files; ${cluster.differenceCount} differences; ${cluster.missingPages ?? 'unknown'} pages not local`,
  );
  const failures = failuresOf(report);
  lines.push(
    ...knownOf(report).map((difference) => `  known ${difference}`),
    ...failures.map((failure) => `  FAILED ${failure}`),
    failures.length === 0 ? '  ok' : `  ${failures.length} failures`,
  );
  return lines.join('\n');
}
