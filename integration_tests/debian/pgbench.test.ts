import { formatLsn, parseLsn, type Lsn } from '@zenith/base';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import {
  pgbenchInitialize,
  pgbenchRun,
  pgbenchTransactions,
  pgbenchUntilKilled,
  type PgbenchResult,
} from '../support/pgbench.ts';
import { Zenith, type ServiceName } from '../support/zenith.ts';

const SCALE = 20;
/** Seconds of each run: short by default; `ZENITH_PGBENCH_SECONDS=60` for the long form. */
const SECONDS = Number(process.env['ZENITH_PGBENCH_SECONDS'] ?? 15);
/** Of what is killed when, and of where branches begin. */
const SEED = Number(process.env['ZENITH_PGBENCH_SEED'] ?? Math.floor(Math.random() * 2 ** 32));
const BRANCHES = 3;
const CLIENTS = 8;
/** How many transactions run on each branch. */
const ON_A_BRANCH = 400;
/** How often a command is given again that a killed node has kept from its work. */
const TRIES_MAX = 50;

let zenith: Zenith;
let committed = 0;
beforeAll(async () => {
  zenith = await Zenith.init('--safekeepers', '3');
  await zenith.run('start');
  await zenith.startPostgres('main', '--set', 'shared_buffers=16MB');
  await zenith.query('main', 'create extension amcheck');
  await pgbenchInitialize(target(), SCALE);
});
afterAll(() => zenith.destroy());

function target(branch = 'main'): { readonly port: number; readonly user: string } {
  return { port: zenith.port(branch), user: zenith.user };
}

/** The four balances of a branch agree, and amcheck finds nothing. @returns how many transactions its history has */
async function auditedHistory(branch: string): Promise<number> {
  const [sums] = await zenith.query<{
    history: number;
    accounts: string;
    branches: string;
    tellers: string;
    deltas: string;
  }>(
    branch,
    `select (select count(*)::int from pgbench_history) as history, (select sum(abalance)::text from pgbench_accounts) as accounts,
     (select sum(bbalance)::text from pgbench_branches) as branches, (select sum(tbalance)::text from pgbench_tellers) as tellers,
     (select coalesce(sum(delta), 0)::text from pgbench_history) as deltas`,
  );
  expect(new Set([sums?.accounts, sums?.branches, sums?.tellers, sums?.deltas])).toEqual(new Set([sums?.deltas]));
  await zenith.query(
    branch,
    "select bt_index_check(c.oid, true) from pg_class c join pg_am a on a.oid = c.relam where a.amname = 'btree' and c.relpersistence = 'p'",
  );
  expect(
    await zenith.query(
      branch,
      "select c.relname, v.* from pg_class c, lateral verify_heapam(c.oid) v where c.relkind in ('r', 't', 'm') and c.relpersistence = 'p'",
    ),
  ).toEqual([]);
  return sums?.history ?? Number.NaN;
}

/** The history of main has what pgbench saw committed, and all of it adds up. */
async function audit(): Promise<void> {
  expect(await auditedHistory('main')).toBe(committed);
}

async function run(disturb: () => Promise<void> = () => Promise.resolve()): Promise<PgbenchResult> {
  const [result] = await Promise.all([pgbenchRun(target(), SECONDS), disturb()]);
  committed += result.transactions;
  expect(result.failed).toBe(0);
  return result;
}

test('pgbench, then postmaster and supervisor killed and their directory gone: a new start brings everything back', async () => {
  const { tps } = await run();
  console.log(`${tps.toFixed(0)} transactions/s`);
  const supervisor = zenith.pid('compute main');
  for (const child of zenith.children(supervisor)) process.kill(child, 'SIGKILL');
  await zenith.kill('compute main');
  await zenith.run('pg', 'stop', 'main', '--destroy');
  await zenith.startPostgres('main');
  await audit();
});

test('a safekeeper killed and restarted every second while pgbench runs: no failed transaction, nothing lost', async () => {
  await run(async () => {
    const end = Date.now() + SECONDS * 1000 - 2_000;
    for (let round = 0; Date.now() < end; round++) {
      await zenith.kill(`safekeeper ${1 + (round % 3)}`);
      await zenith.run('start');
      await new Promise((resolve) => setTimeout(resolve, 300)); // the rhythm of the faults, about one a second
    }
  });
  await audit();
});

test('pageserver and safekeepers killed in the middle of the run and restarted: no failed transaction, nothing lost', async () => {
  await run(async () => {
    await new Promise((resolve) => setTimeout(resolve, (SECONDS * 1000) / 3)); // in the middle of the run
    await Promise.all([
      zenith.kill('pageserver'),
      zenith.kill('safekeeper 1'),
      zenith.kill('safekeeper 2'),
      zenith.kill('safekeeper 3'),
    ]);
    await zenith.run('start');
  });
  await audit();
});

