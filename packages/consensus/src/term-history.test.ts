import type { Lsn } from '@zenith/base';
import { describe, expect, test } from 'vitest';
import { history } from './simulation/trace.test-support.ts';
import { cutHistory, highestCommonPoint, historiesAgree, isTermHistory, lastTerm } from './term-history.ts';

describe('a term history', () => {
  test('gives the term that wrote the last byte; an entry that starts at the end counts', () => {
    const entries = history('0@100 1@100 3@140');
    expect([100, 139, 140, 200].map((end) => lastTerm(entries, end as Lsn))).toEqual([1, 1, 3, 3]);
  });

  test('is cut to what the WAL has reached, and never to nothing', () => {
    expect(cutHistory(history('0@100 1@120 2@140'), 130 as Lsn)).toEqual(history('0@100 1@120'));
    expect(cutHistory(history('0@100 1@120'), 100 as Lsn)).toEqual(history('0@100'));
  });

  test.each(['1@100 1@120', '2@100 1@120', '1@120 2@100', '-1@0', '1.5@0'])(
    'has terms that increase and LSNs that do not decrease: not %s',
    (text) => {
      expect(isTermHistory(history(text))).toBe(false);
    },
  );

  test('is never empty', () => {
    expect(isTermHistory([])).toBe(false);
  });

  test('agrees with another one unless a term has two starts', () => {
    expect(historiesAgree(history('0@100 1@100 3@140'), history('0@100 2@120 3@140'))).toBe(true);
    expect(historiesAgree(history('0@100 1@100 3@140'), history('0@100 3@120'))).toBe(false);
  });
});

describe('the highest common point', () => {
  test.each([
    ['an acceptor that has nothing', '0@100 1@100', '0@100', 100, 100],
    ['one that has a beginning of the last term but one', '0@100 1@100 2@180', '0@100 1@100', 140, 140],
    ['one that has more of a term than went on', '0@100 1@100 2@180', '0@100 1@100', 220, 180],
    ['one that another leader led astray', '0@100 1@100 3@180', '0@100 1@100 2@140', 200, 140],
    ['one that was led astray beyond what went on', '0@100 1@100 3@180', '0@100 1@100 2@200', 240, 180],
    ['one that has the whole history', '0@100 1@100 2@180', '0@100 1@100 2@180', 220, 220],
    ['histories that share nothing', '4@100 5@150', '1@80', 120, 100],
  ])('of %s', (_what, proposer, acceptor, flushLsn, expected) => {
    expect(highestCommonPoint(history(proposer), history(acceptor), flushLsn as Lsn)).toBe(expected);
  });

  test('is not asked for when the histories contradict each other', () => {
    expect(() => highestCommonPoint(history('0@100 1@120'), history('0@100 1@110'), 200 as Lsn)).toThrow(
      'a term has one start',
    );
  });
});
