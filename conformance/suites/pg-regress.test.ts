import { expect, test } from 'vitest';
import { parseOutcome } from './pg-regress.ts';

test('the outcome of a test is read from a line of either driver', () => {
  expect(parseOutcome('test test_setup                   ... ok          817 ms')).toEqual({
    name: 'test_setup',
    isOk: true,
  });
  expect(parseOutcome('     float4                       ... FAILED      414 ms')).toEqual({
    name: 'float4',
    isOk: false,
  });
  expect(parseOutcome('     random                       ... failed (ignored)  14 ms')).toEqual({
    name: 'random',
    isOk: false,
  });
  expect(
    parseOutcome('test read-write-unique            ... FAILED (test process exited with exit code 1)  56 ms'),
  ).toEqual({
    name: 'read-write-unique',
    isOk: false,
  });
});

test('other lines of a driver are no outcome', () => {
  for (const line of [
    'parallel group (20 tests):  varchar int4',
    'CREATE DATABASE',
    '=====  running regression test queries  =====',
    '',
  ])
    expect(parseOutcome(line)).toBeUndefined();
});
