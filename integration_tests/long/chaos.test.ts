import { expect, test } from 'vitest';
import { runChaos } from '../chaos/run-chaos.ts';
import { leavesQuorum } from '../chaos/faults.ts';
import { allCombinations, pairsOf, schedule } from '../chaos/schedule.ts';

const SEED = 1;
const ROUNDS = 20;

test('a schedule depends on its seed only, has every combination once, and brings every two faults together early', () => {
  const rounds = [...schedule(SEED)];
  expect(rounds).toEqual([...schedule(SEED)]);
  expect([...schedule(SEED + 1)].slice(0, ROUNDS)).not.toEqual(rounds.slice(0, ROUNDS));
  const key = ({ safekeepers, compute, pageserver }: (typeof rounds)[number]): string =>
    [...safekeepers, compute, pageserver].join();
  expect(new Set(rounds.map(key)).size).toBe(allCombinations().length);
  const pairs = new Set(allCombinations().flatMap(pairsOf)).size;
  expect(new Set(rounds.slice(0, 200).flatMap(pairsOf)).size).toBe(pairs);
  expect(rounds.slice(0, ROUNDS).filter((round) => !leavesQuorum(round))).toHaveLength(Math.floor(ROUNDS / 3));
});

test('safekeepers, pageserver and all parts of a compute killed, stopped and cut off: nothing acknowledged is lost, nothing is there that was never made, and all goes on', async () => {
  const result = await runChaos({ seed: SEED, isOver: (done) => done === ROUNDS, tell: (line) => console.log(line) });
  console.log(JSON.stringify(result));
  expect(result.problems).toEqual([]);
  expect(result.rounds.withQuorum + result.rounds.withoutQuorum).toBe(ROUNDS);
  expect(result.transfers.acknowledged).toBeGreaterThan(10 * ROUNDS);
  expect(result.total).toBe(0);
  expect(result.audits).toBe(ROUNDS + 1);
});
