import type { StockPostgres } from '@zenith/testing';
import { pgbenchInitialize, pgbenchRun, type Target } from '../integration_tests/support/pgbench.ts';
import { Zenith } from '../integration_tests/support/zenith.ts';
import { atLeast, meanOf, type Measurement } from './support/report.ts';
import { COMMON_SETTINGS, addSynchronousStandby, stockPrimary } from './support/stock-pair.ts';

/** Run on each server before the first figure: pages come into its buffers, the data just loaded gets to the disk and into layers, and JavaScript is compiled, which shows for half a minute of commits. Unit: s. */
export const WARM_UP_SECONDS = 30;

/** How long and how large. */
export interface TransactionsOptions {
  /** Scale of pgbench: × 100,000 accounts. */
  readonly scale: number;
  /** Of each run. Unit: s. */
  readonly seconds: number;
  /** Runs of each server, taken in turn. */
  readonly rounds: number;
}

/** pgbench with 8 clients: TPC-B against a stock server with fsync and against one that waits for a synchronous standby; warm selects against a stock server. */
export async function benchTransactions(
  options: TransactionsOptions,
  report: (measurement: Measurement) => void,
): Promise<void> {
  const zenith = await Zenith.init();
  const servers: StockPostgres[] = [];
  try {
    await zenith.run('start');
    await zenith.startPostgres(
      'main',
      ...Object.entries(COMMON_SETTINGS).flatMap(([name, value]) => ['--set', `${name}=${value}`]),
    );
    const stock = await stockPrimary(18);
    servers.push(stock);
    const replicated = await stockPrimary(18);
    servers.unshift(await addSynchronousStandby(replicated), replicated);
    const targets: Record<'zenith' | 'stock' | 'replicated', Target> = {
      zenith: { port: zenith.port('main'), user: zenith.user },
      stock: { port: stock.port, user: 'postgres' },
      replicated: { port: replicated.port, user: 'postgres' },
    };
    for (const target of Object.values(targets)) await pgbenchInitialize(target, options.scale);
    for (const target of Object.values(targets)) await pgbenchRun(target, WARM_UP_SECONDS);

    const tps = { zenith: [] as number[], stock: [] as number[], replicated: [] as number[] };
    for (let round = 0; round < options.rounds; round++) {
      for (const name of ['zenith', 'stock', 'replicated'] as const)
        tps[name].push((await pgbenchRun(targets[name], options.seconds)).tps);
    }
    report(atLeast('TPC-B, 8 clients, against stock fsync=on', meanOf(tps.zenith), meanOf(tps.stock), 0.8, 'tps'));
    report(
      atLeast(
        'TPC-B, 8 clients, against stock with a sync standby',
        meanOf(tps.zenith),
        meanOf(tps.replicated),
        1.2,
        'tps',
      ),
    );

    const selects = { zenith: [] as number[], stock: [] as number[] };
    for (const name of ['zenith', 'stock'] as const) await pgbenchRun(targets[name], WARM_UP_SECONDS, true);
    for (let round = 0; round < options.rounds; round++) {
      for (const name of ['zenith', 'stock'] as const)
        selects[name].push((await pgbenchRun(targets[name], options.seconds, true)).tps);
    }
    report(atLeast('selects only, warm, against stock', meanOf(selects.zenith), meanOf(selects.stock), 0.95, 'tps'));
  } finally {
    for (const server of servers) await server.remove();
    await zenith.destroy();
  }
}
