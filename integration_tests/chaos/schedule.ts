import { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import { COMPUTE_FAULTS, PAGESERVER_FAULTS, SAFEKEEPER_FAULTS, leavesQuorum, type Combination } from './faults.ts';

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

/** Every combination of faults there is, without the one of none. */
export function allCombinations(): Combination[] {
  const combinations: Combination[] = [];
  for (const first of SAFEKEEPER_FAULTS)
    for (const second of SAFEKEEPER_FAULTS)
      for (const third of SAFEKEEPER_FAULTS)
        for (const compute of COMPUTE_FAULTS)
          for (const pageserver of PAGESERVER_FAULTS)
            combinations.push({ safekeepers: [first, second, third], compute, pageserver });
  return combinations.slice(1);
}

/** What of a combination happens together with what else of it: the pairs that a schedule covers first. */
export function pairsOf({ safekeepers, compute, pageserver }: Combination): string[] {
  const parts = [...safekeepers.map((fault, index) => `${index + 1} ${fault}`), compute, `pageserver ${pageserver}`];
  return parts.flatMap((one, index) => parts.slice(index + 1).map((other) => `${one} + ${other}`));
}

/**
 * All combinations in an order that depends on the seed only: two that leave a quorum, then one that does not, and so on while there are such; those first that bring most faults together that no round before has brought together.
 */
export function* schedule(seed: number): Generator<Round, undefined> {
  const random = new Random(seed);
  const shuffled = shuffle(allCombinations(), random);
  const covered = new Set<string>();
  const withQuorum = new Pool(shuffled.filter(leavesQuorum), covered);
  const beyond = new Pool(
    shuffled.filter((combination) => !leavesQuorum(combination)),
    covered,
  );
  for (let number = 1; ; number++) {
    const [preferred, other] = number % BEYOND_EVERY === 0 ? [beyond, withQuorum] : [withQuorum, beyond];
    const chosen = preferred.take() ?? other.take();
    if (chosen === undefined) return;
    const holdMs = number % LONG_EVERY === 0 ? LONG_HOLD_MS : HOLD_MIN_MS + random.below(HOLD_MAX_MS - HOLD_MIN_MS);
    yield { ...chosen, holdMs };
  }
}

/** Combinations that have not had their turn. */
class Pool {
  readonly #left: { readonly combination: Combination; readonly pairs: readonly string[] }[];
  readonly #covered: Set<string>;
  /** No combination that is left has a pair that is not covered. */
  #isCovered = false;

  /** @param covered pairs that have been there; shared with other pools */
  constructor(combinations: readonly Combination[], covered: Set<string>) {
    this.#left = combinations.map((combination) => ({ combination, pairs: pairsOf(combination) }));
    this.#covered = covered;
  }

  /** Takes the first of those that have most pairs that are not covered; undefined when there is none left. */
  take(): Combination | undefined {
    let best = 0;
    let bestCount = 0;
    if (!this.#isCovered) {
      for (const [index, { pairs }] of this.#left.entries()) {
        const count = pairs.filter((pair) => !this.#covered.has(pair)).length;
        if (count > bestCount) [best, bestCount] = [index, count];
      }
      this.#isCovered = bestCount === 0;
    }
    const [taken] = this.#left.splice(best, 1);
    for (const pair of taken?.pairs ?? []) this.#covered.add(pair);
    return taken?.combination;
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
