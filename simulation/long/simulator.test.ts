import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import { breakRule, mendRules, type Rule } from '../mutations.test-support.ts';
import { Counters } from '../simulator/counters.ts';
import { firstFailure } from '../simulator/first-failure.test-support.ts';

/** Run by two processes, half each. */
const SEEDS = 2_000;

const RUN = fileURLToPath(new URL('../simulator/run.ts', import.meta.url));

interface Result {
  readonly failures: readonly { readonly seed: number; readonly message: string }[];
  readonly counts: Readonly<Record<string, number>>;
}

async function run(seed: number, seeds: number): Promise<Result> {
  const execute = promisify(execFile);
  const options = ['--conditions=source', '--import', 'tsx', RUN, '--seed', `${seed}`, '--seeds', `${seeds}`, '--json'];
  // It ends with status 1 when a seed failed, and says which on standard output all the same.
  const { stdout } = await execute(process.execPath, options).catch((error: { readonly stdout?: string }) => ({
    stdout: error.stdout ?? '',
  }));
  return JSON.parse(stdout) as Result;
}

/** Every fault and every turn of the protocol that must have happened. */
const HAPPENED = [
  'all have what is committed, and nobody led',
  'safekeepers parted',
  'log: the copy of WAL from a peer was broken off',
  'not copied: diverged',
  'log: WAL copied from a peer',
  'log: WAL could not be copied from a peer',
  'log: a peer does not say what it has',
  'append',
  'candidate reconfigured',
  'leader reconfigured',
  'membership change begun',
  'membership change finished',
  'membership change taken back',
  'fault: membership change',
  'append from a donor',
  'broken timeline restarted',
  'commit acknowledged',
  'compute started',
  'compute went on that met the faults',
  'connection lost',
  'crash lost names',
  'crash lost unsynced bytes',
  'crash tore a page',
  'disk was full',
  'donor could not give',
  'donor gave',
  'elected',
  'election postponed',
  'fault: another compute',
  'fault: compute killed',
  'fault: connection reset',
  'fault: every safekeeper loses power',
  'fault: failing fsync',
  'fault: full disk',
  'fault: one-way partition',
  'fault: partition',
  'fault: power failure',
  'fault: safekeeper killed',
  'fault: slow disk',
  'fault: slow network',
  'fenced',
  'log: WAL cut back',
  'log: the disk takes no writes: the timeline waits until it does',
  'log: the disk takes writes again',
  'log: a proposer leads',
  'log: timeline broken',
  'log: timeline cannot be read',
  'log: timeline created',
  'log: timeline loaded',
  'message delayed',
  'message dropped',
  'message duplicated',
  'message reordered',
  'message stalled by a partition',
  'sync failed',
  'sync of a directory failed',
  'synced',
  'vote granted',
  'vote refused',
  'written before synced',
];

afterEach(mendRules);

test(`${SEEDS} seeds lose nothing, go on, and see every fault and every turn of the protocol`, async () => {
  const halves = await Promise.all([run(1, SEEDS / 2), run(1 + SEEDS / 2, SEEDS / 2)]);
  expect(halves.flatMap(({ failures }) => failures)).toEqual([]);
  const counters = new Counters();
  for (const { counts } of halves) counters.add(counts);
  expect(HAPPENED.filter((what) => counters.all[what] === undefined)).toEqual([]);
}, 600_000);

describe('the simulator catches', () => {
  test.each<[string, Rule, 'safety' | 'progress', RegExp]>([
    [
      'a donor chosen by its LSN alone',
      'donor-by-lsn',
      'safety',
      /^the WAL that term \d+ continues differs at .* from what was acknowledged/,
    ],
    [
      'a donor chosen by its term alone',
      'donor-by-term',
      'safety',
      /^a proposer stopped: safekeeper \d+ has WAL committed up to .*, the most advanced voter's ends at /,
    ],
    [
      'no truncation to the common point',
      'no-truncation',
      'safety',
      /^what safekeeper \d+ serves differs at .* from what was acknowledged/,
    ],
    [
      'files that are trusted after a crash because they read well',
      'trusted-files',
      'safety',
      /^(what safekeeper \d+ serves differs at .* from what was acknowledged|term \d+ begins at .*, and .* was acknowledged before$)/,
    ],
    [
      'WAL that diverged and is copied to all the same',
      'copies-what-diverged',
      'safety',
      /^what safekeeper \d+ serves differs at .* from what was acknowledged/,
    ],
    [
      'a leader that takes no acceptor up again',
      'no-return',
      'progress',
      /^no progress within 30 s: compute \d+ is leading in term /,
    ],
  ])(
    '%s',
    async (_what, rule, kind, message) => {
      breakRule(rule);
      expect(await firstFailure(600)).toEqual({ kind, message: expect.stringMatching(message) });
    },
    300_000,
  );
});
