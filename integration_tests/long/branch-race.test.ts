import { expect, test } from 'vitest';
import { BranchRace } from '../branch-race/branch-race.ts';

// Branches made, removed and leased while collections move the cutoff past them, in one store with its worker threads and remote storage. Everything happens at once, on a disk and a remote storage that take a random number of turns of
// the event loop and sometimes fail, so that the windows stand open: between the check of a branch point and its registration, while the index of a branch is written, while a branch goes and another is made of it, between what the disk
// and what remote storage know. Why they are safe is in packages/pageserver/src/gc/README.md.
//
// A model of every line of history says what pages must be. What is recorded when a branch or a lease is acknowledged is read again and again, before and after collections, after restarts, and in copies of the disk and of remote storage
// taken in the middle of it all, as a killed process leaves them: with the disk, with both, or with remote storage alone; in them history is collected once more. Whether a branch, a lease or a removal must be refused is known in the turn
// in which it is asked for.
//
// A seed makes the same decisions in each run, but does not say which of them meet: threads and files take the time that they take. The seeds are in the names of the tests.

/** Asked for in one run; some 140 are made. */
const BRANCHES = 220;

const FIXED_SEED = 20_251_127;
const FRESH_SEED = Math.floor(Math.random() * 0x1_0000_0000);

test.each([
  ['fixed', FIXED_SEED],
  ['fresh', FRESH_SEED],
])(
  'a branch that a collection meets is refused, or has all of its history for as long as it is there: %s seed %i',
  async (_kind, seed) => {
    const { problems, counts } = await BranchRace.run(seed, BRANCHES);
    console.log(JSON.stringify({ seed, ...counts }));
    expect(problems.slice(0, 20)).toEqual([]);
    const sum = (prefix: string): number =>
      Object.entries(counts).reduce((total, [name, count]) => total + (name.startsWith(prefix) ? count : 0), 0);
    expect(sum('made: ')).toBeGreaterThan(BRANCHES / 2);
    for (const happened of [
      'made: at',
      'made: above',
      'made: next',
      'made: at, of a branch',
      'refused: lsn-outside-history',
      'refused: no-such-timeline',
      'refused: the disk failed',
      'removed',
      'removals refused',
      'removals that failed on the way',
      'lease refused',
      'leases ended',
      'killed, left with the disk',
      'killed, left with both',
      'killed, left with remote storage',
    ])
      expect({ happened, times: sum(happened) }).not.toEqual({ happened, times: 0 });
    expect(counts['moves of the cutoff']).toBeGreaterThan(20);
    expect(counts['removed layers']).toBeGreaterThan(100);
  },
);
