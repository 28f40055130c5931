import { dirname, join } from 'node:path';
import { freePort } from '@zenith/testing';
import { Client } from 'pg';
import { postgresProcessesBelow } from '../../packages/compute/src/postgres/leftovers.ts';
import type { ComputeCluster } from '../../packages/compute/src/supervisor/compute-cluster.test-support.ts';
import { ServiceProcess } from '../../packages/compute/src/supervisor/service-process.test-support.ts';

/** Exit status of a supervisor that was fenced. */
const FENCED = 3;

/** One of several computes that want the same branch. */
export class Contender {
  readonly service: ServiceProcess;
  readonly #port: number;
  readonly #httpPort: number;

  private constructor(service: ServiceProcess, port: number, httpPort: number) {
    this.service = service;
    this.#port = port;
    this.#httpPort = httpPort;
  }

  /** One more compute for a cluster's branch, on ports of its own; it does not run yet. */
  static async create(cluster: ComputeCluster, name: string): Promise<Contender> {
    const [port, httpPort] = [await freePort(), await freePort()];
    const { input, compute } = cluster;
    const service = new ServiceProcess('compute', join(dirname(compute.dataDir), name), 'compute.json', {
      ...input,
      endpoint: name,
      postgres: { ...input.postgres, port },
      http: { port: httpPort },
    });
    return new Contender(service, port, httpPort);
  }

  /** Processes of its PostgreSQL. */
  get postgres(): readonly number[] {
    return postgresProcessesBelow(this.service.dataDir);
  }

  /** What its supervisor is: `ended` when it is no more, `silent` when it does not answer. */
  async state(): Promise<string> {
    return this.service.isRunning ? ((await this.#status())?.state ?? 'silent') : 'ended';
  }

  /** The term it was elected to; 0 before. */
  async term(): Promise<number> {
    return (await this.#status())?.term ?? 0;
  }

  /** Undefined when it does not answer: it listens a moment after its start, and no more a moment before its end. */
  async #status(): Promise<{ readonly state: string; readonly term: number } | undefined> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.#httpPort}/v1/status`);
      return (await response.json()) as { readonly state: string; readonly term: number };
    } catch {
      return undefined;
    }
  }

  /** Resolves when its supervisor has ended, and nothing of its PostgreSQL is left; the number of ms since `sinceMs`. @throws Error when it does not end because it was fenced */
  async fencedSince(sinceMs: number): Promise<number> {
    const how = await this.service.exited;
    if (how !== FENCED && !this.service.log.includes('another compute took over this branch'))
      throw new Error(`the compute was not fenced, it ended with ${how}`);
    if (this.postgres.length > 0) throw new Error(`PostgreSQL outlived its supervisor: ${this.postgres.join()}`);
    return performance.now() - sinceMs;
  }

  /** A connected client; the caller ends it. */
  async connect(timeoutMs = 30_000): Promise<Client> {
    const client = new Client({
      host: '127.0.0.1',
      port: this.#port,
      user: 'postgres',
      database: 'postgres',
      query_timeout: timeoutMs,
      connectionTimeoutMillis: timeoutMs,
    });
    client.on('error', () => undefined); // its server ends under it; queries in flight reject by themselves
    await client.connect();
    return client;
  }

  /** Ends it, whatever it is doing. */
  async kill(): Promise<void> {
    this.service.kill('SIGKILL');
    await this.service.exited;
  }
}
