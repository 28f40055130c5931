import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from '@zenith/testing';
import { expect, test } from 'vitest';
import { overwriteJson } from './replace-file.ts';

test.each([
  ['longer', { a: 'old' }],
  ['as long', { a: 'new and long, ä' }],
  ['shorter', { a: 'old and longer than what comes', b: [1, 2, 3] }],
])('JSON written over a file says the new alone, where it is %s too, and the file stays the same one', (_, before) => {
  const directory = temporaryDirectory();
  const path = join(directory.path, 'a.json');
  writeFileSync(path, `${JSON.stringify(before)}\n`, { mode: 0o600 });
  const { ino } = statSync(path);
  const after = { a: 'new and long, ä' };
  overwriteJson(path, `${JSON.stringify(after)}\n`);
  expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual(after);
  expect(statSync(path)).toMatchObject({ ino, mode: 0o100600 });
  directory.remove();
});
