import { expect, test } from 'vitest';
import { checkName, NAME_LENGTH_MAX } from './branch-name.ts';

test.each(['main', 'a', '_x', '9', 'migration_check', 'v1.2-rc', 'x'.repeat(NAME_LENGTH_MAX)])(
  '%s is a name',
  (name) => {
    expect(() => checkName('branch', name)).not.toThrow();
  },
);

test.each([
  '',
  '.',
  '..',
  '.hidden',
  '-x',
  'a/b',
  '../a',
  'a b',
  'a\n',
  'a\0',
  'ä',
  'a@b',
  'x'.repeat(NAME_LENGTH_MAX + 1),
])('%j is none', (name) => {
  expect(() => checkName('branch', name)).toThrow(/cannot name a branch: use 1 to 63/);
});

test('a name never has the form of a timeline id', () => {
  expect(() => checkName('endpoint', 'ABCDEF0123456789abcdef0123456789')).toThrow('it has the form of a timeline id');
});
