/** A column of a result. */
export interface ResultColumn {
  readonly name: string;
  /** Aligned to the right. */
  readonly numeric: boolean;
}

/**
 * Shows the result of a statement as psql does: a table with the number of rows, or the command tag.
 * @param columns empty for a statement that returns no rows
 * @param rowCount rows returned or changed
 * @returns lines without ends
 */
export function formatResult(
  statement: string,
  columns: readonly ResultColumn[],
  rows: readonly Readonly<Record<string, string | null>>[],
  rowCount: number,
): string[] {
  if (columns.length === 0) return [commandTag(statement, rowCount)];
  const widths = columns.map(({ name }) => Math.max(name.length, ...rows.map((row) => row[name]?.length ?? 0)));
  const heading = columns.map(({ name }, index) => ` ${center(name, widths[index] ?? 0)} `).join('|');
  const ruler = widths.map((width) => '-'.repeat(width + 2)).join('+');
  const body = rows.map((row) =>
    columns.map((column, index) => ` ${align(row, column, widths[index] ?? 0)} `).join('|'),
  );
  return [
    heading.trimEnd(),
    ruler,
    ...body.map((line) => line.trimEnd()),
    `(${rows.length} row${rows.length === 1 ? '' : 's'})`,
  ];
}

function commandTag(statement: string, rowCount: number): string {
  const words = statement
    .trim()
    .toUpperCase()
    .split(/[\s(;]+/);
  const [first = '', second = ''] = words;
  if (first === 'INSERT') return `INSERT 0 ${rowCount}`;
  if (first === 'UPDATE' || first === 'DELETE') return `${first} ${rowCount}`;
  return first === 'CREATE' || first === 'DROP' || first === 'ALTER' ? `${first} ${second}` : first;
}

function center(text: string, width: number): string {
  const left = Math.floor((width - text.length) / 2);
  return ' '.repeat(left) + text.padEnd(width - left);
}

function align(row: Readonly<Record<string, string | null>>, { name, numeric }: ResultColumn, width: number): string {
  const text = row[name] ?? '';
  return numeric ? text.padStart(width) : text.padEnd(width);
}
