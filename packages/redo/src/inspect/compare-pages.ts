import type { DecodedPage, FieldValue, PagePart } from './decoded-page.ts';

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

/** What differs between two versions of a page, part by part in the order of the page; nothing when they read the same. */
export function comparePages(before: DecodedPage, after: DecodedPage): PartChange[] {
  const old = new Map(before.parts.map((part) => [part.name, part]));
  const kind: PartChange[] =
    before.kind === after.kind
      ? []
      : [{ part: 'page', change: 'changed', fields: [{ name: 'kind', before: before.kind, after: after.kind }] }];
  const changes = after.parts.flatMap((part) => {
    const was = old.get(part.name);
    old.delete(part.name);
    return was === undefined ? [added(part)] : changed(was, part);
  });
  return [...kind, ...changes, ...[...old.values()].map(removed)];
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
