import { describe, expect, test } from 'vitest';
import { Cluster } from './cluster.test-support.ts';

const SEEDS = Number(process.env['ZENITH_SEEDS'] ?? 400);
const FIRST_SEED = Number(process.env['ZENITH_SEED'] ?? 1);

describe.each([1, 3, 5])('with %i acceptors', (nodes) => {
  test('nothing acknowledged is lost, a term is elected once, and work goes on after the faults', () => {
    let elections = 0;
    let committed = 0;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      const cluster = new Cluster({ seed, nodes, steps: 1_500 });
      try {
        cluster.run();
      } catch (error) {
        throw new Error(`seed ${seed} with ${nodes} acceptors: ${(error as Error).message}`, { cause: error });
      }
      elections += cluster.elections;
      committed += cluster.committed.length;
    }
    // A simulation in which nothing happens proves nothing.
    expect(elections / SEEDS).toBeGreaterThan(3);
    expect(committed / SEEDS).toBeGreaterThan(50);
  });
});
