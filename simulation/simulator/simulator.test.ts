import { afterEach, describe, expect, test } from 'vitest';
import { breakRule, mendRules, type Rule } from '../mutations.test-support.ts';
import { Counters } from './counters.ts';
import { figure8 } from './figure-8.test-support.ts';
import { firstFailure } from './first-failure.test-support.ts';
import { simulate, type SeedReport } from './simulation.ts';

const SEEDS = 24;

afterEach(mendRules);

test('with faults of every kind nothing acknowledged is lost, and work goes on after them', async () => {
  const counters = new Counters();
  const failures: SeedReport[] = [];
  let committedBytes = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    const report = await simulate(seed);
    if (report.failure !== null) failures.push(report);
    counters.add(report.counts);
    committedBytes += report.committedBytes;
  }
  expect(failures).toEqual([]);
  expect(committedBytes / SEEDS).toBeGreaterThan(50_000);
  expect((counters.all['elected'] ?? 0) / SEEDS).toBeGreaterThan(3);
});

test('a sync that failed right before everything is healed, and that the timeline learns of after, is healed too', async () => {
  expect((await simulate(102_008)).failure).toBeNull();
});

test('the same seed gives the same run, another one another', async () => {
  const [first, second] = [await simulate(7), await simulate(7)];
  expect(second).toEqual(first);
  expect((await simulate(8)).hash).not.toBe(first.hash);
});

describe('the simulator catches', () => {
  test.each<[string, Rule, RegExp]>([
    [
      'an election with half of the votes',
      'half-the-votes',
      /^term \d+ (was elected twice|begins at .*, and .* was acknowledged before)$/,
    ],
    [
      'an acceptor that forgets its vote in a crash',
      'forgotten-vote',
      /^safekeeper \d+ voted for computes \d+ and \d+ in term \d+$/,
    ],
    [
      'WAL that is acknowledged before it is synced',
      'no-sync',
      /^what safekeeper \d+ serves differs at .* from what was acknowledged/,
    ],
  ])('%s', async (_what, rule, message) => {
    breakRule(rule);
    expect(await firstFailure(SEEDS)).toEqual({ kind: 'safety', message: expect.stringMatching(message) });
  });
});

describe('Figure 8 of the Raft paper', () => {
  test('acknowledges nothing of an older term on its own, and what comes after', async () => {
    const { before, after } = await figure8();
    expect(before).toBe(0);
    expect(after).toBeGreaterThan(0);
  });

  test('loses WAL of an older term that is committed on its own', async () => {
    breakRule('older-term-commit');
    const broken = await import('./figure-8.test-support.ts');
    await expect(broken.figure8()).rejects.toMatchObject({
      name: 'SafetyViolation',
      message: expect.stringMatching(/^term 4 begins at .*, and .* was acknowledged before$/),
    });
  });
});
