import type { StockPostgres } from '@zenith/testing';
import {
  pgbenchCommits,
  pgbenchInitialize,
  pgbenchLatencies,
  pgbenchRun,
  type Latencies,
  type PgbenchResult,
  type Target,
} from '../integration_tests/support/pgbench.ts';
import { Zenith } from '../integration_tests/support/zenith.ts';
import { atLeast, meanOf, medianOf, ratioAtMost, type Measurement } from './support/report.ts';
import { COMMON_SETTINGS, addQuorumOfStandbys, stockPrimary } from './support/stock-pair.ts';
import { type TransactionsOptions, WARM_UP_SECONDS } from './transactions.ts';

type Run = PgbenchResult & Latencies;

/** TPC-B with 8 clients and commits of one client, with three safekeepers against a stock server that waits for any two of three standbys; throughput, and how long transactions take. */
export async function benchQuorum(
  options: TransactionsOptions,
  report: (measurement: Measurement) => void,
): Promise<void> {
  const zenith = await Zenith.init('--safekeepers', '3');
  const servers: StockPostgres[] = [];
  try {
    await zenith.run('start');
    await zenith.startPostgres(
      'main',
      ...Object.entries(COMMON_SETTINGS).flatMap(([name, value]) => ['--set', `${name}=${value}`]),
    );
    const stock = await stockPrimary(18);
    servers.push(stock);
    servers.unshift(...(await addQuorumOfStandbys(stock)));
    const targets: Record<'zenith' | 'stock', Target> = {
      zenith: { port: zenith.port('main'), user: zenith.user },
      stock: { port: stock.port, user: 'postgres' },
    };
    const runs = { zenith: [] as Run[], stock: [] as Run[] };
    const commits = { zenith: [] as Run[], stock: [] as Run[] };
    for (const target of Object.values(targets)) await pgbenchInitialize(target, options.scale);
    for (const target of Object.values(targets)) await pgbenchRun(target, WARM_UP_SECONDS);
    for (let round = 0; round < options.rounds; round++) {
      for (const name of ['zenith', 'stock'] as const) {
        runs[name].push(await pgbenchLatencies(targets[name], options.seconds));
        commits[name].push(await pgbenchCommits(targets[name], Math.ceil(options.seconds / 4)));
      }
    }
    const tps = (of: Run[]): number => meanOf(of.map((run) => run.tps));
    report(
      atLeast(
        'TPC-B, 8 clients, 3 safekeepers, against ANY 2 (3 standbys)',
        tps(runs.zenith),
        tps(runs.stock),
        1.2,
        'tps',
      ),
    );
    const side = (name: string, of: typeof runs, figure: keyof Latencies): void => {
      const ms = (those: Run[]): number => medianOf(those.map((run) => run[figure]));
      report(ratioAtMost(`${name}, ${figure.slice(0, 3)}`, ms(of.zenith), ms(of.stock), 1, 'ms'));
    };
    for (const figure of ['p50Ms', 'p99Ms'] as const) {
      side('TPC-B transaction of one of 8 clients', runs, figure);
      side('commit of one client', commits, figure);
    }
  } finally {
    for (const server of servers) await server.remove();
    await zenith.destroy();
  }
}
