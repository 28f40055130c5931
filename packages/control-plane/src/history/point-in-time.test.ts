import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { formatPointInTime, isoPointInTime, looksLikeTime, parsePointInTime } from './point-in-time.ts';

const before = process.env['TZ'];
beforeEach(() => {
  process.env['TZ'] = 'Europe/Berlin';
});
afterEach(() => {
  if (before === undefined) delete process.env['TZ'];
  else process.env['TZ'] = before;
});

test.each([
  ['2026-11-22 10:00:00Z', '2026-11-22T10:00:00.000000Z'],
  ['2026-11-22 10:00 UTC', '2026-11-22T10:00:00.000000Z'],
  ['2026-11-22T10:00:00.5+01', '2026-11-22T09:00:00.500000Z'],
  ['2026-11-22 10:00:00.123456-0530', '2026-11-22T15:30:00.123456Z'],
  ['2026-11-22 10:00:00 +05:45', '2026-11-22T04:15:00.000000Z'],
  // without a zone: local time, in winter and in summer
  ['2026-11-22 10:00:00', '2026-11-22T09:00:00.000000Z'],
  ['2026-07-22 10:00:00.000001', '2026-07-22T08:00:00.000001Z'],
  ['2026-11-22', '2026-11-21T23:00:00.000000Z'],
  ['2024-02-29 00:00Z', '2024-02-29T00:00:00.000000Z'],
])('%s is %s', (text, expected) => {
  expect(isoPointInTime(parsePointInTime(text))).toBe(expected);
});

test.each([
  ['yesterday', 'write one such as'],
  ['10:00', 'write one such as'],
  ['2026-11-22 10', 'write one such as'],
  ['2026-11-22 10:00:00.1234567', 'write one such as'],
  ['2026-11-22 10:00:00 CET', 'write one such as'],
  ['2026-02-29 10:00Z', 'there is no such time'],
  ['2026-13-01', 'there is no such time'],
  ['2026-11-22 24:00', 'there is no such time'],
  ['2026-11-22 10:60', 'there is no such time'],
  ['1969-12-31 00:00Z', 'there is no such time'],
  ['2026-11-22 10:00+16', 'there is no time zone +16'],
  ['2026-03-29 02:30', 'local clocks skip that time'],
])('%s is none', (text, why) => {
  expect(() => parsePointInTime(text)).toThrow(why);
});

describe('is shown', () => {
  test('in UTC and as the clock here shows it', () => {
    const time = parsePointInTime('2026-11-22 09:00:00.000042Z');
    expect(formatPointInTime(time)).toBe('2026-11-22 09:00:00.000042 UTC (2026-11-22 10:00:00.000042+01:00 here)');
    process.env['TZ'] = 'UTC';
    expect(formatPointInTime(time)).toBe('2026-11-22 09:00:00.000042 UTC');
  });
});

test('a time is told from an LSN and from a branch', () => {
  expect(['2026-11-22 10:00', '0/16B3D98', '1609610', 'main'].map(looksLikeTime)).toEqual([true, false, false, false]);
});
