import { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import {
  COMPUTES,
  COMPUTE_FAULTS,
  POSSIBLE_FAULTS,
  allStorageFaults,
  leavesQuorum,
  partsOf,
  type Combination,
  type ComputeFault,
  type ComputeName,
  type StorageFaults,
} from './faults.ts';

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
 * Combinations without end, in an order that depends on the seed only: two that leave a quorum, then one that does not, and so on. Each compute meets everything that may be wrong with storage with each of its own faults, once before any
 * of that comes again. Each round is the one of some random ones that brings most faults together that no round before has brought together.
 */
export function* schedule(seed: number): Generator<Round, never> {
  const random = new Random(seed);
  const covered = new Set<string>();
  const withQuorum = new Deck(random, allStorageFaults().filter(leavesQuorum));
  const beyond = new Deck(
    random,
    allStorageFaults().filter((faults) => !leavesQuorum(faults)),
  );
  for (let number = 1; ; number++) {
    const deck = number % BEYOND_EVERY === 0 ? beyond : withQuorum;
    const combination = deck.take((one) => pairsOf(one).filter((pair) => !covered.has(pair)).length);
    for (const pair of pairsOf(combination)) covered.add(pair);
    const holdMs = number % LONG_EVERY === 0 ? LONG_HOLD_MS : HOLD_MIN_MS + random.below(HOLD_MAX_MS - HOLD_MIN_MS);
    yield { ...combination, holdMs };
  }
}

/** What is wrong with storage, and with which faults of each compute that has not been together yet: as many of the one as of the other. */
interface Card {
  readonly storage: StorageFaults;
  readonly left: Readonly<Record<ComputeName, ComputeFault[]>>;
}

/** Combinations that have not had their turn. */
class Deck {
  readonly #random: Random;
  readonly #storage: readonly StorageFaults[];
  #cards: Card[] = [];

  constructor(random: Random, storage: readonly StorageFaults[]) {
    this.#random = random;
    this.#storage = storage;
  }

  /** Takes the one of some random ones of which `worth` is highest. */
  take(worth: (combination: Combination) => number): Combination {
    if (this.#cards.length === 0)
      this.#cards = this.#storage.map((storage) => ({
        storage,
        left: { main: [...COMPUTE_FAULTS], branch: [...COMPUTE_FAULTS] },
      }));
    let best = this.#draw();
    let most = worth(best.combination);
    for (let candidates = 1; candidates < CANDIDATES; candidates++) {
      const other = this.#draw();
      const value = worth(other.combination);
      if (value > most) [best, most] = [other, value];
    }
    const { card, combination } = best;
    for (const name of COMPUTES) card.left[name].splice(card.left[name].indexOf(combination.computes[name]), 1);
    if (card.left.main.length === 0) this.#cards.splice(this.#cards.indexOf(card), 1);
    return combination;
  }

  #draw(): { readonly card: Card; readonly combination: Combination } {
    const card = this.#random.pick(this.#cards);
    const computes = { main: this.#random.pick(card.left.main), branch: this.#random.pick(card.left.branch) };
    return { card, combination: { ...card.storage, computes } };
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
