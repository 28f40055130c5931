import { expect, test } from 'vitest';
import { neverSeen } from './never-seen.ts';

test('a kind of record counts as seen in any run and in any form', () => {
  const counts = { records: 1, compared: 1, mismatches: 0 };
  const all = neverSeen(18, []);
  expect(all).toContain('HEAP/INSERT');
  const rest = neverSeen(18, [{ types: { 'HEAP/INSERT+INIT': counts } }, { types: { 'BTREE/DEDUP': counts } }]);
  expect(all.filter((name) => !rest.includes(name)).sort()).toEqual(['BTREE/DEDUP', 'HEAP/INSERT']);
});
