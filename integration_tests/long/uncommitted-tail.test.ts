import { parseLsn } from '@zenith/base';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ComputeOrigin } from '../../packages/compute/src/supervisor/compute-cluster.test-support.ts';
import { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import { ChaosCluster } from '../chaos/chaos-cluster.ts';
import { ALL_WELL } from '../chaos/faults.ts';
import { differencesOfWal, segmentsOf } from '../chaos/wal-copies.ts';

/** Rows of a kilobyte that only one safekeeper gets: some pages of WAL, and more than a segment of it. */
const TAILS = [20, 20_000];

let origin: ComputeOrigin;
let chaos: ChaosCluster | undefined;
beforeAll(async () => {
  origin = await ComputeOrigin.create(18);
});
afterEach(async () => {
  await chaos?.remove();
  chaos = undefined;
});
afterAll(() => origin.remove());

/** Has the compute write so many rows that only safekeeper 1 gets, their commit too, and kills it. */
async function leaveTail(on: ChaosCluster, rows: number): Promise<void> {
  const { cluster } = on;
  await cluster.query("insert into t values (-1, 'acknowledged')");
  // Reset connections deliver nothing late, as a cut that is mended would.
  const injected = await on.inject({ ...ALL_WELL, safekeepers: ['none', 'refused', 'refused'] }, new Random(1));
  const client = await cluster.connect();
  const insert = client.query(
    `insert into t select 10000 + g, repeat(md5(g::text), 32) from generate_series(1, ${rows}) g`,
  );
  const outcome = insert.then(
    () => 'acknowledged',
    () => 'failed',
  );
  const waiting = async (): Promise<unknown> =>
    cluster.query("select count(*)::int as count from pg_stat_activity where wait_event = 'SyncRep'");
  await expect.poll(waiting, { timeout: 60_000, interval: 50 }).toEqual([{ count: 1 }]);
  const lacks = async (): Promise<boolean> =>
    (await cluster.safekeeperStatus(0)).flushLsn !== (await cluster.status())['receivedLsn'];
  await expect.poll(lacks, { timeout: 60_000, interval: 50 }).toBe(false);
  await on.main.end('SIGKILL');
  expect(await outcome).toBe('failed');
  await injected.heal();
}

test.each(TAILS)(
  'a tail of %i rows that one safekeeper has, and nobody else: the other two elect, it is cut off, and all three logs are the same to the byte',
  async (rows) => {
    chaos = await ChaosCluster.start(origin);
    const { cluster } = chaos;
    await leaveTail(chaos, rows);
    const tailEnd = parseLsn((await cluster.safekeeperStatus(0)).flushLsn);
    const tail = segmentsOf(cluster, 0);
    await cluster.killSafekeeper(0);
    await chaos.main.start();
    const start = parseLsn(String((await cluster.status())['startLsn']));
    expect(start).toBeLessThan(tailEnd - rows * 1024 + 1);
    expect(await cluster.query('select id from t where id > 10000 or id < 0')).toEqual([{ id: -1 }]);
    await cluster.query("insert into t values (-2, 'of the next term')");
    await cluster.safekeepers[0]?.start();
    expect(await differencesOfWal(cluster)).toEqual([]);
    expect((await cluster.safekeeperStatus(0)).term).toBe(2);
    const [name, before] = [...tail][0] ?? ['', Buffer.alloc(0)];
    expect(segmentsOf(cluster, 0).get(name)?.equals(before)).toBe(false);
    // With the tail gone for good: its safekeeper and one other are enough.
    await cluster.killSafekeeper(2);
    await chaos.main.end('SIGKILL');
    await chaos.main.start();
    expect(await cluster.query('select id from t where id > 10000 or id < 0 order by id')).toEqual([
      { id: -2 },
      { id: -1 },
    ]);
  },
);

test('the same tail, elected with: it is kept, though its client was told of nothing, and all three logs are the same to the byte', async () => {
  chaos = await ChaosCluster.start(origin);
  const { cluster } = chaos;
  const [rows = 0] = TAILS;
  await leaveTail(chaos, rows);
  await cluster.killSafekeeper(2);
  await chaos.main.start();
  expect(await cluster.query('select count(*)::int as count from t where id > 10000')).toEqual([{ count: rows }]);
  await cluster.safekeepers[2]?.start();
  expect(await differencesOfWal(cluster)).toEqual([]);
});
