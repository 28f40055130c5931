import { CorruptionError, type Lsn } from '@zenith/base';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BATCH_COMMITS_MAX, decodeBatch, encodeBatch } from './commit-batch.ts';
import { readCommitTime, type CommitTime } from './commit-time.ts';

const time = fc.integer({ min: 0, max: 2 ** 52 - 1 });

test('what was encoded is decoded', () => {
  fc.assert(
    fc.property(
      fc.nat(2 ** 40),
      time,
      fc.array(fc.tuple(fc.integer({ min: 8, max: 2 ** 36 }), time), { minLength: 1, maxLength: BATCH_COMMITS_MAX }),
      (previousLsn, timeBefore, commits) => {
        let at = previousLsn;
        const lsns = Float64Array.from(commits, ([step]) => (at += step));
        const times = Float64Array.from(commits, ([, one]) => one);
        const batch = {
          previousLsn: previousLsn as Lsn,
          timeBefore: timeBefore as CommitTime,
          count: lsns.length,
          lsns,
          times,
        };
        expect(decodeBatch(encodeBatch(batch))).toEqual(batch);
      },
    ),
  );
});

test('any other bytes are corruption, never another error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        const batch = decodeBatch(bytes);
        expect(batch.lsns.length).toBe(batch.count);
      } catch (error) {
        expect(error).toBeInstanceOf(CorruptionError);
      }
    }),
  );
});

test("a commit record's time is PostgreSQL's, from 2000 on", () => {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigInt64(0, 817_034_400_123_456n, true); // extract(epoch from '2025-11-21 10:00:00.123456+00'::timestamptz - '2000-01-01 00:00+00') * 1e6
  expect(readCommitTime(view, 0)).toBe(Date.UTC(2025, 10, 21, 10) * 1000 + 123_456);
  view.setBigInt64(0, -1n, true);
  expect(readCommitTime(view, 0)).toBe(Date.UTC(2000, 0, 1) * 1000 - 1);
  view.setBigInt64(0, -(2n ** 63n), true);
  expect(readCommitTime(view, 0)).toBe(0);
  view.setBigInt64(0, 2n ** 63n - 1n, true);
  expect(readCommitTime(view, 0)).toBe(2 ** 52 - 1);
});
