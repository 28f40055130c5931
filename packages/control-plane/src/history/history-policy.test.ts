import { expect, test } from 'vitest';
import { formatHistoryBytes, formatHistoryTime, parseHistoryBytes, parseHistoryTime } from './history-policy.ts';

test.each([
  ['7d', 604_800_000, '1w'],
  ['10d', 864_000_000, '10d'],
  ['36h', 129_600_000, '36h'],
  ['90 min', 5_400_000, '90min'],
  ['0s', 0, '0s'],
])('%s is a length of time', (text, timeMs, shown) => {
  expect(parseHistoryTime(text)).toBe(timeMs);
  expect(formatHistoryTime(timeMs)).toBe(shown);
  expect(parseHistoryTime(shown)).toBe(timeMs);
});

test.each([
  ['1GB', 1_073_741_824, '1GB'],
  ['1536MB', 1_610_612_736, '1536MB'],
  ['0b', 0, '0B'],
])('%s is a size', (text, bytes, shown) => {
  expect(parseHistoryBytes(text)).toBe(bytes);
  expect(formatHistoryBytes(bytes)).toBe(shown);
});

test.each(['', '7', 'd', '-1d', '7 days ago', '1e3h', '999999999TB', '7x'])('%j is neither', (text) => {
  expect(() => parseHistoryTime(text)).toThrow('is not a length of time');
  expect(() => parseHistoryBytes(text)).toThrow('is not a size');
});
