import { describe, expect, test } from 'vitest';
import { explore } from './explore.ts';
import { figure8 } from './figure-8.test-support.ts';
import { Fingerprints } from './fingerprints.ts';
import type { Bounds } from './world.ts';

const SMALL: Bounds = {
  terms: 2,
  log: 1,
  acceptors: 3,
  proposers: 2,
  cuts: 0,
  writesEarly: false,
  retries: false,
  copies: false,
};

describe('in every state within small bounds nothing acknowledged is lost, a term is elected once, and terms in a log never decrease', () => {
  test.each<[string, Bounds]>([
    ['two terms', { ...SMALL, acceptors: 2 }],
    ['one term, two entries', { ...SMALL, terms: 1, log: 2 }],
    ['one term, a candidate that tries again', { ...SMALL, terms: 1, retries: true }],
    ['one term, a connection that is cut', { ...SMALL, terms: 1, cuts: 1 }],
    ['two terms, acceptors that copy from each other', { ...SMALL, copies: true }],
    ['one acceptor, which is a quorum', { ...SMALL, acceptors: 1, terms: 3, log: 2, cuts: 1 }],
  ])('%s', (_what, bounds) => {
    const { violation, complete, committedMax, electedMax, actions } = explore(bounds);
    expect(violation).toBeNull();
    expect(complete).toBe(true);
    // An exploration in which nothing happens proves nothing.
    expect(committedMax).toBe(bounds.log);
    expect(electedMax).toBe(bounds.terms);
    for (const type of ['campaign', 'connect', 'deliver', 'vote', 'write', 'restart'] as const)
      expect(actions[type] > 0 || (type === 'connect' && bounds.acceptors <= 2)).toBe(true);
    expect(actions.cut > 0).toBe(bounds.cuts > 0);
    expect(actions.copy > 0).toBe(bounds.copies);
  });
});

test('the same exploration finds the same states every time', () => {
  expect(explore({ ...SMALL, terms: 1 })).toEqual(explore({ ...SMALL, terms: 1 }));
});

test('Figure 8 of the Raft paper plays in full, and WAL of an older term is not acknowledged', () => {
  expect(figure8()).toMatchObject({ committed: '', elected: '1234' });
});

test('a set of states knows what it has, however often it grew', () => {
  const states = new Fingerprints(4);
  const words = (i: number): Int32Array => Int32Array.of(i % 7, i, 0, Math.floor(i / 3));
  for (let i = 0; i < 10_000; i++) expect(states.add(words(i))).toBe(true);
  for (let i = 0; i < 10_000; i++) expect(states.add(words(i))).toBe(false);
  expect(states.size).toBe(10_000);
});
