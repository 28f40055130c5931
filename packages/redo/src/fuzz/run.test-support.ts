import { parseArgs } from 'node:util';
import type { PgMajor } from '@zenith/pg-format';
import { GALLERY } from '../gallery.test-support.ts';
import { fuzzFiles } from './files-target.test-support.ts';
import { fuzz, type FuzzTarget } from './fuzz.test-support.ts';
import { fuzzRedo } from './redo-target.test-support.ts';
import { serverCorpus } from './server-corpus.test-support.ts';
import { fuzzWal } from './wal-target.test-support.ts';

// npm run fuzz [-- --seconds 60 --seed 1 --target redo --step 17 --server 18]
// With --server the records and pages are those of a stock PostgreSQL of that version, which differ from run to run: a step cannot be repeated with them.
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    seed: { type: 'string' },
    step: { type: 'string' },
    target: { type: 'string' },
    server: { type: 'string' },
  },
});

const corpus = values.server === undefined ? GALLERY : await serverCorpus(parseMajor(values.server));
const targets: Record<string, FuzzTarget> = {
  redo: (random) => fuzzRedo(random, corpus),
  wal: (random) => fuzzWal(random, corpus),
  files: fuzzFiles,
};
const seed = values.seed === undefined ? Math.floor(Math.random() * 0x1_0000_0000) : Number(values.seed);
const chosen = values.target === undefined ? Object.keys(targets) : [values.target];
for (const name of chosen) {
  const target = targets[name];
  if (target === undefined)
    throw new Error(`there is no target '${name}': choose one of ${Object.keys(targets).join(', ')}`);
  const until = performance.now() + (Number(values.seconds) * 1000) / chosen.length;
  const steps = fuzz(name, target, {
    seed,
    ...(values.step === undefined
      ? { steps: Number.MAX_SAFE_INTEGER, goesOn: () => performance.now() < until }
      : { firstStep: Number(values.step), steps: 1 }),
  });
  console.log(`${name}: ${steps} steps with seed ${seed}, nothing found`);
}

function parseMajor(text: string): PgMajor {
  const major = ([15, 16, 17, 18] as const).find((candidate) => String(candidate) === text);
  if (major === undefined) throw new Error(`'${text}' is none of 15, 16, 17 and 18`);
  return major;
}
