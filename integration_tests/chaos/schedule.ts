import { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import { POSSIBLE_FAULTS, leavesQuorum, partsOf, randomCombination, type Combination } from './faults.ts';

/** One round of faults. */
export interface Round extends Combination {
  /** How long the faults last at least. Unit: ms. */
  readonly holdMs: number;
}

/** Most rounds last so long. Unit: ms. */
const HOLD_MIN_MS = 200;
const HOLD_MAX_MS = 2_500;

/** One round of so many lasts longer than a proposer bears the silence of a safekeeper (15 s). */
const LONG_EVERY = 16;
const LONG_HOLD_MS = 17_000;

/** Of so many rounds in a row the last one leaves no quorum. */
const BEYOND_EVERY = 3;

/** A round is the best of so many combinations. */
const CANDIDATES = 100;

/** How many pairs of faults there are, as {@link pairsOf} counts them. */
export const POSSIBLE_PAIRS = POSSIBLE_FAULTS.reduce(
  (sum, { faults }, index) =>
    sum + POSSIBLE_FAULTS.slice(index + 1).reduce((pairs, other) => pairs + faults.length * other.faults.length, 0),
  0,
);

/** What of a combination happens together with what else of it: the pairs that a schedule covers first. */
export function pairsOf(combination: Combination): string[] {
  const parts = partsOf(combination);
  return parts.flatMap((one, index) => parts.slice(index + 1).map((other) => `${one} + ${other}`));
}

/**
 * Combinations without end, in an order that depends on the seed only: two that leave a quorum, then one that does not, and so on; each is the one of some random ones that brings most faults together that no round before has brought
 * together.
 */
export function* schedule(seed: number): Generator<Round, never> {
  const random = new Random(seed);
  const covered = new Set<string>();
  for (let number = 1; ; number++) {
    const wantsQuorum = number % BEYOND_EVERY !== 0;
    let best: { readonly combination: Combination; readonly fresh: readonly string[] } | undefined;
    for (let candidates = 0; candidates < CANDIDATES;) {
      const combination = randomCombination(random);
      if (leavesQuorum(combination) !== wantsQuorum) continue;
      candidates++;
      const fresh = pairsOf(combination).filter((pair) => !covered.has(pair));
      if (best === undefined || fresh.length > best.fresh.length) best = { combination, fresh };
    }
    if (best === undefined) throw new Error('a round has candidates');
    for (const pair of best.fresh) covered.add(pair);
    const holdMs = number % LONG_EVERY === 0 ? LONG_HOLD_MS : HOLD_MIN_MS + random.below(HOLD_MAX_MS - HOLD_MIN_MS);
    yield { ...best.combination, holdMs };
  }
}

/** In an order that depends on `random` only. */
export function shuffle<T>(items: T[], random: Random): T[] {
  for (let last = items.length - 1; last > 0; last--) {
    const other = random.below(last + 1);
    const [a, b] = [items[last], items[other]];
    if (a !== undefined && b !== undefined) [items[last], items[other]] = [b, a];
  }
  return items;
}
