import { expect, test } from 'vitest';
import { comparePages } from './compare-pages.ts';

const part = (name: string, fields: Record<string, number | string>) => ({ name, fields });

test('pages that read the same have no difference', () => {
  const page = { kind: 'heap', parts: [part('header', { lower: 28 }), part('item 1', { lp: 'normal' })] };
  expect(comparePages(page, structuredClone(page))).toEqual([]);
});

test('parts that came, went and changed are told with the fields that differ', () => {
  expect(
    comparePages(
      {
        kind: 'heap',
        parts: [part('header', { lower: 32, upper: 8000 }), part('item 1', { at: 8100 }), part('item 2', { at: 8000 })],
      },
      {
        kind: 'btree leaf',
        parts: [part('header', { lower: 32, upper: 8100 }), part('item 1', { to: 3 }), part('item 3', { at: 8100 })],
      },
    ),
  ).toEqual([
    { part: 'page', change: 'changed', fields: [{ name: 'kind', before: 'heap', after: 'btree leaf' }] },
    { part: 'header', change: 'changed', fields: [{ name: 'upper', before: 8000, after: 8100 }] },
    {
      part: 'item 1',
      change: 'changed',
      fields: [
        { name: 'at', before: 8100 },
        { name: 'to', after: 3 },
      ],
    },
    { part: 'item 3', change: 'added', fields: [{ name: 'at', after: 8100 }] },
    { part: 'item 2', change: 'removed', fields: [{ name: 'at', before: 8000 }] },
  ]);
});
