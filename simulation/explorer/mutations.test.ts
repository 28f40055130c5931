import { afterEach, describe, expect, test, vi } from 'vitest';
import type { Exploration } from './explore.ts';
import { breakRule, mendRules } from '../mutations.test-support.ts';
import type { Bounds } from './world.ts';

// The explorer is worth what it catches: each test breaks one rule of the protocol, in a fresh copy of the modules. Two mutations need larger bounds and are in the long tests.

const BOUNDS: Bounds = {
  terms: 2,
  log: 2,
  acceptors: 3,
  proposers: 2,
  cuts: 0,
  writesEarly: true,
  retries: false,
  copies: false,
};

async function explored(bounds: Bounds = BOUNDS): Promise<Exploration> {
  const { explore } = await import('./explore.ts');
  return explore(bounds);
}

afterEach(mendRules);

describe('the explorer catches', () => {
  test('an election with half of the votes', async () => {
    breakRule('half-the-votes');
    const { violation, depth } = await explored();
    expect(violation?.message).toMatch(/elected twice/);
    expect(depth).toBeLessThanOrEqual(6);
  });

  test('no truncation to the common point', async () => {
    breakRule('no-truncation');
    const { violation } = await explored();
    expect(violation?.message).toMatch(/acknowledge|terms in a log|committed/);
  });

  test('WAL that diverged and is copied to all the same', async () => {
    breakRule('copies-what-diverged');
    const { violation } = await explored({ ...BOUNDS, copies: true });
    expect(violation?.message).toMatch(/acknowledge|terms in a log|committed/);
  });
});

test('WAL of an older term that is committed on its own is lost in Figure 8 of the Raft paper', async () => {
  breakRule('older-term-commit');
  const { figure8 } = await import('./figure-8.test-support.ts');
  expect(figure8).toThrow(/leader of term 4 has 2, and 1 was acknowledged by 3/);
});

test('a rule that was mended is whole again', async () => {
  breakRule('half-the-votes');
  mendRules();
  vi.resetModules();
  const { violation } = await explored({ ...BOUNDS, terms: 1 });
  expect(violation).toBeNull();
});
