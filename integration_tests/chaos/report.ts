import type { BankResult } from '../support/bank.ts';
import { leavesQuorum, type Combination } from './faults.ts';
import { pairsOf } from './schedule.ts';

/** After a mend progress should come within this. Unit: ms. */
const PROGRESS_TARGET_MS = 10_000;

/** How long something took, over all rounds. Unit: ms. */
export interface Durations {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** What came of a run, for machines. */
export interface ChaosResult {
  readonly seed: number;
  readonly seconds: number;
  /** Nothing is wrong when it is empty; lost and phantom transfers are among them, by their ids. */
  readonly problems: readonly string[];
  readonly rounds: { readonly withQuorum: number; readonly withoutQuorum: number };
  /** Pairs of faults that have been there together, of all there can be. */
  readonly pairs: { readonly covered: number; readonly of: number };
  /** How often each fault was made. */
  readonly faults: Readonly<Record<string, number>>;
  readonly transfers: { readonly acknowledged: number; readonly unknown: number };
  /** Sum of all balances at the last audit; 0 when it is right. */
  readonly total: number | null;
  readonly audits: number;
  /** From the beginning of the mend to the first acknowledged transfer that was begun after it; `overTarget` took longer than 10 s. */
  readonly afterMend: Durations & { readonly overTarget: number };
  /** From the faults to the first transfer that was begun after them, where a quorum was left and commits must go on. */
  readonly withQuorumLeft: Durations;
  /** The term at the end: so many elections there were. */
  readonly term: number;
}

/** Gathers what a run says. */
export class ChaosReport {
  readonly #seed: number;
  readonly #pairs: number;
  readonly #beganMs = performance.now();
  readonly #problems: string[] = [];
  readonly #covered = new Set<string>();
  readonly #faults = new Map<string, number>();
  readonly #rounds = { withQuorum: 0, withoutQuorum: 0 };
  readonly #afterMendMs: number[] = [];
  readonly #wentOnMs: number[] = [];
  #acknowledged = 0;
  #unknown = 0;
  #total: number | null = null;
  #audits = 0;
  #term = 0;

  /** @param all every combination there can be */
  constructor(seed: number, all: readonly Combination[]) {
    this.#seed = seed;
    this.#pairs = new Set(all.flatMap(pairsOf)).size;
  }

  /** True while there has been no problem. */
  get isClean(): boolean {
    return this.#problems.length === 0;
  }

  problem(what: string): void {
    this.#problems.push(what);
  }

  /** A round is over; `recoveredMs` after the beginning of its mend transfers went on. */
  round(combination: Combination, recoveredMs: number): void {
    this.#rounds[leavesQuorum(combination) ? 'withQuorum' : 'withoutQuorum']++;
    for (const pair of pairsOf(combination)) this.#covered.add(pair);
    for (const fault of [
      ...combination.safekeepers.map((one) => `safekeeper ${one}`),
      combination.compute,
      `pageserver ${combination.pageserver}`,
    ]) {
      if (!fault.endsWith('none')) this.#faults.set(fault, (this.#faults.get(fault) ?? 0) + 1);
    }
    this.#afterMendMs.push(recoveredMs);
  }

  /** Transfers went on while faults lasted, `ms` after they began. */
  wentOn(ms: number): void {
    this.#wentOnMs.push(ms);
  }

  transfers({ acknowledged, unknown }: BankResult): void {
    this.#acknowledged += acknowledged.size;
    this.#unknown += unknown.size;
  }

  /** An audit found this sum of all balances. */
  total(sum: number): void {
    this.#audits++;
    this.#total = sum;
    if (sum !== 0) this.problem(`the balances add up to ${sum}`);
  }

  term(term: number): void {
    this.#term = term;
  }

  result(): ChaosResult {
    return {
      seed: this.#seed,
      seconds: Math.round((performance.now() - this.#beganMs) / 1000),
      problems: this.#problems,
      rounds: this.#rounds,
      pairs: { covered: this.#covered.size, of: this.#pairs },
      faults: Object.fromEntries([...this.#faults].sort(([a], [b]) => (a < b ? -1 : 1))),
      transfers: { acknowledged: this.#acknowledged, unknown: this.#unknown },
      total: this.#total,
      audits: this.#audits,
      afterMend: {
        ...durations(this.#afterMendMs),
        overTarget: this.#afterMendMs.filter((ms) => ms > PROGRESS_TARGET_MS).length,
      },
      withQuorumLeft: durations(this.#wentOnMs),
      term: this.#term,
    };
  }
}

function durations(values: readonly number[]): Durations {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
  return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}
