import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PG_MAJORS } from '@zenith/pg-format';
import { recordNames } from '@zenith/redo';
import { VOLATILE_RULES } from '../suites/compare-results.ts';
import { KNOWN_DIFFERENCES } from './known-differences.ts';
import { failuresOf, knownOf, type RunReport } from './run-report.ts';
import { unreachableReason } from './unreachable.ts';

const FILE = fileURLToPath(new URL('../../docs/conformance.md', import.meta.url));

/** The kinds of records of all versions. */
const RECORD_NAMES = [...new Set(PG_MAJORS.flatMap((major) => recordNames(major)))];

/** Writes docs/conformance.md from the reports of the newest run of each version and suite, which lie in `folder`. */
export function writeDocs(folder: string): void {
  const reports = readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as RunReport)
    .sort((a, b) => a.major - b.major || (a.suite < b.suite ? -1 : 1));
  writeFileSync(FILE, formatDocs(reports));
}

/** The text of docs/conformance.md. */
function formatDocs(reports: readonly RunReport[]): string {
  return [
    '# Conformance',
    '',
    'Written by `npm run conformance -- --write-docs`; see [conformance/README.md](../conformance/README.md) for what is run and how.',
    '',
    "What counts: a Zenith compute and a stock server of the same version give the same results; redo gives, for every block of every record, the page that PostgreSQL's own image of it shows; and all that the pageserver has is what the compute has in its files.",
    '',
    '## Suites',
    '',
    ...suiteTable(reports),
    '',
    ...KNOWN_DIFFERENCES.map(
      ({ majors, suite, reason }) => `Known, in \`${suite}\` on ${majors.join(', ')}: ${reason}.`,
    ),
    '',
    '## Records',
    '',
    'For each version: records seen / blocks compared with the image PostgreSQL put into them, over all suites above. Mismatches are told in the table of suites. "–": the version has no such record. Records seen of which no block is compared touch no page, or carry an image to apply.',
    '',
    ...recordTable(reports),
    '',
    'Records that a compute cannot be made to write:',
    '',
    ...RECORD_NAMES.flatMap((name) => {
      const reason = unreachableReason(name);
      return reason === undefined ? [] : [`- ${name}: ${reason}.`];
    }),
    '',
    ...overlooked(),
    '',
  ].join('\n');
}

function suiteTable(reports: readonly RunReport[]): string[] {
  const rows = reports.map((report) => {
    const { tests, cluster } = report;
    const compared = Object.values(report.types).reduce((sum, type) => sum + type.compared, 0);
    const failures = failuresOf(report).length;
    const known = knownOf(report).length;
    return [
      `${report.major}`,
      report.suite,
      tests === undefined ? '' : `${tests.zenith} / ${tests.stock} of ${tests.count}`,
      tests === undefined
        ? ''
        : `${tests.files - tests.differences.length} of ${tests.files} (${tests.identical} byte for byte)`,
      `${(report.walBytes / 1e6).toFixed(0)} MB`,
      `${compared}`,
      `${report.mismatchCount}`,
      `${cluster.relationPages} + ${cluster.slruPages}`,
      `${cluster.differenceCount}`,
      `${failures === 0 ? 'ok' : `${failures} failures`}${known === 0 ? '' : `, ${known} known`}`,
      report.date,
    ];
  });
  return table(
    [
      'PostgreSQL',
      'suite',
      "tests with 15.18's results, Zenith / stock",
      'files of results equal',
      'WAL',
      'blocks compared',
      'mismatches',
      'pages compared at the stops, relations + SLRU',
      'differences',
      'result',
      'run',
    ],
    rows,
  );
}

function recordTable(reports: readonly RunReport[]): string[] {
  const rows = RECORD_NAMES.map((name) => [
    name,
    ...PG_MAJORS.map((major) => {
      if (!recordNames(major).includes(name)) return '–';
      if (unreachableReason(name) !== undefined) return 'cannot be';
      if (!reports.some((report) => report.major === major)) return 'not run';
      const counts = reports
        .filter((report) => report.major === major)
        .flatMap(({ types }) => [types[name], types[`${name}+INIT`]])
        .filter((one) => one !== undefined);
      const records = counts.reduce((sum, one) => sum + one.records, 0);
      if (records > 0) return `${records} / ${counts.reduce((sum, one) => sum + one.compared, 0)}`;
      return '**never seen**';
    }),
  ]);
  return table(['record', ...PG_MAJORS.map(String)], rows);
}

function overlooked(): string[] {
  return [
    '## What is overlooked in results, and why',
    '',
    ...VOLATILE_RULES.map(
      ({ tests, reason }) => `- ${tests === undefined ? 'everywhere' : tests.join(', ')}: ${reason}.`,
    ),
  ];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
}
