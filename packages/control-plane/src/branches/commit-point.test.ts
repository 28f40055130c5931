import { lsn, type Lsn, type TimelineId } from '@zenith/base';
import { expect, test } from 'vitest';
import type { SafekeeperTimeline } from '../clients/answers.ts';
import { readQuorum } from './commit-point.ts';
import { checkStartLsn } from './create-branch.ts';

function answer(flush: number, commit: number): SafekeeperTimeline {
  return {
    tenant: 'a',
    timeline: 'b' as TimelineId,
    term: 3,
    timelineStartLsn: lsn(8),
    flushLsn: lsn(flush),
    commitLsn: lsn(commit),
    remoteConsistentLsn: lsn(8),
  };
}

test('no WAL anywhere: nothing was written', () => {
  expect(readQuorum([undefined, undefined])).toEqual({ kind: 'no-wal' });
});

test('all that is flushed is committed: that is the commit point', () => {
  expect(readQuorum([answer(100, 100), answer(100, 96)])).toEqual({ kind: 'exact', lsn: 100 });
});

test('one that has not heard of the last commit does not matter', () => {
  expect(readQuorum([answer(64, 64), answer(100, 100), undefined])).toEqual({ kind: 'exact', lsn: 100 });
});

test('flushed WAL that nobody knows to be committed needs an election', () => {
  expect(readQuorum([answer(100, 96), answer(96, 96)])).toEqual({ kind: 'unknown' });
});

const timeline = { startLsn: lsn(1000) };
const check = (at: number, end: number): void => checkStartLsn(at as Lsn, timeline, lsn(end), "branch 'main'");

test('a branch may start anywhere from the beginning to the end', () => {
  expect(() => check(1000, 2000)).not.toThrow();
  expect(() => check(2000, 2000)).not.toThrow();
});

test('an LSN before the beginning is refused', () => {
  expect(() => check(992, 2000)).toThrow("0/3E0 lies before branch 'main', which begins at 0/3E8");
});

test('an LSN in the future is refused', () => {
  expect(() => check(2008, 2000)).toThrow("0/7D8 lies in the future of branch 'main', which ends at 0/7D0");
});
