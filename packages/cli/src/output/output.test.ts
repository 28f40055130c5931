import { CorruptionError, assert } from '@zenith/base';
import { ControlPlaneError } from '@zenith/control-plane';
import { expect, test } from 'vitest';
import { describeFailure, formatFailure, UsageError } from './failure.ts';
import { formatBytes, formatTable } from './table.ts';

function thrownBy(work: () => void): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
}

test.each([
  ['an expected failure', new ControlPlaneError('port-taken', 'port 1 is taken'), 1, 'port-taken', 'port 1 is taken'],
  ['an interruption', new ControlPlaneError('interrupted', 'interrupted'), 130, 'interrupted', 'interrupted'],
  ['wrong usage', new UsageError('no such option'), 2, 'usage', 'no such option'],
  [
    'bad bytes',
    new CorruptionError('bad checksum', { source: '/a', offset: 4 }),
    1,
    'corruption',
    'bad checksum (/a at byte 4)',
  ],
  [
    'what the system refuses',
    Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' }),
    1,
    'system',
    'ENOSPC: no space left on device',
  ],
  [
    'what PostgreSQL refuses',
    Object.assign(new Error('relation "t" does not exist'), { code: '42P01' }),
    1,
    'system',
    'relation "t" does not exist',
  ],
  ['several lines', new ControlPlaneError('system', 'one\n  two\n'), 1, 'system', 'one; two'],
])('%s', (_what, thrown, exitCode, code, message) => {
  expect(describeFailure(thrown)).toEqual({ exitCode, code, message });
});

test('a failed assertion is a defect', () => {
  expect(describeFailure(thrownBy(() => assert(false, 'a is b')))).toEqual({
    exitCode: 3,
    code: 'internal',
    message: 'a defect in zenith: a is b (set ZENITH_DEBUG=1 to see where)',
  });
  expect(describeFailure(undefined).exitCode).toBe(3);
});

test('a failure is a line, or a document', () => {
  const failure = { exitCode: 1, code: 'busy', message: 'wait' } as const;
  expect(formatFailure(failure, false)).toBe('zenith: wait');
  expect(JSON.parse(formatFailure(failure, true))).toEqual({ error: { code: 'busy', message: 'wait' } });
});

test('a table has aligned columns and no trailing spaces', () => {
  expect(
    formatTable([
      ['A', 'LONG', ''],
      ['ääää', 'x', ''],
      ['b', 'y', 'z'],
    ]),
  ).toEqual(['A      LONG', 'ääää   x', 'b      y      z']);
});

test.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1.0 KiB'],
  [1_572_864, '1.5 MiB'],
  [2 ** 53, '8.0 PiB'],
])('%i bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
