import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditBank, createBank, runBank, type BankResult } from './support/bank.ts';
import { pageserverMetric } from './support/pageserver-metric.ts';
import { Zenith } from './support/zenith.ts';

const options = { clients: 4, accounts: 200 };
const SAFEKEEPERS = [1, 2, 3] as const;

let zenith: Zenith;
const results: BankResult[] = [];
beforeAll(async () => {
  zenith = await Zenith.init('--safekeepers', '3');
  await zenith.run('start');
  await zenith.startPostgres('main');
  const client = await zenith.connect();
  await createBank(client, options);
  await client.end();
});
afterAll(() => zenith.destroy());

async function audit(): Promise<string[]> {
  const client = await zenith.connect();
  try {
    return await auditBank(client, results);
  } finally {
    await client.end();
  }
}

test('one safekeeper of three killed and restarted again and again: no transaction fails, none is lost', async () => {
  async function killOneAfterAnother(): Promise<void> {
    for (let round = 0; round < 9; round++) {
      await zenith.kill(`safekeeper ${SAFEKEEPERS[round % 3] ?? 1}`);
      await zenith.run('start');
    }
  }
  const result = await runBank(() => zenith.connect(), options, { firstId: 1, until: killOneAfterAnother() });
  results.push(result);
  expect(result.errors).toEqual([]);
  expect(result.unknown.size).toBe(0);
  expect(result.acknowledged.size).toBeGreaterThan(50);
  expect(await audit()).toEqual([]);
});

/** Relation sizes are whole pages. */
const PAGE_BYTES = 8192;

test('two of three killed: commits wait, reads of what only the pageserver has go on; one back: commits go on', async () => {
  await zenith.query(
    'main',
    'create table cold as select n, repeat(md5(n::text), 30) as filler from generate_series(1, 5000) n',
  );
  // What this server has not read is missing on it, and its buffers are too small for the table.
  await zenith.run('pg', 'stop', 'main');
  await zenith.startPostgres('main', '--set', 'shared_buffers=1MB');
  const pagesSent = (): Promise<number> => pageserverMetric(zenith, 'zenith_pageserver_pages_sent_total');
  const [size] = await zenith.query<{ pages: number }>(
    'main',
    `select (pg_relation_size('cold') / ${PAGE_BYTES})::int as pages`,
  );
  const pages = size?.pages ?? Number.NaN;
  await zenith.kill('safekeeper 1');
  await zenith.kill('safekeeper 2');
  const writer = await zenith.connect();
  let committed = false;
  const commit = writer.query('insert into transfers values (1000000, 1, 1, 0)').then(() => {
    committed = true;
  });
  const waiting = async (): Promise<object[]> =>
    zenith.query(
      'main',
      "select wait_event from pg_stat_activity where query like 'insert into transfers%' and wait_event = 'SyncRep'",
    );
  await expect.poll(waiting, { timeout: 60_000 }).toEqual([{ wait_event: 'SyncRep' }]);
  const before = await pagesSent();
  expect(await zenith.query('main', 'select count(*)::int, count(distinct filler)::int as fillers from cold')).toEqual([
    { count: 5000, fillers: 5000 },
  ]);
  expect((await pagesSent()) - before).toBeGreaterThanOrEqual(pages);
  expect(await waiting()).toEqual([{ wait_event: 'SyncRep' }]);
  expect(committed).toBe(false);
  await zenith.startSafekeeper(1);
  await commit;
  await writer.end();
  const { nodes } = await zenith.status();
  expect(nodes.filter(({ status }) => status === 'stopped')).toMatchObject([{ service: 'safekeeper', id: 2 }]);
  await zenith.run('start');
  results.push({ acknowledged: new Set([1_000_000]), unknown: new Set(), errors: [] });
  expect(await audit()).toEqual([]);
});

test('every safekeeper and the compute killed at once while transfers run: nothing acknowledged is lost', async () => {
  async function killAll(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 1_000)); // let some transfers happen first
    await Promise.all([...SAFEKEEPERS.map((id) => zenith.kill(`safekeeper ${id}`)), zenith.kill('compute main')]);
    await zenith.run('start');
    await zenith.startPostgres('main');
  }
  const result = await runBank(() => zenith.connect(), options, { firstId: 2_000_000, until: killAll() });
  results.push(result);
  expect(result.errors).toEqual([]);
  expect(result.acknowledged.size).toBeGreaterThan(10);
  expect(await audit()).toEqual([]);
});
