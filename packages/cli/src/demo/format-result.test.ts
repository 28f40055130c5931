import { expect, test } from 'vitest';
import { formatResult } from './format-result.ts';

const key = { name: 'key', numeric: true };
const value = { name: 'value', numeric: false };

test('rows are shown as psql shows them', () => {
  const rows = [
    { key: '1', value: '1' },
    { key: '20', value: null },
  ];
  expect(formatResult('select * from t;', [key, value], rows, 2)).toEqual([
    ' key | value',
    '-----+-------',
    '   1 | 1',
    '  20 |',
    '(2 rows)',
  ]);
});

test('one row is one row, none are none', () => {
  expect(formatResult('select 1 as key;', [key], [{ key: '1' }], 1).at(-1)).toBe('(1 row)');
  expect(formatResult('select 1 as key;', [key], [], 0)).toEqual([' key', '-----', '(0 rows)']);
});

test.each([
  ['create table t(key int primary key);', 0, 'CREATE TABLE'],
  ['insert into t values(1,1);', 1, 'INSERT 0 1'],
  ['update t set value = 2', 3, 'UPDATE 3'],
  ['checkpoint;', 0, 'CHECKPOINT'],
])('%s has a tag', (statement, rowCount, tag) => {
  expect(formatResult(statement, [], [], rowCount)).toEqual([tag]);
});
