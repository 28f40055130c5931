import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ComputeCluster, ComputeOrigin } from '../../packages/compute/src/supervisor/compute-cluster.test-support.ts';
import { Contender } from '../chaos/contender.ts';
import { Progress } from '../chaos/progress.ts';
import { auditBank, createBank, runBank, type BankResult } from '../support/bank.ts';

const BANK = { clients: 6, accounts: 100 };

/** Computes that take over from one another. */
const GENERATIONS = 4;

/** Races of computes that start at once, and how many run in each. */
const RACES = 3;
const RUNNERS = 3;

/** No transfer for so long is none. Unit: ms. */
const PROGRESS_MAX_MS = 60_000;

/** A client that got to a compute which cannot commit any more tries another one after so long. Unit: ms. */
const TRANSFER_MAX_MS = 3_000;

/** Transfers between two takeovers. */
const TRANSFERS = 30;

let origin: ComputeOrigin;
let cluster: ComputeCluster;
let contenders: Contender[] = [];
const results: BankResult[] = [];
beforeAll(async () => {
  origin = await ComputeOrigin.create(18);
  cluster = await ComputeCluster.create(origin, 3, {}, 'real');
  const first = await contender();
  await first.service.start();
  const client = await first.connect();
  await createBank(client, BANK);
  await client.end();
});
afterEach(async () => {
  const alive = contenders.filter(({ service }) => service.isRunning);
  for (const [index, one] of alive.entries()) if (index < alive.length - 1) await one.kill();
  contenders = alive.slice(-1);
});
afterAll(async () => {
  for (const one of contenders) await one.kill();
  await cluster.remove();
  await origin.remove();
});

let created = 0;
async function contender(): Promise<Contender> {
  const one = await Contender.create(cluster, `contender-${++created}`);
  contenders.push(one);
  return one;
}

/** Transfers on whichever of the computes takes them while `work` goes on; `more` resolves when so many more were acknowledged. */
async function underLoad(work: (more: (count: number) => Promise<number>) => Promise<void>): Promise<void> {
  const progress = new Progress();
  const done = work((count) => progress.since(performance.now(), count, PROGRESS_MAX_MS, 'by any of the computes'));
  const result = await runBank(
    () => {
      const running = contenders.filter(({ service }) => service.isRunning);
      const chosen = running[Math.floor(Math.random() * running.length)];
      return chosen === undefined ? Promise.reject(new Error('none runs')) : chosen.connect(TRANSFER_MAX_MS);
    },
    BANK,
    { firstId: created * 1_000_000, until: done, onAcknowledged: (begunMs) => progress.note(begunMs) },
  );
  results.push(result);
  await done;
  expect(result.errors).toEqual([]);
  await audit();
}

async function audit(): Promise<void> {
  const [last] = contenders.filter(({ service }) => service.isRunning);
  const client = await last?.connect();
  if (client === undefined) throw new Error('no compute is left');
  try {
    expect(await auditBank(client, results)).toEqual([]);
  } finally {
    await client.end();
  }
}

test('a compute that starts on a branch takes over from the one that runs there, again and again: no acknowledged transfer is lost', async () => {
  const goneMs: number[] = [];
  await underLoad(async (more) => {
    for (let generation = 1; generation < GENERATIONS; generation++) {
      await more(TRANSFERS);
      const older = contenders.at(-1);
      const newer = await contender();
      const ready = newer.service.start();
      const fencedMs = await elected(newer);
      goneMs.push((await older?.fencedSince(fencedMs)) ?? Number.NaN);
      expect(await ready).toMatchObject({ ready: true });
    }
    await more(TRANSFERS);
  });
  console.log(`the older PostgreSQL was gone after ${goneMs.map((ms) => ms.toFixed(0)).join(', ')} ms`);
});

test('a compute that slept through the takeover ends when it wakes, and nobody was told that a transfer of it was committed', async () => {
  await underLoad(async (more) => {
    await more(TRANSFERS);
    const older = contenders.at(-1);
    older?.service.kill('SIGSTOP');
    const newer = await contender();
    expect(await newer.service.start()).toMatchObject({ ready: true });
    // Its PostgreSQL runs on, and writes what nobody will ever acknowledge.
    expect(older?.postgres.length).toBeGreaterThan(4);
    await more(TRANSFERS);
    const wokenMs = performance.now();
    older?.service.kill('SIGCONT');
    const goneMs = await older?.fencedSince(wokenMs);
    console.log(`the older PostgreSQL was gone ${goneMs?.toFixed(0)} ms after its supervisor woke`);
    await more(TRANSFERS);
  });
});

test('of computes that start at once exactly one stands, and has everything', async () => {
  for (let race = 1; race <= RACES; race++) {
    await underLoad(async (more) => {
      await more(TRANSFERS);
      const before = contenders.slice();
      const runners: Contender[] = [];
      for (let number = 1; number <= RUNNERS; number++) runners.push(await contender());
      // One that another overtakes while it starts says so, or ends before it says anything.
      await Promise.allSettled(runners.map(({ service }) => service.start()));
      await expect
        .poll(async () => (await Promise.all([...before, ...runners].map((one) => one.state()))).sort(), {
          timeout: 60_000,
          interval: 50,
        })
        .toEqual([...[...before, ...runners].slice(1).map(() => 'ended'), 'running']);
      for (const one of [...before, ...runners]) if (!one.service.isRunning) expect(one.postgres).toEqual([]);
      contenders = [...before, ...runners].filter(({ service }) => service.isRunning);
      await more(TRANSFERS);
    });
  }
});

/** Resolves when a compute is elected, which fences the one before; gives when, by performance.now(). */
async function elected(newer: Contender): Promise<number> {
  for (;;) {
    const term = await newer.term();
    if (term > 0) return performance.now();
    await new Promise((resolve) => setTimeout(resolve, 5)); // it tells nobody of its election
  }
}
