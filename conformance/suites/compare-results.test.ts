import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from '@zenith/testing';
import { afterEach, expect, test } from 'vitest';
import { compareResults } from './compare-results.ts';

let remove: () => void;
afterEach(() => remove());

function compare(stock: Record<string, string>, zenith: Record<string, string>): ReturnType<typeof compareResults> {
  const directory = temporaryDirectory();
  remove = directory.remove;
  for (const [side, files] of Object.entries({ stock, zenith })) {
    mkdirSync(join(directory.path, side));
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory.path, side, name), text);
  }
  return compareResults(join(directory.path, 'stock'), join(directory.path, 'zenith'));
}

test('results that differ in a value, a line or a file are told', () => {
  expect(compare({ 'a.out': 'x\n 1\n' }, { 'a.out': 'x\n 2\n' }).differences).toEqual([
    "a.out: stock has ' 1', Zenith ' 2'",
  ]);
  remove();
  expect(compare({ 'a.out': 'x\n' }, { 'a.out': 'x\ny\n' }).differences).toHaveLength(1);
  remove();
  expect(compare({ 'a.out': '', 'b.out': '' }, { 'a.out': '' })).toEqual({
    files: 2,
    identical: 1,
    differences: ['b.out: only on stock'],
  });
});

test('the order of lines counts but where it is known to be volatile', () => {
  expect(compare({ 'a.out': '1\n2\n' }, { 'a.out': '2\n1\n' }).differences).toHaveLength(1);
  remove();
  expect(compare({ 'cluster.out': '1\n2\n' }, { 'cluster.out': '2\n1\n' }).differences).toEqual([]);
  remove();
  expect(compare({ 'cluster.out': '1\n2\n' }, { 'cluster.out': '2\n2\n' }).differences).toHaveLength(1);
});

test('the buffers of a plan, and the width they give its frame, do not count', () => {
  const plan = (buffers: string): string =>
    `   QUERY PLAN\n${'-'.repeat(10 + buffers.length)}\n Seq Scan on t\n   ${buffers}\n(2 rows)\n`;
  expect(
    compare({ 'a.out': plan('Buffers: shared hit=1') }, { 'a.out': plan('Buffers: shared hit=101 read=3') })
      .differences,
  ).toEqual([]);
});
