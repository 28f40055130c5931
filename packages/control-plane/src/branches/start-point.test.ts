import { lsn, parseLsn } from '@zenith/base';
import { expect, test } from 'vitest';
import { alignLsn, parseStartPoint } from './start-point.ts';

const ID = '0123456789abcdef0123456789abcdef';

test.each([
  ['main', { branch: 'main', lsn: undefined }],
  ['main@0/1609610', { branch: 'main', lsn: parseLsn('0/1609610') }],
  ['v1.2_x-y@16/B374D848', { branch: 'v1.2_x-y', lsn: parseLsn('16/B374D848') }],
  [ID, { timeline: ID, lsn: undefined }],
  [ID.toUpperCase(), { timeline: ID, lsn: undefined }],
  ['main@2026-11-22 10:00:00.5Z', { branch: 'main', lsn: undefined, time: 1_795_341_600_500_000 }],
  [`${ID}@0/2000028`, { timeline: ID, lsn: parseLsn('0/2000028') }],
])('%s is a start point', (text, expected) => {
  expect(parseStartPoint(text)).toEqual(expected);
});

test.each([
  ['', 'write BRANCH, BRANCH@LSN'],
  ['@0/1', 'write BRANCH, BRANCH@LSN'],
  ['main@', "'' is not an LSN"],
  ['main@latest', "'latest' is not an LSN"],
  ['main@0/1@0/2', "'0/1@0/2' is not an LSN"],
  ['main@2026-02-30', 'there is no such time'],
  ['main@FFFFFFFF/FFFFFFFF', 'is not an LSN'],
  ['a/b', 'cannot name a branch'],
  ['../x@0/1', 'cannot name a branch'],
])('%j is none', (text, message) => {
  expect(() => parseStartPoint(text)).toThrow(message);
});

test.each([
  ['0/1609610', '0/1609610'], // a record's beginning stands
  ['0/1609611', '0/1609618'], // padding after a record belongs to it
  ['0/1609617', '0/1609618'],
  ['0/160A000', '0/160A000'], // a page boundary stands
  ['0/160A008', '0/160A000'], // no record begins in a page header
  ['0/160A018', '0/160A018'],
  ['0/1000020', '0/1000000'], // the first page of a segment has a long header
  ['0/1000028', '0/1000028'],
  ['0/1609FFD', '0/160A000'],
])('%s stands for the position %s', (given, meant) => {
  expect(alignLsn(parseLsn(given))).toBe(parseLsn(meant));
});

test('aligning is idempotent', () => {
  for (let position = 0x100_0000 - 100; position < 0x100_0000 + 100; position++)
    expect(alignLsn(alignLsn(lsn(position)))).toBe(alignLsn(lsn(position)));
});
