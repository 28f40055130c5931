import { ComputeOrigin } from '../../packages/compute/src/supervisor/compute-cluster.test-support.ts';
import { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import { auditBank, createBank, runBank, type BankResult } from '../support/bank.ts';
import { ChaosCluster } from './chaos-cluster.ts';
import { describe, goesOn, leavesQuorum } from './faults.ts';
import { Progress } from './progress.ts';
import { ChaosReport, type ChaosResult } from './report.ts';
import { allCombinations, schedule, type Round } from './schedule.ts';
import { differencesOfWal } from './wal-copies.ts';

/** What to do. */
export interface ChaosOptions {
  readonly seed: number;
  /** True when there are to be no more rounds. */
  readonly isOver: (roundsDone: number) => boolean;
  /** Told what is done as it is done, one line each. */
  readonly tell: (line: string) => void;
}

const BANK = { clients: 4, accounts: 200 };

/** Ids of the transfers of one round lie so far from those of the next. */
const IDS_PER_ROUND = 1_000_000;

/** Transfers before the faults of a round. */
const TRANSFERS_BEFORE = 10;

/** No progress for so long is none. Unit: ms. */
const PROGRESS_MAX_MS = 60_000;

/** A PostgreSQL that crashed this often is given another supervisor before that one gives it up. */
const RESTARTS_MAX = 3;

/** A transfer that is not answered for so long is given up by its client. Unit: ms. */
const QUERY_MAX_MS = 60_000;

/**
 * Transfers go on while round after round of faults meets the cluster. After each everything is mended, transfers must go on, and the books must be right: no acknowledged transfer may be missing, none may be there that was never made,
 * and the balances must add up. At the end everything is killed at once, and the books and the indexes must be right on a new compute, and the three safekeepers' WAL must be the same.
 */
export async function runChaos({ seed, isOver, tell }: ChaosOptions): Promise<ChaosResult> {
  const origin = await ComputeOrigin.create(18);
  const report = new ChaosReport(seed, allCombinations());
  let chaos: ChaosCluster | undefined;
  try {
    chaos = await ChaosCluster.start(origin);
    await new ChaosRun(chaos, report, new Random(seed), tell).run(seed, isOver);
  } catch (error) {
    report.problem(error instanceof Error ? error.message : String(error));
  } finally {
    await chaos?.remove();
    await origin.remove();
  }
  return report.result();
}

class ChaosRun {
  readonly #chaos: ChaosCluster;
  readonly #report: ChaosReport;
  readonly #random: Random;
  readonly #tell: (line: string) => void;
  readonly #results: BankResult[] = [];
  readonly #beganMs = performance.now();

  constructor(chaos: ChaosCluster, report: ChaosReport, random: Random, tell: (line: string) => void) {
    this.#chaos = chaos;
    this.#report = report;
    this.#random = random;
    this.#tell = tell;
  }

  async run(seed: number, isOver: (roundsDone: number) => boolean): Promise<void> {
    const client = await this.#chaos.cluster.connect();
    await createBank(client, BANK);
    await client.query('create extension amcheck');
    await client.end();
    let number = 0;
    for (const round of schedule(seed)) {
      if (isOver(number) || !this.#report.isClean) break;
      number++;
      await this.#renewSupervisor();
      await this.#round(number, round);
      await this.#audit();
    }
    await this.#end();
  }

  /** One round: some transfers, the faults, what must go on meanwhile, the end of the faults, and transfers after it. */
  async #round(number: number, round: Round): Promise<void> {
    const progress = new Progress();
    const faults = this.#faults(number, round, progress);
    const transfers = runBank(() => this.#chaos.cluster.connect(QUERY_MAX_MS), BANK, {
      firstId: number * IDS_PER_ROUND,
      until: faults,
      onAcknowledged: (begunMs) => progress.note(begunMs),
    });
    // A round that failed does not wait for its transfers: a server that hangs answers none, and is killed next.
    const [result] = await Promise.all([transfers, faults]);
    this.#results.push(result);
    this.#report.transfers(result);
    for (const error of result.errors) this.#report.problem(`round ${number}: ${error.message}`);
  }

  async #faults(number: number, round: Round, progress: Progress): Promise<void> {
    await progress.transfersSince(performance.now(), TRANSFERS_BEFORE, PROGRESS_MAX_MS, 'before any fault');
    const injected = await this.#chaos.inject(round, this.#random);
    const faultsMs = performance.now();
    let during = '';
    try {
      await new Promise((resolve) => setTimeout(resolve, round.holdMs)); // that is how long the faults last
      if (goesOn(round)) {
        const wentOnMs = await progress.transfersSince(faultsMs, 1, PROGRESS_MAX_MS, 'while a quorum was left');
        this.#report.wentOn(wentOnMs);
        during = `, first transfer after ${wentOnMs.toFixed(0)} ms of it`;
      }
    } finally {
      const healMs = performance.now();
      await injected.heal();
      const recoveredMs = await progress.transfersSince(healMs, 1, PROGRESS_MAX_MS, 'after everything was mended');
      this.#report.round(round, recoveredMs);
      const at = ((faultsMs - this.#beganMs) / 1000).toFixed(1);
      this.#tell(
        `round ${number} at ${at} s: ${describe(round)}${leavesQuorum(round) ? '' : ' (no quorum)'}, for ${(healMs - faultsMs).toFixed(0)} ms${during}; mended, first transfer after ${recoveredMs.toFixed(0)} ms`,
      );
    }
    for (const problem of this.#chaos.unexpected.splice(0)) this.#report.problem(`round ${number}: ${problem}`);
  }

  /** As a person would at last: a supervisor gives up a PostgreSQL that crashes again and again. */
  async #renewSupervisor(): Promise<void> {
    const { restarts } = await this.#chaos.cluster.status();
    if (Number(restarts) < RESTARTS_MAX) return;
    await this.#chaos.endCompute('SIGTERM');
    await this.#chaos.startCompute();
  }

  async #audit(): Promise<void> {
    const client = await this.#chaos.cluster.connect();
    try {
      for (const problem of await auditBank(client, this.#results)) this.#report.problem(problem);
      const { rows } = await client.query<{ total: string }>('select sum(balance) as total from bank');
      this.#report.total(Number(rows[0]?.total));
    } finally {
      await client.end();
    }
  }

  async #end(): Promise<void> {
    await this.#chaos.killAll();
    await this.#audit();
    const client = await this.#chaos.cluster.connect();
    try {
      await client.query(
        "select bt_index_check(c.oid, true) from pg_class c where c.relname in ('bank_pkey', 'transfers_pkey')",
      );
      const { rows } = await client.query<{ msg: string }>(
        "select v.msg from pg_class c, lateral verify_heapam(c.oid) v where c.relname in ('bank', 'transfers')",
      );
      for (const { msg } of rows) this.#report.problem(`a heap is damaged: ${msg}`);
    } finally {
      await client.end();
    }
    const { cluster } = this.#chaos;
    this.#report.term(Number((await cluster.status())['term']));
    for (const difference of await differencesOfWal(cluster)) this.#report.problem(difference);
    await this.#chaos.endCompute('SIGTERM');
  }
}
