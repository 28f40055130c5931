import type { DecodedPage, FieldValue, PagePart } from './decoded-page.ts';
import { rangeOf } from './runs.ts';

const ITEM = 'item ';

/** A field that is not the same; a side is left out where there is no such field. */
export interface FieldChange {
  readonly name: string;
  readonly before?: FieldValue;
  readonly after?: FieldValue;
}

/** A part of a page that came, went, or has other fields. */
export interface PartChange {
  readonly part: string;
  readonly change: 'added' | 'removed' | 'changed';
  /** All fields of a part that came or went; of a changed one those that differ. */
  readonly fields: readonly FieldChange[];
}

/** The last `count` items of a page, which have other numbers since items came or went before them. */
interface Renumbering {
  readonly count: number;
  /** The first one's number before and after. */
  readonly from: number;
  readonly to: number;
}

/**
 * What differs between two versions of a page, part by part in the order of the page; nothing when they read the same. Items that only have other numbers, as on an index page with a new
 * item among them, are one change of the part `items`.
 */
export function comparePages(before: DecodedPage, after: DecodedPage): PartChange[] {
  const renumbering = findRenumbering(itemsOf(before), itemsOf(after));
  const old = new Map(before.parts.map((part) => [nameAfterwards(part.name, renumbering), part]));
  const kind: PartChange[] =
    before.kind === after.kind
      ? []
      : [{ part: 'page', change: 'changed', fields: [{ name: 'kind', before: before.kind, after: after.kind }] }];
  const changes = after.parts.flatMap((part) => {
    const was = old.get(part.name);
    old.delete(part.name);
    return was === undefined ? [added(part)] : changed(was, part);
  });
  return [...kind, ...changes, ...[...old.values()].map(removed), ...renumbered(renumbering)];
}

function itemsOf({ parts }: DecodedPage): PagePart[] {
  return parts.filter(({ name }) => name.startsWith(ITEM));
}

/** None when as many items as before are there: then each is compared with the one of its number. */
function findRenumbering(before: readonly PagePart[], after: readonly PagePart[]): Renumbering | undefined {
  if (before.length === after.length) return undefined;
  const fewer = Math.min(before.length, after.length);
  let unchanged = 0;
  while (unchanged < fewer && readTheSame(before[unchanged], after[unchanged])) unchanged++;
  let count = 0;
  while (count < fewer - unchanged && readTheSame(before.at(-1 - count), after.at(-1 - count))) count++;
  return count === 0 ? undefined : { count, from: before.length - count + 1, to: after.length - count + 1 };
}

/** True for two items of which nothing differs but their number and place. */
function readTheSame(one: PagePart | undefined, other: PagePart | undefined): boolean {
  return (
    one !== undefined &&
    other !== undefined &&
    changed(one, other).every(({ fields }) => fields.every(({ name }) => name === 'at'))
  );
}

/** The name that a part of the page before has on the page after it; one that none has when the part is gone and its number is another's. */
function nameAfterwards(name: string, renumbering: Renumbering | undefined): string {
  if (renumbering === undefined || !name.startsWith(ITEM)) return name;
  const { from, to } = renumbering;
  const number = Number(name.slice(ITEM.length));
  if (number >= from) return `${ITEM}${number - from + to}`;
  return number >= to ? `${name}, gone` : name;
}

function renumbered(renumbering: Renumbering | undefined): PartChange[] {
  if (renumbering === undefined) return [];
  const { count, from, to } = renumbering;
  const numbers = { name: 'numbers', before: rangeOf(from, from + count - 1), after: rangeOf(to, to + count - 1) };
  return [{ part: 'items', change: 'changed', fields: [numbers] }];
}

function added({ name, fields }: PagePart): PartChange {
  return {
    part: name,
    change: 'added',
    fields: Object.entries(fields).map(([field, after]) => ({ name: field, after })),
  };
}

function removed({ name, fields }: PagePart): PartChange {
  return {
    part: name,
    change: 'removed',
    fields: Object.entries(fields).map(([field, before]) => ({ name: field, before })),
  };
}

function changed(was: PagePart, is: PagePart): PartChange[] {
  const names = new Set([...Object.keys(was.fields), ...Object.keys(is.fields)]);
  const fields = [...names].flatMap((name): FieldChange[] => {
    const before = was.fields[name];
    const after = is.fields[name];
    if (before === after) return [];
    return [
      {
        name,
        ...(before === undefined ? {} : { before }),
        ...(after === undefined ? {} : { after }),
      },
    ];
  });
  return fields.length === 0 ? [] : [{ part: is.name, change: 'changed', fields }];
}
