import { afterAll, beforeAll, expect, test } from 'vitest';
import { pgbenchInitialize, pgbenchRun, type PgbenchResult } from '../support/pgbench.ts';
import { Zenith } from '../support/zenith.ts';

const SCALE = 20;
/** Seconds of each run: short by default; `ZENITH_PGBENCH_SECONDS=60` for the long form. */
const SECONDS = Number(process.env['ZENITH_PGBENCH_SECONDS'] ?? 15);

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

function target(): { readonly port: number; readonly user: string } {
  return { port: zenith.port('main'), user: zenith.user };
}

/** The history has what pgbench saw committed, the four balances agree, and amcheck finds nothing. */
async function audit(): Promise<void> {
  const [sums] = await zenith.query<{
    history: number;
    accounts: string;
    branches: string;
    tellers: string;
    deltas: string;
  }>(
    'main',
    `select (select count(*)::int from pgbench_history) as history, (select sum(abalance)::text from pgbench_accounts) as accounts,
     (select sum(bbalance)::text from pgbench_branches) as branches, (select sum(tbalance)::text from pgbench_tellers) as tellers, (select sum(delta)::text from pgbench_history) as deltas`,
  );
  expect(sums?.history).toBe(committed);
  expect(new Set([sums?.accounts, sums?.branches, sums?.tellers, sums?.deltas]).size).toBe(1);
  await zenith.query(
    'main',
    "select bt_index_check(c.oid, true) from pg_class c join pg_am a on a.oid = c.relam where a.amname = 'btree' and c.relpersistence = 'p'",
  );
  expect(
    await zenith.query(
      'main',
      "select c.relname, v.* from pg_class c, lateral verify_heapam(c.oid) v where c.relkind in ('r', 't', 'm') and c.relpersistence = 'p'",
    ),
  ).toEqual([]);
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
