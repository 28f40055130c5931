import { lsn, parseLsn, type Lsn } from '@zenith/base';
import {
  ComputeOrigin,
  type ComputeTimeline,
} from '../../packages/compute/src/supervisor/compute-cluster.test-support.ts';
import { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import { alignLsn } from '../../packages/control-plane/src/branches/start-point.ts';
import { createBank, transfersOf, type Owed } from '../support/bank.ts';
import { ChaosCluster } from './chaos-cluster.ts';
import type { ChaosCompute } from './chaos-compute.ts';
import { createColdRows } from './cold-rows.ts';
import { faultsOf, goesOn, leavesQuorum } from './faults.ts';
import { Ledger } from './ledger.ts';
import { BANK, Line } from './line.ts';
import { ChaosReport, type ChaosResult, type DurationsByName } from './report.ts';
import { schedule, type Round } from './schedule.ts';
import { differencesOfWal } from './wal-copies.ts';

/** What to do. */
export interface ChaosOptions {
  readonly seed: number;
  /** True when there are to be no more rounds. */
  readonly isOver: (roundsDone: number) => boolean;
  /** Told what is done as it is done, one line each. */
  readonly tell: (line: string) => void;
}

/** The second compute moves to another branch before each round of so many. */
const MOVE_EVERY = 4;

/** Transfers before the faults of a round, and before and after a branch is made. */
const TRANSFERS_BEFORE = 10;

/** A PostgreSQL that crashed this often is given another supervisor before that one gives it up. */
const RESTARTS_MAX = 3;

/**
 * Transfers go on, on the first timeline and on a branch, while round after round of faults meets the cluster. After each everything is mended, transfers must go on on both, and both banks must be right: no acknowledged transfer may be
 * missing, none may be there that was never made, and the balances must add up. From time to time the second compute moves to another branch, which must have what was acknowledged before it was made and nothing that was begun later.
 * At the end everything is killed at once, and banks and indexes must be right on new computes, and the three safekeepers' WAL must be the same.
 */
export async function runChaos({ seed, isOver, tell }: ChaosOptions): Promise<ChaosResult> {
  const origin = await ComputeOrigin.create(18);
  const report = new ChaosReport(seed);
  let chaos: ChaosCluster | undefined;
  try {
    chaos = await ChaosCluster.start(origin);
    const main = await openBank(chaos);
    await new ChaosRun(chaos, main, report, new Random(seed), tell).run(seed, isOver);
  } catch (error) {
    report.problem(error instanceof Error ? error.message : String(error));
    for (const end of chaos?.ended() ?? []) report.problem(end);
  } finally {
    await chaos?.remove();
    await origin.remove();
  }
  return report.result();
}

/** Sets up the bank on the first timeline. */
async function openBank({ main }: ChaosCluster): Promise<Line> {
  const client = await main.process.connect();
  await createBank(client, BANK);
  await createColdRows(client);
  await client.query('create extension amcheck');
  const { rows } = await client.query<{ lsn: string }>('select pg_current_wal_flush_lsn() as lsn');
  await client.end();
  return new Line(main, new Ledger(0, parseLsn(rows[0]?.lsn ?? '')));
}

class ChaosRun {
  readonly #chaos: ChaosCluster;
  readonly #report: ChaosReport;
  readonly #random: Random;
  readonly #tell: (line: string) => void;
  readonly #beganMs = performance.now();
  readonly #main: Line;
  #branch: Line | undefined;
  /** Branches on which no compute runs any more, the oldest first. */
  #left: ComputeTimeline[] = [];
  #moves = 0;

  constructor(chaos: ChaosCluster, main: Line, report: ChaosReport, random: Random, tell: (line: string) => void) {
    this.#chaos = chaos;
    this.#main = main;
    this.#report = report;
    this.#random = random;
    this.#tell = tell;
  }

  async run(seed: number, isOver: (roundsDone: number) => boolean): Promise<void> {
    let done = 0;
    for (const round of schedule(seed)) {
      if (isOver(done) || !this.#report.isClean) break;
      if (done % MOVE_EVERY === 0) await this.#move();
      done++;
      await Promise.all(this.#lines.map(renewSupervisor));
      await this.#underLoad(`round ${done}`, this.#lines, () => this.#round(done, round));
      await this.#audit();
    }
    await this.#end();
  }

  get #lines(): readonly Line[] {
    return this.#branch === undefined ? [this.#main] : [this.#main, this.#branch];
  }

  /** Seconds since the beginning. */
  get #at(): string {
    return `${((performance.now() - this.#beganMs) / 1000).toFixed(1)} s`;
  }

  /** Transfers and reads go on on the given lines until `work` is done. A failure of it does not wait for them: a server that hangs answers none, and is killed next. */
  async #underLoad<T>(what: string, lines: readonly Line[], work: () => Promise<T>): Promise<T> {
    const done = Promise.resolve().then(work); // they are begun first
    const loads = Promise.all(lines.map((line) => line.loadUntil(done)));
    const [result, did] = await Promise.all([done, loads]);
    for (const [index, { transfers, reads }] of did.entries()) {
      const name = lines[index]?.compute.name ?? 'main';
      this.#report.load(name, transfers, reads);
      for (const problem of [...transfers.errors.map(({ message }) => message), ...reads.problems])
        this.#report.problem(`${what}: on ${name}: ${problem}`);
    }
    return result;
  }

  /** Makes a branch of the first timeline or of the branch before, as it is or was at some time, and has the second compute run on it. */
  async #move(): Promise<void> {
    const number = ++this.#moves;
    const what = `branch ${number}`;
    const parent = this.#random.pick(this.#lines);
    const isPast = this.#random.chance(0.5);
    const before = this.#branch?.compute.process.input;
    const { made, owed } = await this.#underLoad(what, this.#lines, () => this.#makeBranch(number, parent, isPast));
    // Nobody uses the compute that is destroyed; the other one goes on.
    this.#branch = await this.#underLoad(what, [this.#main], async () => {
      const compute = await this.#chaos.moveTo(made);
      const ledger = new Ledger(number, parseLsn(made.startLsn), await presentOn(compute));
      const line = new Line(compute, ledger);
      this.#report.audit('branch', await line.audit(owed), `${what} at its beginning`);
      return line;
    });
    if (before !== undefined) this.#left.push(before);
    const removed = this.#random.chance(0.5) ? await this.#removeLeft(made) : 0;
    this.#report.branch(isPast ? 'past' : 'present', removed);
    this.#tell(
      `${what} at ${this.#at}: of ${parent.compute.process.input.branch} as it ${isPast ? 'was' : 'is'} at ${made.startLsn}${removed === 0 ? '' : `; ${removed} older ones removed`}`,
    );
  }

  /** Makes a branch in the middle of its parent's transfers; gives what it must and may have of them. */
  async #makeBranch(
    number: number,
    parent: Line,
    isPast: boolean,
  ): Promise<{ readonly made: ComputeTimeline; readonly owed: Owed }> {
    await parent.transfersSince(performance.now(), TRANSFERS_BEFORE, 'before a branch is made');
    const present = await parent.mark();
    const at = isPast ? this.#lsnBetween(parent.ledger.startLsn, present) : present;
    const made = await this.#chaos.cluster.createBranch(`branch-${number}`, parent.compute.process.input, at);
    await parent.transfersSince(performance.now(), TRANSFERS_BEFORE, 'after a branch was made');
    return { made, owed: parent.ledger.at(at) };
  }

  #lsnBetween(first: Lsn, last: Lsn): Lsn {
    const at = alignLsn(lsn(first + this.#random.below(last - first)));
    return lsn(Math.min(Math.max(at, first), last));
  }

  /** Removes the branches on which nobody runs and of which `used` was not made; gives how many. */
  async #removeLeft({ ancestors = [] }: ComputeTimeline): Promise<number> {
    const isUsed = (branch: ComputeTimeline): boolean => ancestors.some(({ timeline }) => timeline === branch.timeline);
    const unused = this.#left.filter((branch) => !isUsed(branch));
    this.#left = this.#left.filter(isUsed);
    // one that was made of another is the younger
    for (const branch of unused.reverse()) await this.#chaos.cluster.removeBranch(branch);
    return unused.length;
  }

  /** One round: some transfers, the faults, what must go on meanwhile, the end of the faults, and transfers after it. */
  async #round(number: number, round: Round): Promise<void> {
    const beforeMs = performance.now();
    await this.#each(async (line) => {
      await line.transfersSince(beforeMs, TRANSFERS_BEFORE, 'before any fault');
      await line.mark();
      return undefined;
    });
    const injected = await this.#chaos.inject(round, this.#random);
    const faultsMs = performance.now();
    const at = this.#at;
    let during: DurationsByName = {};
    try {
      await new Promise((resolve) => setTimeout(resolve, round.holdMs)); // that is how long the faults last
      during = await this.#each(async (line) =>
        goesOn(round, line.compute.name) ? line.transfersSince(faultsMs, 1, 'while a quorum was left') : undefined,
      );
    } finally {
      const healMs = performance.now();
      await injected.heal();
      const when = 'after everything was mended';
      const [afterMend, readAfterMend] = await Promise.all([
        this.#each((line) => line.transfersSince(healMs, 1, when)),
        this.#each((line) => line.readsSince(healMs, 1, when)),
      ]);
      this.#report.round(round, { during, afterMend, readAfterMend });
      const faults = faultsOf(round).join(', ') || 'nothing';
      this.#tell(
        `round ${number} at ${at}: ${faults}${leavesQuorum(round) ? '' : ' (no quorum)'}, for ${(healMs - faultsMs).toFixed(0)} ms; first transfers meanwhile: ${inWords(during)}; after the mend: ${inWords(afterMend)}; reads: ${inWords(readAfterMend)}`,
      );
    }
    for (const end of this.#chaos.ended()) this.#report.problem(`round ${number}: ${end}`);
  }

  /** Does something with all lines at once; gives how long it took on each of which it says so. Unit: ms. */
  async #each(work: (line: Line) => Promise<number | undefined>): Promise<DurationsByName> {
    const done = await Promise.all(this.#lines.map(async (line) => [line.compute.name, await work(line)] as const));
    return Object.fromEntries(done.filter(([, ms]) => ms !== undefined));
  }

  async #audit(): Promise<void> {
    for (const line of this.#lines) {
      const { name } = line.compute;
      this.#report.audit(name, await line.audit(), name);
      await line.mark();
    }
  }

  async #end(): Promise<void> {
    await this.#chaos.killAll();
    await this.#audit();
    for (const line of this.#lines) {
      const { name, process } = line.compute;
      for (const message of await line.amcheck()) this.#report.problem(`on ${name} a heap is damaged: ${message}`);
      this.#report.term(name, Number((await process.status())['term']));
      for (const difference of await differencesOfWal(this.#chaos.cluster, process.config.timeline))
        this.#report.problem(`of the WAL of ${name}: ${difference}`);
    }
    for (const { compute } of this.#lines) await compute.end('SIGTERM');
  }
}

/** As a person would at last: a supervisor gives up a PostgreSQL that crashes again and again. */
async function renewSupervisor({ compute }: Line): Promise<void> {
  const { restarts } = await compute.process.status();
  if (Number(restarts) < RESTARTS_MAX) return;
  await compute.end('SIGTERM');
  await compute.start();
}

/** The transfers that a compute has. */
async function presentOn({ process }: ChaosCompute): Promise<Set<number>> {
  const client = await process.connect();
  try {
    return await transfersOf(client);
  } finally {
    await client.end();
  }
}

function inWords(durations: DurationsByName): string {
  const words = Object.entries(durations).map(([name, ms]) => `${name} ${ms.toFixed(0)} ms`);
  return words.length === 0 ? 'not asked' : words.join(', ');
}
