import type { Client } from 'pg';
import { postgresProcessesBelow } from '../../packages/compute/src/postgres/leftovers.ts';
import type { ComputeCluster } from '../../packages/compute/src/supervisor/compute-cluster.test-support.ts';
import type { ComputeProcess } from '../../packages/compute/src/supervisor/compute-process.test-support.ts';

/** Exit status of a supervisor that was fenced. */
const FENCED = 3;

/** One of several computes that want the same branch. */
export class Contender {
  readonly service: ComputeProcess;

  private constructor(service: ComputeProcess) {
    this.service = service;
  }

  /** One more compute for a cluster's branch, on ports of its own; it does not run yet. */
  static async create(cluster: ComputeCluster, name: string): Promise<Contender> {
    return new Contender(await cluster.addCompute(name));
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
      return (await this.service.status()) as unknown as { readonly state: string; readonly term: number };
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
  connect(timeoutMs?: number): Promise<Client> {
    return this.service.connect(timeoutMs);
  }

  /** Ends it, whatever it is doing. */
  async kill(): Promise<void> {
    this.service.kill('SIGKILL');
    await this.service.exited;
  }
}
