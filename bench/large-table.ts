import { isDeepStrictEqual } from 'node:util';
import { Client } from 'pg';
import { Zenith } from '../integration_tests/support/zenith.ts';
import { pageserverBranchTimes } from './branches.ts';
import { dropPageCache } from './support/drop-page-cache.ts';
import { atLeast, atMost, type Measurement } from './support/report.ts';
import { stockPrimary } from './support/stock-pair.ts';

const ROW = "repeat('x', 1000)";

async function timed(work: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await work();
  return performance.now() - begin;
}

/** How long a scan takes that finds all `rows` rows of the table. Unit: ms. @throws Error when it does not, however fast it is */
async function timedScan(client: Client, rows: number): Promise<number> {
  const begin = performance.now();
  const { rows: found } = await client.query<object>('select count(*), sum(id) from large');
  const time = performance.now() - begin;
  const expected = [{ count: String(rows), sum: String((rows * (rows + 1)) / 2) }];
  if (!isDeepStrictEqual(found, expected))
    throw new Error(`a scan found ${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`);
  return time;
}

async function connect(port: number, user: string): Promise<Client> {
  const client = new Client({ host: '127.0.0.1', port, user, database: 'postgres' });
  await client.connect();
  return client;
}

/**
 * A table of `megabytes`: a cold sequential scan against a stock server whose page cache was dropped, both of which must find every row; branches of a small and of the large database; and starts of
 * PostgreSQL on an existing branch up to the first answer.
 */
export async function benchLargeTable(megabytes: number, report: (measurement: Measurement) => void): Promise<void> {
  const zenith = await Zenith.init();
  const stock = await stockPrimary(18);
  try {
    await zenith.run('start');
    await zenith.startPostgres('main');
    const rows = Math.ceil((megabytes * 1024 * 1024) / 1170); // seven rows of 1,036 bytes a page
    const fill = `create table large as select g as id, ${ROW} as t from generate_series(1, ${rows}) g`;
    const branchTimes = async (prefix: string): Promise<number[]> => {
      const times: number[] = [];
      for (let i = 0; i < 10; i++)
        times.push((await zenith.json<{ elapsedMs: number }>('branch', `${prefix}_${i}`, 'main')).elapsedMs);
      return times;
    };
    report(atMost('branch of a small database', await branchTimes('small'), 50));
    await zenith.query('main', fill);
    await stock.query(fill);
    report(atMost(`branch of a database of ${megabytes} MB`, await branchTimes('large'), 50));
    report(atMost('the same, inside the pageserver', await pageserverBranchTimes(zenith, 'inside', 10), 10));

    const theirs: number[] = [];
    const ours: number[] = [];
    for (let round = 0; round < 3; round++) {
      await stock.stop();
      dropPageCache([stock.dataDirectory]);
      await stock.start();
      const client = await connect(stock.port, 'postgres');
      theirs.push(await timedScan(client, rows));
      await client.end();
      await zenith.run('pg', 'stop', 'main');
      dropPageCache([zenith.repository]);
      await zenith.startPostgres('main');
      const cold = await zenith.connect();
      ours.push(await timedScan(cold, rows));
      await cold.end();
    }
    const rate = (times: readonly number[]): number => megabytes / (Math.min(...times) / 1000);
    report(
      atLeast(`cold sequential scan of ${megabytes} MB against stock, cold`, rate(ours), rate(theirs), 0.5, 'MB/s'),
    );

    const starts: number[] = [];
    for (let i = 0; i < 5; i++) {
      await zenith.run('pg', 'stop', 'main');
      starts.push(await timed(() => zenith.startPostgres('main').then(() => zenith.query('main', 'select 1'))));
    }
    report(atMost('zenith pg start on an existing branch to first query', starts, 500));
  } finally {
    await stock.remove();
    await zenith.destroy();
  }
}
