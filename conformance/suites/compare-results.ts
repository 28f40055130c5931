import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** A rule for what of a result may differ between two servers that do the same. */
interface VolatileRule {
  /** Which tests' results; every test's when left out. */
  readonly tests?: readonly string[];
  /** Why it is volatile, for the documentation. */
  readonly reason: string;
  readonly apply: (text: string) => string;
}

/** Takes lines out that match, without what psql draws around them. */
function withoutLines(pattern: RegExp): (text: string) => string {
  return (text) =>
    text
      .split('\n')
      .filter((line) => !pattern.test(line))
      .join('\n');
}

/** A row, or a record of the expanded format, of the slot that a compute's WAL proposer streams from. */
function withoutProposerSlot(text: string): string {
  const record = /^-\[ RECORD \d+ \][^\n]*\nslot_name +\| zenith_wal_proposer *\n(?:[^\n-][^\n]*\n)+/gm;
  return withoutLines(/^ zenith_wal_proposer +\|/)(text.replaceAll(record, ''));
}

function sortedLines(text: string): string {
  return text.split('\n').toSorted().join('\n');
}

/** What is overlooked, and why. All but the order of constraints and the slot were seen to differ between two runs on the same stock server, or depend on how much WAL there was before. */
export const VOLATILE_RULES: readonly VolatileRule[] = [
  {
    reason:
      "`EXPLAIN (ANALYZE)` of 18 shows `Buffers:` unless told not to, 15's tests do not tell it: how many pages are in the cache depends on what else runs. With it go the `Planning:` line above it and the number of rows",
    apply: (text) => withoutLines(/^\s*(Buffers: .*|Planning:|\(\d+ rows?\))$/)(text),
  },
  {
    reason: 'the width of a column, and so of the line psql draws under its name, follows from the widest value',
    apply: (text) => text.replaceAll(/-{3,}/g, '---').replaceAll(/[ \t]+/g, ' '),
  },
  {
    tests: ['rules'],
    reason: 'the oid and the file number of a table',
    apply: (text) => text.replaceAll(/^ \d{5,} \| r \| \d{5,}$/gm, 'OID | r | RELFILENODE'),
  },
  {
    tests: ['cluster'],
    reason:
      "the order of warnings about one table each: that of a catalog's rows, which follows from what other tests ran at the same time",
    apply: sortedLines,
  },
  {
    tests: ['indexing'],
    reason:
      'the order of constraints of the same name, which the test leaves open: it follows from where their rows lie. The same on each run of a stock server; a compute starts without free-space maps, which are not in the WAL, and so puts new rows elsewhere',
    apply: sortedLines,
  },
  {
    tests: ['ddl', 'permissions', 'slot'],
    reason: 'the replication slot of the WAL proposer, which every compute has and `pg_replication_slots` shows',
    apply: withoutProposerSlot,
  },
  {
    tests: ['messages'],
    reason:
      'the transaction id that `test_decoding` prints: it follows from how many transactions, those of autovacuum too, ran before',
    apply: (text) => text.replaceAll(/\b(BEGIN|COMMIT) \d+/g, '$1 XID'),
  },
  {
    tests: ['gist'],
    reason: 'the LSN on a page, which `pageinspect` shows',
    apply: (text) => text.replaceAll(/\b[0-9A-F]{1,8}\/[0-9A-F]{2,8}\b/g, 'LSN'),
  },
];

/** A result without what is volatile. */
function normalise(test: string, text: string): string {
  return VOLATILE_RULES.filter(({ tests }) => tests?.includes(test) ?? true).reduce(
    (result, { apply }) => apply(result),
    text,
  );
}

/** What a comparison of two folders of results found. */
export interface ResultComparison {
  readonly files: number;
  /** Files that are the same byte for byte. */
  readonly identical: number;
  /** One line for each that is different although what is volatile was overlooked: file, line and both texts. */
  readonly differences: readonly string[];
  /** The tests whose results differ in nothing but what is overlooked. */
  readonly equalButVolatile: readonly string[];
}

function outputs(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .filter((name) => name.endsWith('.out'))
    .sort();
}

/** Compares the results (`*.out`) of a suite on a stock server with those on a Zenith compute. */
export function compareResults(stockFolder: string, zenithFolder: string): ResultComparison {
  const names = [...new Set([...outputs(stockFolder), ...outputs(zenithFolder)])];
  const differences: string[] = [];
  const equalButVolatile: string[] = [];
  let identical = 0;
  for (const name of names) {
    const texts = [stockFolder, zenithFolder].map((folder) =>
      existsSync(join(folder, name)) ? readFileSync(join(folder, name), 'latin1') : undefined,
    );
    const [stock, zenith] = texts;
    if (stock === undefined || zenith === undefined)
      differences.push(`${name}: only on ${stock === undefined ? 'Zenith' : 'stock'}`);
    else if (stock === zenith) identical++;
    else {
      const test = name.slice(0, -'.out'.length);
      const difference = firstDifferentLine(normalise(test, stock), normalise(test, zenith));
      if (difference === undefined) equalButVolatile.push(test);
      else differences.push(`${name}: ${difference}`);
    }
  }
  return { files: names.length, identical, differences, equalButVolatile };
}

function firstDifferentLine(stock: string, zenith: string): string | undefined {
  if (stock === zenith) return undefined;
  const stockLines = stock.split('\n');
  const zenithLines = zenith.split('\n');
  let line = 0;
  while (stockLines[line] === zenithLines[line]) line++;
  return `stock has '${stockLines[line] ?? '(end)'}', Zenith '${zenithLines[line] ?? '(end)'}'`;
}
