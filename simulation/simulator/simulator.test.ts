import { afterEach, describe, expect, test } from 'vitest';
import { breakRule, mendRules, type Rule } from '../mutations.test-support.ts';
import { Counters } from './counters.ts';
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
  test.each<[string, Rule]>([
    ['an election with half of the votes', 'half-the-votes'],
    ['an acceptor that forgets its vote in a crash', 'forgotten-vote'],
    ['WAL that is acknowledged before it is synced', 'no-sync'],
  ])('%s', async (_what, rule) => {
    breakRule(rule);
    const module = await import('./simulation.ts');
    let failure: SeedReport['failure'] = null;
    for (let seed = 1; seed <= SEEDS && failure === null; seed++) ({ failure } = await module.simulate(seed));
    expect(failure).not.toBeNull();
  });
});
