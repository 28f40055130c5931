/**
 * pgbench TPC-B on a compute with real safekeepers against stock PostgreSQL with fsync=on, in turns on the same machine; prints the ratio of the medians.
 * Needs pgbench on PATH. Run: node --conditions=source --import tsx packages/compute/bench/pgbench.ts [seconds] [safekeepers]
 */
import { formatLsn, newTenantId, newTimelineId } from '@zenith/base';
import { StockPostgres, chownTree, freePort, unprivilegedUser } from '@zenith/testing';
import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { snapshotOfCluster } from '../src/data-directory/cluster-snapshot.test-support.ts';
import { FakePageserver } from '../src/supervisor/fake-pageserver.test-support.ts';
import { ServiceProcess } from '../src/supervisor/service-process.test-support.ts';

const SECONDS = Number(process.argv[2] ?? 10);
const SAFEKEEPERS = Number(process.argv[3] ?? 1);
const ROUNDS = 3;
const SCALE = 20;

/** A folder on a disk with room, not the system's temporary one: that may be memory. */
const root = mkdtempSync('/var/tmp/zenith-bench-');
spawnSync('chmod', ['755', root]);

/** Not synchronously: the pageserver of this benchmark lives in this process. */
async function pgbench(port: number, args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('pgbench', [
    '-h',
    '127.0.0.1',
    '-p',
    String(port),
    '-U',
    'postgres',
    ...args,
    'postgres',
  ]);
  return stdout;
}

async function tps(port: number): Promise<number> {
  return Number(/tps = ([\d.]+)/.exec(await pgbench(port, ['-c', '8', '-T', String(SECONDS), '-n']))?.[1]);
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

const template = StockPostgres.create({ major: 18 });
await template.start();
await template.stop();
const snapshot = snapshotOfCluster(template.dataDirectory, 18);
const pageserver = new FakePageserver(template.dataDirectory, snapshot);
await pageserver.listen();
const safekeepers = [];
for (let id = 1; id <= SAFEKEEPERS; id++) {
  const port = await freePort();
  const service = new ServiceProcess('safekeeper', join(root, `safekeeper-${id}`), 'safekeeper.json', {
    id,
    listen: { host: '127.0.0.1', port },
    http: { host: '127.0.0.1', port: await freePort() },
    logLevel: 'warn',
  });
  await service.start();
  safekeepers.push({ id, host: '127.0.0.1', port, service });
}
const port = await freePort();
const compute = new ServiceProcess('compute', join(root, 'compute'), 'compute.json', {
  tenant: newTenantId(),
  timeline: newTimelineId(),
  branch: 'main',
  endpoint: 'main',
  systemId: snapshot.manifest.systemId,
  startLsn: formatLsn(snapshot.manifest.lsn),
  safekeepers: safekeepers.map(({ id, host, port: safekeeperPort }) => ({ id, host, port: safekeeperPort })),
  pageserver: { host: '127.0.0.1', port: pageserver.port, httpPort: pageserver.httpPort },
  postgres: { major: 18, port, user: 'postgres' },
  http: {},
});
const stockDirectory = join(root, 'stock');
spawnSync('cp', ['-a', template.dataDirectory, stockDirectory]);
chownTree(stockDirectory, unprivilegedUser());
const stock = StockPostgres.create({ major: 18, dataDirectory: stockDirectory });
try {
  await compute.start();
  await stock.start();
  await stock.query("alter system set fsync = 'on'");
  await stock.query('select pg_reload_conf()');
  for (const target of [port, stock.port]) await pgbench(target, ['-i', '-s', String(SCALE), '-q']);
  const stockTps: number[] = [];
  const computeTps: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    stockTps.push(await tps(stock.port));
    computeTps.push(await tps(port));
    console.log(
      `round ${round + 1}: stock ${stockTps.at(-1)?.toFixed(0)} tps, compute ${computeTps.at(-1)?.toFixed(0)} tps`,
    );
  }
  console.log(
    `pgbench TPC-B -c 8, ${SAFEKEEPERS} safekeeper(s): ${(median(computeTps) / median(stockTps)).toFixed(2)} of stock PostgreSQL 18 with fsync=on`,
  );
} finally {
  await stock.stop();
  await compute.stop();
  for (const { service } of safekeepers) await service.stop();
  await pageserver.close();
  await template.remove();
  rmSync(root, { recursive: true, force: true });
}
