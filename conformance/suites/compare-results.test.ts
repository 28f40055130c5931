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
    equalButVolatile: [],
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

test('the slot of the WAL proposer does not count, another slot does', () => {
  const rows = (...names: string[]): string =>
    ` slot_name | plugin \n-----------+--------\n${names.map((name) => ` ${name} | \n`).join('')}(${names.length} rows)\n`;
  const expanded = (...names: string[]): string =>
    `${names.map((name, i) => `-[ RECORD ${i + 1} ]-+-----\nslot_name | ${name}\nplugin | \n`).join('') || '(0 rows)\n'}\nselect 1;\n`;
  for (const show of [rows, expanded]) {
    const result = compare({ 'slot.out': show() }, { 'slot.out': show('zenith_wal_proposer') });
    expect(result).toMatchObject({ differences: [], equalButVolatile: ['slot'] });
    remove();
    expect(compare({ 'slot.out': show() }, { 'slot.out': show('other') }).differences).toHaveLength(1);
    remove();
    expect(compare({ 'a.out': show() }, { 'a.out': show('zenith_wal_proposer') }).differences).toHaveLength(1);
    remove();
  }
});

test('the LSN that pageinspect shows of a GiST page does not count, the rest of the row does', () => {
  const row = (lsn: string, link: number): string => ` ${lsn} | 0/0 | ${link} | {}\n`;
  expect(compare({ 'gist.out': row('0/AF20C80', 1) }, { 'gist.out': row('0/FEA8B5D8', 1) }).differences).toEqual([]);
  remove();
  expect(compare({ 'gist.out': row('0/AF20C80', 1) }, { 'gist.out': row('0/FEA8B5D8', 2) }).differences).toHaveLength(
    1,
  );
});

test('the transaction id that test_decoding prints does not count, what a message says does', () => {
  const message = (xid: number, text: string): string => ` BEGIN ${xid}\n ${text}\n COMMIT ${xid}\n`;
  expect(compare({ 'messages.out': message(1958, 'a') }, { 'messages.out': message(1962, 'a') }).differences).toEqual(
    [],
  );
  remove();
  expect(
    compare({ 'messages.out': message(1958, 'a') }, { 'messages.out': message(1962, 'b') }).differences,
  ).toHaveLength(1);
});
