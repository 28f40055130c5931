import { lsn } from '@zenith/base';
import { expect, test } from 'vitest';
import { allStorageFaults, COMPUTE_FAULTS, COMPUTES, leavesQuorum } from '../chaos/faults.ts';
import { Ledger } from '../chaos/ledger.ts';
import { runChaos } from '../chaos/run-chaos.ts';
import { POSSIBLE_PAIRS, pairsOf, schedule, type Round } from '../chaos/schedule.ts';

const SEED = 1;
const ROUNDS = 20;

/** The first rounds of a schedule. */
function rounds(seed: number, count: number): Round[] {
  const generator = schedule(seed);
  return Array.from({ length: count }, () => generator.next().value);
}

test('a schedule depends on its seed only, brings every two faults together early, and leaves a quorum in two rounds of three', () => {
  const first = rounds(SEED, 200);
  expect(rounds(SEED, 200)).toEqual(first);
  expect(rounds(SEED + 1, 200)).not.toEqual(first);
  expect(new Set(first.flatMap(pairsOf)).size).toBe(POSSIBLE_PAIRS);
  expect(first.map(leavesQuorum)).toEqual(first.map((_, index) => index % 3 !== 2));
});

test('each compute meets all that leaves a quorum with each of its own faults, once before any of it comes again', () => {
  const possible = allStorageFaults().filter(leavesQuorum).length * COMPUTE_FAULTS.length;
  const withQuorum = rounds(SEED, (possible * 3) / 2).filter(leavesQuorum);
  expect(withQuorum.length).toBe(possible);
  for (const name of COMPUTES) {
    const met = withQuorum.map(({ safekeepers, pageserver, computes }) =>
      [...safekeepers, pageserver, computes[name]].join(),
    );
    expect(new Set(met).size).toBe(possible);
  }
});

test('books say of every LSN what a branch there must have, and what it may have', async () => {
  const ledger = new Ledger(0, lsn(100), new Set([-1]));
  const owed = (at: number): { must: number[]; may: number[] } => {
    const { acknowledged, unknown } = ledger.at(lsn(at));
    return { must: [...acknowledged], may: [0, 1, 2, 3].filter((id) => unknown.has(id)) };
  };
  ledger.begin(0);
  ledger.begin(1);
  ledger.acknowledge(1);
  await ledger.mark(() => {
    // both happen while the LSN is read
    ledger.acknowledge(0);
    ledger.begin(2);
    return Promise.resolve(lsn(200));
  });
  ledger.begin(3);
  expect(owed(100)).toEqual({ must: [-1], may: [] });
  expect(owed(150)).toEqual({ must: [-1], may: [0, 1, 2] });
  expect(owed(200)).toEqual({ must: [-1, 1], may: [0, 1, 2] });
  expect(() => ledger.at(lsn(201))).toThrow('between marks');
  await ledger.mark(() => Promise.resolve(lsn(300)));
  expect(owed(200)).toEqual({ must: [-1, 1], may: [0, 1, 2] });
  expect(owed(201)).toEqual({ must: [-1, 1], may: [0, 1, 2, 3] });
  expect(owed(300)).toEqual({ must: [-1, 1, 0], may: [0, 1, 2, 3] });
});

test('safekeepers, pageserver and all parts of two computes killed, stopped and cut off, one of them on one branch after the other: nothing acknowledged is lost, nothing is there that was never made, and all goes on', async () => {
  const result = await runChaos({ seed: SEED, isOver: (done) => done === ROUNDS, tell: (line) => console.log(line) });
  console.log(JSON.stringify(result));
  expect(result.problems).toEqual([]);
  expect(result.rounds.withQuorum + result.rounds.withoutQuorum).toBe(ROUNDS);
  const { branches, lines } = result;
  expect(branches.present).toBeGreaterThan(0);
  expect(branches.past).toBeGreaterThan(0);
  expect(branches.removed).toBeGreaterThan(0);
  for (const { transfers, reads, total, afterMend, readAfterMend } of [lines.main, lines.branch]) {
    expect(transfers.acknowledged).toBeGreaterThan(10 * ROUNDS);
    expect(reads).toBeGreaterThanOrEqual(ROUNDS);
    expect(total).toBe(0);
    expect([afterMend.count, readAfterMend.count]).toEqual([ROUNDS, ROUNDS]);
  }
  expect(lines.main.audits).toBe(ROUNDS + 1);
  expect(lines.branch.audits).toBe(ROUNDS + 1 + branches.present + branches.past);
});
