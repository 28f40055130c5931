import { describe, expect, it } from 'vitest';
import { GALLERY } from '../gallery.test-support.ts';
import { BoundedView, FuzzViolation } from './bounded-view.test-support.ts';
import { fuzzFiles } from './files-target.test-support.ts';
import { fuzz } from './fuzz.test-support.ts';
import type { Random } from './random.test-support.ts';
import { fuzzRedo } from './redo-target.test-support.ts';
import { fuzzWal } from './wal-target.test-support.ts';

const REDO_STEPS = 700;
const WAL_STEPS = 40;
const FILE_STEPS = 3000;
/** The fresh one is in the message of whatever it finds. */
const SEEDS = [1, 2, Math.floor(Math.random() * 0x1_0000_0000)];

describe('a fuzzer', () => {
  it.each(SEEDS)('finds no damaged record or page that redo neither applies nor refuses, seed %d', (seed) => {
    expect(fuzz('redo', (random) => fuzzRedo(random, GALLERY), { seed, steps: REDO_STEPS })).toBe(REDO_STEPS);
  });

  it.each(SEEDS)('finds no damaged WAL that is decoded differently in other chunks, or throws, seed %d', (seed) => {
    expect(fuzz('wal', (random) => fuzzWal(random, GALLERY), { seed, steps: WAL_STEPS })).toBe(WAL_STEPS);
  });

  it.each(SEEDS)('finds no damaged file that is neither read nor refused, seed %d', (seed) => {
    expect(fuzz('files', fuzzFiles, { seed, steps: FILE_STEPS })).toBe(FILE_STEPS);
  });

  it('says how a finding can be repeated', () => {
    const broken = (random: Random): void => {
      if (random.below(10) === 0) throw new RangeError('broken');
    };
    expect(() => fuzz('target', broken, { seed: 5, steps: 1000 })).toThrow(
      /RangeError: broken\nrepeat it: npm run fuzz -- --target target --seed 5 --step \d+/,
    );
  });

  it('notices an access outside of what it allows, and a loop without an end', () => {
    const view = new BoundedView(new Uint8Array(32), 8, 16, false);
    expect(view.getUint32(12, true)).toBe(0);
    expect(() => view.getUint32(13, true)).toThrow(FuzzViolation);
    expect(() => view.getUint8(7)).toThrow(FuzzViolation);
    expect(() => view.setUint8(8, 1)).toThrow(FuzzViolation);
    expect(() => {
      for (;;) view.getUint8(8);
    }).toThrow(/accesses/);
  });
});
