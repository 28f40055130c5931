import { formatLsn, newTenantId, newTimelineId } from '@zenith/base';
import { nodeId } from '@zenith/consensus';
import type { PgMajor } from '@zenith/pg-format';
import { StockPostgres, freePort, temporaryDirectory } from '@zenith/testing';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { snapshotOfCluster, type ClusterSnapshot } from '../data-directory/cluster-snapshot.test-support.ts';
import { preloadLibrary } from '../presence-map/overlay.test-support.ts';
import { syncSafekeepers } from '../wal-proposer/sync-safekeepers.ts';
import type { ElectionResult } from '../wal-proposer/wal-proposer.ts';
import { parseComputeConfig, type ComputeConfig, type ComputeConfigInput } from './config.ts';
import { FakePageserver } from './fake-pageserver.test-support.ts';
import { ServiceProcess, runService } from './service-process.test-support.ts';

/** Size of a WAL segment. Unit: bytes. */
export const SEGMENT_SIZE = 16 * 1024 * 1024;

/** A log that nobody reads. */
export const SILENT = { info: (): void => undefined, warn: (): void => undefined };

/** What a safekeeper's HTTP interface says about a timeline. */
export interface SafekeeperStatus {
  readonly flushLsn: string;
  readonly commitLsn: string;
  readonly term: number;
}

/** Who connects to whom. */
export interface Route {
  readonly from: 'compute' | 'pageserver';
  readonly to: 'pageserver' | `safekeeper ${number}`;
}

/** What lies between two services: gives the port to connect to in order to reach `port`. */
export type Router = (route: Route, port: number) => Promise<number>;

/** A stock cluster that computes are started on: a table t with 1,000 rows, behind a pageserver that serves its files. */
export class ComputeOrigin {
  readonly snapshot: ClusterSnapshot;
  readonly pageserver: FakePageserver;
  readonly major: PgMajor;
  readonly #stock: StockPostgres;

  private constructor(major: PgMajor, stock: StockPostgres) {
    this.major = major;
    this.#stock = stock;
    this.snapshot = snapshotOfCluster(stock.dataDirectory, major);
    this.pageserver = new FakePageserver(stock.dataDirectory, this.snapshot);
  }

  static async create(major: PgMajor): Promise<ComputeOrigin> {
    preloadLibrary();
    const stock = StockPostgres.create({ major });
    await stock.start();
    await stock.query('create table t(id int primary key, v text)');
    await stock.query("insert into t select g, 'old' from generate_series(1, 1000) g");
    await stock.stop();
    const origin = new ComputeOrigin(major, stock);
    await origin.pageserver.listen();
    return origin;
  }

  /** The data directory of the stock cluster, which does not run any more. */
  get pgdata(): string {
    return this.#stock.dataDirectory;
  }

  async remove(): Promise<void> {
    await this.pageserver.close();
    await this.#stock.remove();
  }
}

/** Real safekeepers, and a compute that was not started yet, as processes of their own. */
export class ComputeCluster {
  readonly compute: ServiceProcess;
  readonly safekeepers: readonly ServiceProcess[];
  readonly config: ComputeConfig;
  /** What is in compute.json. */
  readonly input: ComputeConfigInput;
  readonly #safekeeperHttpPorts: readonly number[];
  readonly #directory: { remove(): void };
  /** The real pageserver; undefined when the origin's serves. */
  readonly pageserver: ServiceProcess | undefined;

  private constructor(
    directory: { readonly path: string; remove(): void },
    safekeepers: readonly { process: ServiceProcess; httpPort: number }[],
    pageserver: ServiceProcess | undefined,
    config: ComputeConfigInput,
  ) {
    this.pageserver = pageserver;
    this.#directory = directory;
    this.safekeepers = safekeepers.map(({ process }) => process);
    this.#safekeeperHttpPorts = safekeepers.map(({ httpPort }) => httpPort);
    this.compute = new ServiceProcess('compute', join(directory.path, 'compute'), 'compute.json', config);
    this.config = parseComputeConfig(config, 'test');
    this.input = config;
  }

