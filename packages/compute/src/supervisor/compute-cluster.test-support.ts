import { formatLsn, newTenantId, newTimelineId, type Lsn, type TenantId } from '@zenith/base';
import { nodeId } from '@zenith/consensus';
import type { PgMajor } from '@zenith/pg-format';
import { StockPostgres, freePort, temporaryDirectory } from '@zenith/testing';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import { snapshotOfCluster, type ClusterSnapshot } from '../data-directory/cluster-snapshot.test-support.ts';
import { preloadLibrary } from '../presence-map/overlay.test-support.ts';
import { syncSafekeepers } from '../wal-proposer/sync-safekeepers.ts';
import type { ElectionResult } from '../wal-proposer/wal-proposer.ts';
import { ComputeProcess } from './compute-process.test-support.ts';
import type { ComputeConfig, ComputeConfigInput } from './config.ts';
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
  /** A compute goes by its endpoint. */
  readonly from: `compute ${string}` | 'pageserver';
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

/** A timeline as its computes are told of it. */
export type ComputeTimeline = Pick<ComputeConfigInput, 'branch' | 'timeline' | 'startLsn' | 'ancestors'>;

/** The storage of a cluster, and how computes reach it. */
interface Storage {
  readonly directory: { readonly path: string; remove(): void };
  readonly origin: ComputeOrigin;
  readonly tenant: TenantId;
  readonly safekeepers: readonly {
    readonly process: ServiceProcess;
    readonly id: number;
    readonly port: number;
    readonly httpPort: number;
  }[];
  /** The real pageserver; undefined when the origin's serves. */
  readonly pageserver: ServiceProcess | undefined;
  readonly pageserverPorts: { readonly port: number; readonly httpPort: number };
  readonly settings: Readonly<Record<string, string>>;
  readonly route: Router;
}

/** Real safekeepers, and a compute that was not started yet, as processes of their own. */
export class ComputeCluster {
  readonly #storage: Storage;
  /** The first one, on the cluster's first timeline. */
  readonly compute: ComputeProcess;
  /** All that there ever were. */
  readonly #computes: ComputeProcess[];

