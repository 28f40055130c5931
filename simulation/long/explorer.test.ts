import { afterEach, describe, expect, test } from 'vitest';
import { explore, type Exploration } from '../explorer/explore.ts';
import type { Bounds } from '../explorer/world.ts';
import { breakRule, mendRules } from '../mutations.test-support.ts';

const BOUNDS: Bounds = {
  terms: 2,
  log: 2,
  acceptors: 3,
  proposers: 2,
  cuts: 0,
  writesEarly: false,
  retries: false,
  copies: false,
};

afterEach(mendRules);

describe('in every state nothing acknowledged is lost, a term is elected once, and terms in a log never decrease', () => {
  test.each<[string, Bounds, number]>([
    ['three terms, two entries', { ...BOUNDS, terms: 3 }, 3_000_000],
    ['a leader that writes as soon as it is elected', { ...BOUNDS, writesEarly: true }, 150_000],
    ['candidates that try again', { ...BOUNDS, log: 1, retries: true }, 150_000],
    ['a connection that is cut', { ...BOUNDS, log: 1, cuts: 1 }, 150_000],
    ['acceptors that copy from each other what is committed', { ...BOUNDS, copies: true }, 200_000],
    [
      'the same, and a leader that writes as soon as it is elected',
      { ...BOUNDS, writesEarly: true, copies: true },
      200_000,
    ],
    ['three proposers', { ...BOUNDS, terms: 1, proposers: 3 }, 5_000],
    ['five acceptors', { ...BOUNDS, terms: 1, log: 1, acceptors: 5 }, 5_000],
  ])(
    '%s',
    (_what, bounds, statesMin) => {
      const found = explore(bounds);
      expect(found).toMatchObject({
        violation: null,
        complete: true,
        committedMax: bounds.log,
        electedMax: bounds.terms,
      });
      // docs/consensus-evidence.md has the exact numbers; far fewer would mean that something is not explored any more.
      expect(found.states).toBeGreaterThan(statesMin);
    },
    300_000,
  );
});

describe('a donor chosen by its LSN alone', () => {
  const explored = async (bounds: Bounds): Promise<Exploration> => {
    breakRule('donor-by-lsn');
    const module = await import('../explorer/explore.ts');
    return module.explore(bounds);
  };

  test('is not caught in two terms', async () => {
    expect((await explored(BOUNDS)).violation).toBeNull();
  });

  test('is caught in three', async () => {
    const { violation } = await explored({ ...BOUNDS, terms: 3 });
    expect(violation?.message).toMatch(/acknowledge|committed/);
  }, 300_000);
});
