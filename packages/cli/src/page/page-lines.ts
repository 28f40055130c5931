import { formatLsn } from '@zenith/base';
import { formatPointInTime } from '@zenith/control-plane';
import { runsOf, type DecodedPage, type FieldValue, type PartChange } from '@zenith/redo';
import type { PageEvent } from './replay-history.ts';

/** Longer values are cut in text; `--json` has all of them. Unit: characters. */
const VALUE_LENGTH_MAX = 64;

const INDENT = '    ';

function shown(value: FieldValue): string {
  const text = String(value);
  return text.length <= VALUE_LENGTH_MAX ? text : `${text.slice(0, VALUE_LENGTH_MAX)}… (${text.length} characters)`;
}

function fieldsLine(fields: readonly (readonly [string, FieldValue])[]): string {
  return fields.map(([name, value]) => `${name} ${value === '' ? '-' : shown(value)}`).join(', ');
}

/** A page, a line for each of its parts. */
export function pageLines(page: DecodedPage): string[] {
  return page.parts.map(({ name, fields }) => `${name}: ${fieldsLine(Object.entries(fields))}`);
}

/** True for an item of which nothing changed but its place on the page. */
function isMove({ part, change, fields }: PartChange): boolean {
  return change === 'changed' && part.startsWith('item ') && fields.every(({ name }) => name === 'at');
}

/** What changed, a line for each part; items that only moved share one. */
export function changeLines(changes: readonly PartChange[]): string[] {
  const moved = changes.filter(isMove).map(({ part }) => Number(part.slice('item '.length)));
  const lines = changes
    .filter((change) => !isMove(change))
    .map(({ part, change, fields }) => {
      if (change === 'changed')
        return `${part}: ${fields.map(({ name, before, after }) => `${name} ${side(before)} → ${side(after)}`).join(', ')}`;
      const all = fields.map(({ name, before, after }): readonly [string, FieldValue] => [
        name,
        (change === 'added' ? after : before) ?? '',
      ]);
      return `${part} ${change}: ${fieldsLine(all)}`;
    });
  return moved.length === 0 ? lines : [...lines, `moved within the page: item ${runsOf(moved)}`];
}

function side(value: FieldValue | undefined): string {
  return value === undefined || value === '' ? '-' : shown(value);
}

/** The transaction of a record, and when it was committed. */
function transactionOf({ xid, transaction, commitTime }: PageEvent): string {
  if (xid === 0) return '';
  if (commitTime !== undefined) return `tx ${xid}, committed ${formatPointInTime(commitTime)}`;
  return transaction === undefined ? `tx ${xid}` : `tx ${xid}, ${transaction}`;
}

/** A record that changed a page, and below it what it changed. */
export function eventLines(event: PageEvent): string[] {
  const { lsn, description, changes, failure } = event;
  const head = [formatLsn(lsn), transactionOf(event), description].filter((word) => word !== '').join('  ');
  const below =
    failure !== undefined
      ? [`the page cannot be rebuilt: ${failure}`]
      : changes === undefined
        ? ['what it changed cannot be told: the page before it is not known']
        : changes.length === 0
          ? ['nothing that is shown']
          : changeLines(changes);
  return [head, ...below.map((line) => INDENT + line)];
}