  private constructor(storage: Storage, compute: ComputeProcess) {
    this.#storage = storage;
    this.compute = compute;
    this.#computes = [compute];
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
    const pageserverPorts = { port: origin.pageserver.port, httpPort: origin.pageserver.httpPort };
    let realPageserver: ServiceProcess | undefined;
    if (pageserver === 'real') {
      pageserverPorts.port = await freePort();
      pageserverPorts.httpPort = await freePort();
      const dataDir = join(directory.path, 'pageserver');
      realPageserver = new ServiceProcess('pageserver', dataDir, 'pageserver.json', {
        listen: { host: '127.0.0.1', port: pageserverPorts.port },
        http: { host: '127.0.0.1', port: pageserverPorts.httpPort },
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
    const storage = {
      directory,
      origin,
      tenant,
      safekeepers,
      pageserver: realPageserver,
      pageserverPorts,
      settings,
      route,
    };
    const startLsn = formatLsn(origin.snapshot.manifest.lsn);
    return new ComputeCluster(storage, await newCompute(storage, 'main', { branch: 'main', timeline, startLsn }));
  }

  get safekeepers(): readonly ServiceProcess[] {
    return this.#storage.safekeepers.map(({ process }) => process);
  }

  /** The real pageserver; undefined when the origin's serves. */
  get pageserver(): ServiceProcess | undefined {
    return this.#storage.pageserver;
  }

  /** One more compute, on ports of its own; it does not run yet. @param on by default the cluster's first timeline */
  async addCompute(endpoint: string, on: ComputeTimeline = this.input): Promise<ComputeProcess> {
    const compute = await newCompute(this.#storage, endpoint, on);
    this.#computes.push(compute);
    return compute;
  }

  /** Makes a branch, as `zenith branch` does. */
  async createBranch(
    branch: string,
    { timeline, startLsn, ancestors = [] }: ComputeTimeline,
    at: Lsn,
  ): Promise<ComputeTimeline> {
    const made = newTimelineId();
    const ancestorLsn = formatLsn(at);
    await this.#call(this.#storage.pageserverPorts.httpPort, 'POST', '', {
      timelineId: made,
      ancestorTimelineId: timeline,
      ancestorLsn,
    });
    return { branch, timeline: made, startLsn: ancestorLsn, ancestors: [{ timeline, startLsn }, ...ancestors] };
  }

  /** Removes a branch on which no compute runs, as `zenith branch delete` does. */
  async removeBranch({ timeline }: ComputeTimeline): Promise<void> {
    const { pageserverPorts, safekeepers } = this.#storage;
    await this.#call(pageserverPorts.httpPort, 'DELETE', `/${timeline}`);
    await Promise.all(safekeepers.map(({ httpPort }) => this.#call(httpPort, 'DELETE', `/${timeline}`)));
  }

  /** Ends whatever runs and removes all files. */
  async remove(): Promise<void> {
    for (const compute of this.#computes) {
      compute.kill('SIGKILL');
      await compute.exited;
    }
    this.pageserver?.kill('SIGKILL');
    await this.pageserver?.exited;
    for (const safekeeper of this.safekeepers) await safekeeper.stop();
    this.#storage.directory.remove();
  }

  /** Of the first compute, as all that follows up to {@link status}. */
  get config(): ComputeConfig {
    return this.compute.config;
  }

  get input(): ComputeConfigInput {
    return this.compute.input;
  }

  get pgdata(): string {
    return this.compute.pgdata;
  }

  get postgresPid(): number {
    return this.compute.postgresPid;
  }

  connect(timeoutMs?: number): Promise<pg.Client> {
    return this.compute.connect(timeoutMs);
  }

  query(sql: string, timeoutMs?: number): Promise<Record<string, unknown>[]> {
    return this.compute.query(sql, timeoutMs);
  }

  status(): Promise<Record<string, unknown>> {
    return this.compute.status();
  }

  /** What the safekeeper with that index says of a timeline, by default the first. */
  async safekeeperStatus(index: number, timeline: string = this.config.timeline): Promise<SafekeeperStatus> {
    const { safekeepers, tenant } = this.#storage;
    const response = await fetch(
      `http://127.0.0.1:${safekeepers[index]?.httpPort}/v1/tenant/${tenant}/timeline/${timeline}`,
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

  /** Asks a service about timelines. @throws Error with its answer when it refuses */
  async #call(httpPort: number, method: 'POST' | 'DELETE', path: string, body?: object): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${httpPort}/v1/tenant/${this.#storage.tenant}/timeline${path}`, {
      method,
      ...(body === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} timeline${path} was refused: ${await response.text()}`);
  }
}

async function newCompute(storage: Storage, endpoint: string, on: ComputeTimeline): Promise<ComputeProcess> {
  const { directory, origin, tenant, safekeepers, pageserverPorts, settings, route } = storage;
  const from = `compute ${endpoint}` as const;
  return new ComputeProcess(join(directory.path, `compute-${endpoint}`), {
    tenant,
    timeline: on.timeline,
    branch: on.branch,
    endpoint,
    systemId: origin.snapshot.manifest.systemId,
    startLsn: on.startLsn,
    ancestors: on.ancestors,
    safekeepers: await Promise.all(
      safekeepers.map(async ({ id, port }) => ({
        id,
        host: '127.0.0.1',
        port: await route({ from, to: `safekeeper ${id}` }, port),
      })),
    ),
    pageserver: {
      host: '127.0.0.1',
      port: await route({ from, to: 'pageserver' }, pageserverPorts.port),
      httpPort: await route({ from, to: 'pageserver' }, pageserverPorts.httpPort),
    },
    postgres: { major: origin.major, port: await freePort(), user: 'postgres', settings },
    http: { port: await freePort() },
    timeouts: { stopMs: 10_000 },
  });
}

function lastLines(log: string): string {
  return `\n${log.trimEnd().split('\n').slice(-20).join('\n')}`;
}
