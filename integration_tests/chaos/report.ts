import type { BankResult } from '../support/bank.ts';
import type { ColdReads } from './cold-rows.ts';
import { COMPUTES, faultsOf, leavesQuorum, type Combination, type ComputeName } from './faults.ts';
import { POSSIBLE_PAIRS, pairsOf } from './schedule.ts';

/** After a mend progress should come within this. Unit: ms. */
const PROGRESS_TARGET_MS = 10_000;

/** How long something took, over all rounds. Unit: ms. */
export interface Durations {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** How long something took on each compute of which that is known. Unit: ms. */
export type DurationsByName = Readonly<Partial<Record<ComputeName, number>>>;

/** How work went on in a round. */
interface WentOn {
  readonly during: DurationsByName;
  readonly afterMend: DurationsByName;
  readonly readAfterMend: DurationsByName;
}

/** What an audit of a bank found. */
export interface Audit {
  readonly problems: readonly string[];
  /** Sum of all balances. */
  readonly total: number;
}

/** What came of the bank on one of the two computes, on all branches on which that ran. */
export interface LineResult {
  readonly transfers: { readonly acknowledged: number; readonly unknown: number };
  /** Of cold rows. */
  readonly reads: number;
  readonly audits: number;
  /** Sum of all balances at the last audit; 0 when it is right. */
  readonly total: number | null;
  /** From the beginning of the mend to the first acknowledged transfer that was begun after it; `overTarget` took longer than 10 s. */
  readonly afterMend: Durations & { readonly overTarget: number };
  /** The same of reads of cold rows. */
  readonly readAfterMend: Durations & { readonly overTarget: number };
  /** From the faults to the first transfer that was begun after them, where a quorum was left and commits must go on. */
  readonly withQuorumLeft: Durations;
  /** The term at the end: so many elections there were on the last branch. */
  readonly term: number;
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
  /** Branches that were made of another one as it was then, and as it had been; and how many of them were removed. */
  readonly branches: { readonly present: number; readonly past: number; readonly removed: number };
  readonly lines: Readonly<Record<ComputeName, LineResult>>;
}

/** Gathers what a run says. */
export class ChaosReport {
  readonly #seed: number;
  readonly #beganMs = performance.now();
  readonly #problems: string[] = [];
  readonly #covered = new Set<string>();
  readonly #faults = new Map<string, number>();
  readonly #rounds = { withQuorum: 0, withoutQuorum: 0 };
  readonly #branches = { present: 0, past: 0, removed: 0 };
  readonly #lines: Readonly<Record<ComputeName, LineReport>> = { main: new LineReport(), branch: new LineReport() };

  constructor(seed: number) {
    this.#seed = seed;
  }

  /** True while there has been no problem. */
  get isClean(): boolean {
    return this.#problems.length === 0;
  }

  problem(what: string): void {
    this.#problems.push(what);
  }

  /** A round is over; transfers went on while its faults lasted, and transfers and reads after the beginning of its mend, each so many ms later. */
  round(combination: Combination, { during, afterMend, readAfterMend }: WentOn): void {
    this.#rounds[leavesQuorum(combination) ? 'withQuorum' : 'withoutQuorum']++;
    for (const pair of pairsOf(combination)) this.#covered.add(pair);
    for (const fault of faultsOf(combination)) this.#faults.set(fault, (this.#faults.get(fault) ?? 0) + 1);
    for (const name of COMPUTES) {
      const { afterMendMs, readAfterMendMs, wentOnMs } = this.#lines[name];
      if (during[name] !== undefined) wentOnMs.push(during[name]);
      if (afterMend[name] !== undefined) afterMendMs.push(afterMend[name]);
      if (readAfterMend[name] !== undefined) readAfterMendMs.push(readAfterMend[name]);
    }
  }

  /** A branch was made of the present or the past of another, and so many others were removed. */
  branch(of: 'present' | 'past', removed: number): void {
    this.#branches[of]++;
    this.#branches.removed += removed;
  }

  load(name: ComputeName, { acknowledged, unknown }: BankResult, { reads }: ColdReads): void {
    this.#lines[name].acknowledged += acknowledged.size;
    this.#lines[name].unknown += unknown.size;
    this.#lines[name].reads += reads;
  }

  /** An audit found this. */
  audit(name: ComputeName, { problems, total }: Audit, what: string): void {
    this.#lines[name].audits++;
    this.#lines[name].total = total;
    for (const problem of problems) this.problem(`${what}: ${problem}`);
    if (total !== 0) this.problem(`${what}: the balances add up to ${total}`);
  }

  term(name: ComputeName, term: number): void {
    this.#lines[name].term = term;
  }

  result(): ChaosResult {
    return {
      seed: this.#seed,
      seconds: Math.round((performance.now() - this.#beganMs) / 1000),
      problems: this.#problems,
      rounds: this.#rounds,
      pairs: { covered: this.#covered.size, of: POSSIBLE_PAIRS },
      faults: Object.fromEntries([...this.#faults].sort(([a], [b]) => (a < b ? -1 : 1))),
      branches: this.#branches,
      lines: { main: this.#lines.main.result(), branch: this.#lines.branch.result() },
    };
  }
}

/** What is known of one compute's bank so far. */
class LineReport {
  readonly afterMendMs: number[] = [];
  readonly readAfterMendMs: number[] = [];
  readonly wentOnMs: number[] = [];
  acknowledged = 0;
  unknown = 0;
  reads = 0;
  audits = 0;
  total: number | null = null;
  term = 0;

  result(): LineResult {
    return {
      transfers: { acknowledged: this.acknowledged, unknown: this.unknown },
      reads: this.reads,
      audits: this.audits,
      total: this.total,
      afterMend: withTarget(this.afterMendMs),
      readAfterMend: withTarget(this.readAfterMendMs),
      withQuorumLeft: durations(this.wentOnMs),
      term: this.term,
    };
  }
}

function withTarget(values: readonly number[]): Durations & { readonly overTarget: number } {
  return { ...durations(values), overTarget: values.filter((ms) => ms > PROGRESS_TARGET_MS).length };
}

function durations(values: readonly number[]): Durations {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0);
  return { count: sorted.length, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
}