  /**
   * @param pageserver `of-origin` knows nothing but the cluster a first compute starts on; `real` takes WAL, so that a compute can be built anew from it
   * @param route what the services reach each other through; they do so directly when it is left out
   */
  static async create(
    origin: ComputeOrigin,
    safekeeperCount: number,
    settings: Readonly<Record<string, string>> = {},
    pageserver: 'of-origin' | 'real' = 'of-origin',
    route: Router = (_, port) => Promise.resolve(port),
  ): Promise<ComputeCluster> {
    const directory = temporaryDirectory('zenith-compute-');
    const safekeepers: { process: ServiceProcess; id: number; port: number; httpPort: number }[] = [];
    for (let id = 1; id <= safekeeperCount; id++) {
      const port = await freePort();
      const httpPort = await freePort();
      const config = { id, listen: { host: '127.0.0.1', port }, http: { host: '127.0.0.1', port: httpPort } };
      const process = new ServiceProcess(
        'safekeeper',
        join(directory.path, `safekeeper-${id}`),
        'safekeeper.json',
        config,
      );
      await process.start();
      safekeepers.push({ process, id, port, httpPort });
    }
    const tenant = newTenantId();
    const timeline = newTimelineId();
    const addresses = { port: origin.pageserver.port, httpPort: origin.pageserver.httpPort };
    let realPageserver: ServiceProcess | undefined;
    if (pageserver === 'real') {
      addresses.port = await freePort();
      addresses.httpPort = await freePort();
      const dataDir = join(directory.path, 'pageserver');
      realPageserver = new ServiceProcess('pageserver', dataDir, 'pageserver.json', {
        listen: { host: '127.0.0.1', port: addresses.port },
        http: { host: '127.0.0.1', port: addresses.httpPort },
        safekeepers: await Promise.all(
          safekeepers.map(async ({ id, port, httpPort }) => {
            const to = { from: 'pageserver', to: `safekeeper ${id}` } as const;
            return { id, host: '127.0.0.1', port: await route(to, port), httpPort: await route(to, httpPort) };
          }),
        ),
      });
      const of = ['--data-dir', dataDir, '--tenant', tenant, '--timeline', timeline, '--pgdata', origin.pgdata];
      await runService('pageserver', ['bootstrap', ...of]);
      await realPageserver.start();
    }
    return new ComputeCluster(directory, safekeepers, realPageserver, {
      tenant,
      timeline,
      branch: 'main',
      endpoint: 'main',
      systemId: origin.snapshot.manifest.systemId,
      startLsn: formatLsn(origin.snapshot.manifest.lsn),
      safekeepers: await Promise.all(
        safekeepers.map(async ({ id, port }) => ({
          id,
          host: '127.0.0.1',
          port: await route({ from: 'compute', to: `safekeeper ${id}` }, port),
        })),
      ),
      pageserver: {
        host: '127.0.0.1',
        port: await route({ from: 'compute', to: 'pageserver' }, addresses.port),
        httpPort: await route({ from: 'compute', to: 'pageserver' }, addresses.httpPort),
      },
      postgres: { major: origin.major, port: await freePort(), user: 'postgres', settings },
      http: { port: await freePort() },
      timeouts: { stopMs: 10_000 },
    });
  }

  /** Ends whatever runs and removes all files. */
  async remove(): Promise<void> {
    this.compute.kill('SIGKILL');
    await this.compute.exited;
    this.pageserver?.kill('SIGKILL');
    await this.pageserver?.exited;
    for (const safekeeper of this.safekeepers) await safekeeper.stop();
    this.#directory.remove();
  }

  /** The data directory of the compute. */
  get pgdata(): string {
    return join(this.compute.dataDir, 'pgdata');
  }

  /** The postmaster, by its own pid file. */
  get postgresPid(): number {
    return Number(readFileSync(join(this.pgdata, 'postmaster.pid'), 'utf8').split('\n')[0]);
  }

