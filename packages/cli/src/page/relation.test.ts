import { expect, test } from 'vitest';
import { forkName, parseFork, parseRelation } from './relation.ts';

test.each([
  ['t', { database: undefined, name: 't' }],
  ['public.t', { database: undefined, name: 'public.t' }],
  ['"A.b".t', { database: undefined, name: '"A.b".t' }],
  ['MyDb.public.t', { database: 'mydb', name: 'public.t' }],
  ['"My ""Db""".public."T"', { database: 'My "Db"', name: 'public."T"' }],
  ['1663/5/16384', { locator: { spc: 1663, db: 5, rel: 16384 }, fork: undefined, segment: 0 }],
  ['base/5/16384_vm', { locator: { spc: 1663, db: 5, rel: 16384 }, fork: 2, segment: 0 }],
  ['base/5/16384.2', { locator: { spc: 1663, db: 5, rel: 16384 }, fork: 0, segment: 2 }],
  ['global/1262', { locator: { spc: 1664, db: 0, rel: 1262 }, fork: 0, segment: 0 }],
  ['pg_tblspc/16400/PG_18_202506291/5/16401', { locator: { spc: 16400, db: 5, rel: 16401 }, fork: 0, segment: 0 }],
])('%s is understood', (text, relation) => {
  expect(parseRelation(text, 18)).toEqual(relation);
});

test.each(['', '.', 'a.', 'a.b.c.d', 'a"b"', '1/2', '1663/5/99999999999', 'base/5/t', '1663/5/16384/1'])(
  "'%s' names no relation",
  (text) => {
    expect(() => parseRelation(text, 18)).toThrow(expect.objectContaining({ code: 'invalid-option' }));
  },
);

test('forks by their names', () => {
  expect(['main', 'vm', 'init'].map(parseFork)).toEqual([0, 2, 3]);
  expect([0, 1, 2, 3, 7].map(forkName)).toEqual(['main', 'fsm', 'vm', 'init', '7']);
  expect(() => parseFork('fsm')).toThrow('not kept');
  expect(() => parseFork('toast')).toThrow('choose of main, vm, init');
});
