import { Random } from './random.test-support.ts';

/** One step of a fuzzer. @throws when it found something */
export type FuzzTarget = (random: Random) => void;

/** How long to go on. */
export interface FuzzLimits {
  readonly seed: number;
  /** The first step; to repeat one step alone: that one. */
  readonly firstStep?: number;
  readonly steps: number;
  /** Asked now and then; false ends the run early. */
  readonly goesOn?: () => boolean;
}

const STEPS_PER_QUESTION = 64;

/**
 * Runs the steps of a target, each of which depends on the seed and its number alone.
 * @returns how many were run
 * @throws Error that says with which seed and step it can be repeated, with the finding as its cause
 */
export function fuzz(name: string, target: FuzzTarget, limits: FuzzLimits): number {
  const first = limits.firstStep ?? 0;
  for (let step = first; step < first + limits.steps; step++) {
    if (step % STEPS_PER_QUESTION === 0 && limits.goesOn?.() === false) return step - first;
    try {
      target(new Random(limits.seed, step));
    } catch (cause) {
      throw new Error(
        `fuzzing ${name} found something: ${String(cause)}\nrepeat it: npm run fuzz -- --target ${name} --seed ${limits.seed} --step ${step}`,
        { cause },
      );
    }
  }
  return limits.steps;
}