  /** A client that is connected to the compute; the caller ends it. */
  async connect(timeoutMs = 30_000): Promise<pg.Client> {
    const client = new pg.Client({
      host: '127.0.0.1',
      port: this.config.postgres.port,
      user: 'postgres',
      database: 'postgres',
      query_timeout: timeoutMs,
      connectionTimeoutMillis: timeoutMs,
    });
    client.on('error', () => undefined); // crash tests end the server under it; queries in flight reject by themselves
    await client.connect();
    return client;
  }

  /** Runs SQL on the compute over a connection of its own. */
  async query(sql: string, timeoutMs = 30_000): Promise<Record<string, unknown>[]> {
    const client = await this.connect(timeoutMs);
    try {
      return (await client.query<Record<string, unknown>>(sql)).rows;
    } finally {
      void client.end();
    }
  }

  /** The supervisor's status. */
  async status(): Promise<Record<string, unknown>> {
    return (await (await fetch(`http://127.0.0.1:${this.config.http.port}/v1/status`)).json()) as Record<
      string,
      unknown
    >;
  }

  /** What the safekeeper with that index says of the timeline. */
  async safekeeperStatus(index: number): Promise<SafekeeperStatus> {
    const response = await fetch(
      `http://127.0.0.1:${this.#safekeeperHttpPorts[index]}/v1/tenant/${this.config.tenant}/timeline/${this.config.timeline}`,
    );
    return (await response.json()) as SafekeeperStatus;
  }

  /** Where WAL and its acknowledgements are, and who said what lately: for the message of a test that waits for WAL in vain. */
  async whereaboutsOfWal(): Promise<string> {
    const parts: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['supervisor', () => this.status()],
      ...this.safekeepers.map((_, i) => [`safekeeper ${i + 1}`, () => this.safekeeperStatus(i)] as const),
      [
        'PostgreSQL',
        () =>
          this.query(
            'select pg_current_wal_insert_lsn() as inserted, pg_current_wal_lsn() as written, pg_current_wal_flush_lsn() as flushed',
          ),
      ],
      ['walsenders', () => this.query('select * from pg_stat_replication')],
      ['its processes', () => this.query('select pid, backend_type, state, wait_event, query from pg_stat_activity')],
      ['its log', () => Promise.resolve(lastLines(readFileSync(join(this.compute.dataDir, 'postgres.log'), 'utf8')))],
      ['log of the supervisor', () => Promise.resolve(lastLines(this.compute.log))],
      ...this.safekeepers.map(
        (process, i) => [`log of safekeeper ${i + 1}`, () => Promise.resolve(lastLines(process.log))] as const,
      ),
    ];
    const told: string[] = [];
    for (const [name, ask] of parts) {
      const answer = await ask().catch((error: unknown) => String(error));
      told.push(`${name}: ${typeof answer === 'string' ? answer : JSON.stringify(answer)}`);
    }
    return told.join('\n');
  }

  /** Kills a safekeeper. */
  async killSafekeeper(index: number): Promise<void> {
    this.safekeepers[index]?.kill('SIGKILL');
    await this.safekeepers[index]?.exited;
  }

  /** An election of another proposer: where the WAL ends. Fences the compute. @param continuesTerm the last term known to the proposer it continues, if it does */
  sync(continuesTerm?: number): Promise<ElectionResult> {
    const { tenant, timeline, systemId, startLsn, postgres, safekeepers } = this.config;
    return syncSafekeepers({
      identity: {
        tenant,
        timeline,
        pgMajor: postgres.major,
        systemId,
        segmentSize: SEGMENT_SIZE,
        timelineStartLsn: startLsn,
      },
      safekeepers: safekeepers.map((safekeeper) => ({ ...safekeeper, id: nodeId(safekeeper.id) })),
      configuration: { generation: 1, members: safekeepers.map(({ id }) => nodeId(id)), newMembers: null },
      continuesTerm,
      log: SILENT,
    });
  }
}

function lastLines(log: string): string {
  return `\n${log.trimEnd().split('\n').slice(-20).join('\n')}`;
}
