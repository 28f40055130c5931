import { describe, expect, test } from 'vitest';
import { fuzzFiles } from '../../packages/redo/src/fuzz/files-target.test-support.ts';
import { fuzz, type FuzzTarget } from '../../packages/redo/src/fuzz/fuzz.test-support.ts';
import { fuzzRedo } from '../../packages/redo/src/fuzz/redo-target.test-support.ts';
import { serverCorpus } from '../../packages/redo/src/fuzz/server-corpus.test-support.ts';
import { fuzzWal } from '../../packages/redo/src/fuzz/wal-target.test-support.ts';
import { GALLERY } from '../../packages/redo/src/gallery.test-support.ts';

// The fuzzers of packages/redo for longer than `npm test` runs them, and on what stock servers wrote. A fixed seed goes through the same steps in every run; with a fresh one a run takes as many
// as it can in its time. The seeds are in the names of the tests; a finding's message says how to repeat it.

const REDO_STEPS = 3000;
const WAL_STEPS = 150;
const FILE_STEPS = 10_000;
/** Time of one target with a fresh seed. Unit: ms. */
const FRESH_MS = 2500;

const FIXED_SEED = 20_251_125;
const FRESH_SEED = Math.floor(Math.random() * 0x1_0000_0000);

function forSomeTime(name: string, target: FuzzTarget): number {
  const until = performance.now() + FRESH_MS;
  return fuzz(name, target, {
    seed: FRESH_SEED,
    steps: Number.MAX_SAFE_INTEGER,
    goesOn: () => performance.now() < until,
  });
}

describe('damaged records, pages, WAL and files are applied or refused', () => {
  test(`seed ${FIXED_SEED}, always the same steps`, () => {
    const limits = { seed: FIXED_SEED };
    expect(fuzz('redo', (random) => fuzzRedo(random, GALLERY), { ...limits, steps: REDO_STEPS })).toBe(REDO_STEPS);
    expect(fuzz('wal', (random) => fuzzWal(random, GALLERY), { ...limits, steps: WAL_STEPS })).toBe(WAL_STEPS);
    expect(fuzz('files', fuzzFiles, { ...limits, steps: FILE_STEPS })).toBe(FILE_STEPS);
  });

  test(`a fresh seed, ${FRESH_SEED}`, () => {
    expect(forSomeTime('redo', (random) => fuzzRedo(random, GALLERY))).toBeGreaterThan(0);
    expect(forSomeTime('wal', (random) => fuzzWal(random, GALLERY))).toBeGreaterThan(0);
    expect(forSomeTime('files', fuzzFiles)).toBeGreaterThan(0);
  });
});

test.each([18, 15] as const)(`so are those that PostgreSQL %d wrote, a fresh seed, ${FRESH_SEED}`, async (major) => {
  const corpus = await serverCorpus(major);
  expect(corpus.length).toBeGreaterThan(300);
  expect(forSomeTime('redo', (random) => fuzzRedo(random, corpus))).toBeGreaterThan(0);
  expect(forSomeTime('wal', (random) => fuzzWal(random, corpus))).toBeGreaterThan(0);
});