test('a stop and a start of everything keep everything', async () => {
  await zenith.run('stop');
  await zenith.run('start');
  await zenith.startPostgres('main');
  await audit();
});

/** What a branch must have: every transaction that was visible on main when its WAL was flushed so far. */
interface Observation {
  readonly flushed: Lsn;
  readonly history: number;
}

test(
  'branches made at random moments while anything is killed under pgbench: each adds up, has what was acknowledged, and what is written there stays there',
  { timeout: 1_800_000 },
  async () => {
    console.log(`ZENITH_PGBENCH_SEED=${SEED}`);
    const [moments, faults] = [new Random(SEED), new Random(SEED + 1)];
    const work = { isDone: false, computesKilled: 0, repaired: Promise.resolve() };
    const observations: Observation[] = [];
    const made = new Map<string, number>();

    async function killAndRepair(victim: ServiceName): Promise<void> {
      await zenith.kill(victim);
      if (victim === 'compute main') {
        work.computesKilled++;
        await zenith.startPostgres('main');
      } else await zenith.run('start');
    }

    async function disturb(): Promise<void> {
      const victims: ServiceName[] = ['compute main', 'pageserver', 'safekeeper 1', 'safekeeper 2', 'safekeeper 3'];
      while (!work.isDone) {
        await new Promise((resolve) => setTimeout(resolve, 300 + faults.below(2_500))); // a moment like any other
        const victim = faults.pick(victims);
        work.repaired = killAndRepair(victim);
        await work.repaired;
      }
    }

    async function load(): Promise<void> {
      while (!work.isDone) {
        await work.repaired;
        committed += await pgbenchUntilKilled(target(), SECONDS);
      }
    }

    /** Gives a command until no killed node keeps it from its work. */
    async function insist(command: () => Promise<unknown>): Promise<void> {
      for (let tries = 1; ; tries++) {
        const failure = await command().then(
          () => undefined,
          (error: unknown) => error as Error,
        );
        if (failure === undefined) return;
        if (tries === TRIES_MAX) throw failure;
        await work.repaired;
      }
    }

    async function observe(): Promise<Observation> {
      let row: { history: number; flushed: string } | undefined;
      await insist(async () => {
        [row] = await zenith.query<{ history: number; flushed: string }>(
          'main',
          'select count(*)::int as history, pg_current_wal_flush_lsn()::text as flushed from pgbench_history',
        );
      });
      const observation = { history: row?.history ?? Number.NaN, flushed: parseLsn(row?.flushed ?? '') };
      observations.push(observation);
      return observation;
    }

    /** A branch of main as it is now or as it was at some time since the test began. */
    async function makeBranch(name: string, first: Lsn): Promise<void> {
      const { flushed } = await observe();
      const past = formatLsn((first + moments.below(flushed - first)) as Lsn);
      await insist(() => zenith.run('branch', name, moments.chance(0.5) ? 'main' : `main@${past}`));
      const { startLsn } = await zenith.branch(name);
      await insist(() => zenith.startPostgres(name, '--set', 'shared_buffers=16MB'));
      const had = await auditedHistory(name);
      const owed = observations.filter((one) => one.flushed <= startLsn).map((one) => one.history);
      expect(had).toBeGreaterThanOrEqual(Math.max(...owed));
      await pgbenchTransactions(target(name), ON_A_BRANCH);
      await zenith.query(name, `update pgbench_branches set filler = '${name}'`);
      expect(await auditedHistory(name)).toBe(had + ON_A_BRANCH);
      made.set(name, had + ON_A_BRANCH);
      await insist(() => zenith.run('pg', 'stop', name));
    }

    const before = committed;
    const { flushed: first } = await observe();
    await Promise.all([
      load(),
      disturb(),
      (async () => {
        try {
          for (let number = 1; number <= BRANCHES; number++) {
            await new Promise((resolve) => setTimeout(resolve, moments.below(5_000))); // a moment like any other
            await makeBranch(`branch_${number}`, first);
          }
        } finally {
          work.isDone = true;
        }
      })(),
    ]);

    expect(work.computesKilled).toBeGreaterThan(0);
    expect(committed).toBeGreaterThan(before);
    // A commit whose acknowledgement was lost with the compute may be there.
    const history = await auditedHistory('main');
    expect(history).toBeGreaterThanOrEqual(committed);
    expect(history).toBeLessThanOrEqual(committed + CLIENTS * work.computesKilled);
    committed = history;
    expect(await zenith.query('main', "select from pgbench_branches where filler like 'branch%'")).toEqual([]);
    for (const [name, expected] of made) {
      await zenith.startPostgres(name);
      expect(await auditedHistory(name)).toBe(expected);
      await zenith.run('pg', 'stop', name);
    }
  },
);
