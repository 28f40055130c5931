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

const leaf = (...keys: readonly string[]) => ({
  kind: 'btree leaf',
  parts: keys.map((key, i) => part(`item ${i + 1}`, { at: 8000 - 16 * i, key })),
});

test('items that only have other numbers since one came among them are one change', () => {
  expect(comparePages(leaf('a', 'b', 'd', 'e'), leaf('a', 'b', 'c', 'd', 'e'))).toEqual([
    {
      part: 'item 3',
      change: 'added',
      fields: [
        { name: 'at', after: 7968 },
        { name: 'key', after: 'c' },
      ],
    },
    { part: 'item 4', change: 'changed', fields: [{ name: 'at', before: 7968, after: 7952 }] },
    { part: 'item 5', change: 'changed', fields: [{ name: 'at', before: 7952, after: 7936 }] },
    { part: 'items', change: 'changed', fields: [{ name: 'numbers', before: '3-4', after: '4-5' }] },
  ]);
});

test('items that went are told under the numbers that they had, one that changed beside them, too', () => {
  const changes = comparePages(leaf('a', 'b', 'c', 'd', 'e'), leaf('a', 'B', 'e'));
  expect(
    changes.map(({ part: name, change, fields }) => [
      name,
      change,
      ...fields.map(({ before, after }) => [before, after]),
    ]),
  ).toEqual([
    ['item 2', 'changed', ['b', 'B']],
    ['item 3', 'changed', [7936, 7968]],
    ['item 3', 'removed', [7968, undefined], ['c', undefined]],
    ['item 4', 'removed', [7952, undefined], ['d', undefined]],
    ['items', 'changed', ['5', '3']],
  ]);
});

test('items keep their numbers when as many are there as before, and when the last ones come or go', () => {
  const parts = (changes: ReturnType<typeof comparePages>) =>
    changes.map(({ part: name, change }) => `${name} ${change}`);
  expect(parts(comparePages(leaf('a', 'b', 'c'), leaf('a', 'c', 'b')))).toEqual(['item 2 changed', 'item 3 changed']);
  expect(parts(comparePages(leaf('a', 'b'), leaf('a', 'b', 'c')))).toEqual(['item 3 added']);
  expect(parts(comparePages(leaf('a', 'b', 'c'), leaf('a')))).toEqual(['item 2 removed', 'item 3 removed']);
});
