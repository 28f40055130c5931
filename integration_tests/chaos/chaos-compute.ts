import { rmSync } from 'node:fs';
import type { ComputeProcess } from '../../packages/compute/src/supervisor/compute-process.test-support.ts';
import type { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import { noFault, signal, stopped, type Fault } from './fault.ts';
import type { ComputeFault, ComputeName } from './faults.ts';
import type { Links } from './links.ts';

/** A compute that finds no storage at its start is started so often. */
const STARTS_MAX = 20;
const START_PAUSE_MS = 200;

/** A compute, and what is done to it. */
export class ChaosCompute {
  readonly name: ComputeName;
  readonly process: ComputeProcess;
  readonly #links: Links;
  /** Ends that nobody has asked for, in words. */
  readonly unexpected: string[] = [];
  #expectedEnds = new WeakSet<object>();
  #run = {};

  /** @param process has the compute's name for its endpoint, and reaches storage through `links` */
  constructor(name: ComputeName, process: ComputeProcess, links: Links) {
    this.name = name;
    this.process = process;
    this.#links = links;
  }

  /** Starts it; resolves when it takes connections. Again when storage was not there, as whoever gave the command would. @throws Error with its reason when it does not start */
  async start(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const run = {};
      this.#run = run;
      const starting = this.process.start();
      void this.process.exited.then((how) => {
        if (!this.#expectedEnds.has(run))
          this.unexpected.push(`the compute of ${this.name} ended by itself with ${how}`);
      });
      const { ready, error } = await starting;
      if (ready) return;
      this.#expectedEnds.add(run);
      await this.process.exited;
      if (attempt === STARTS_MAX || !/cannot be used|no quorum/.test(error ?? ''))
        throw new Error(`the compute of ${this.name} does not start: ${error}`);
      await new Promise((resolve) => setTimeout(resolve, START_PAUSE_MS)); // nobody tells it when storage is back
    }
  }

  /** Ends it; resolves when its supervisor is gone. */
  async end(how: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.expectEnd();
    this.process.kill(how);
    await this.process.exited;
  }

  /** Whoever ends it from now on, it is no news. */
  expectEnd(): void {
    this.#expectedEnds.add(this.#run);
  }

  /** Ends it and removes its files. */
  async destroy(): Promise<void> {
    await this.end('SIGTERM');
    rmSync(this.process.dataDir, { recursive: true });
  }

  /** What makes a fault. Whom it meets is found out before anything is done to anybody. */
  async fault(fault: ComputeFault, random: Random): Promise<Fault> {
    switch (fault) {
      case 'none':
        return noFault;
      case 'supervisor killed':
        return () => {
          const ended = this.end('SIGKILL');
          return () => ended.then(() => this.start());
        };
      case 'supervisor replaced':
        return () => {
          const started = this.end('SIGKILL').then(() => this.start());
          started.catch(() => undefined); // awaited when all is mended
          return () => started;
        };
      case 'supervisor stopped': {
        const { pid } = this.process;
        return () => stopped([pid]);
      }
      case 'supervisor killed, backends stopped': {
        const backends = await this.#backends();
        return () => {
          const resume = stopped(backends);
          const ended = this.end('SIGKILL');
          return () => {
            const started = ended.then(() => this.start());
            resume();
            return started;
          };
        };
      }
      case 'the stream of WAL canceled': {
        const walSenders = await this.#pids('select pid from pg_stat_replication');
        // as pg_cancel_backend() does: the walsender says ERROR and keeps its connection
        return () => {
          for (const pid of walSenders) signal(pid, 'SIGINT');
          return undefined;
        };
      }
      case 'postmaster killed': {
        const { postgresPid } = this.process;
        return () => {
          signal(postgresPid, 'SIGKILL');
          return undefined;
        };
      }
      case 'postmaster stopped': {
        const { postgresPid } = this.process;
        return () => stopped([postgresPid]);
      }
      case 'a backend killed': {
        const victim = random.pick(await this.#backends());
        return () => {
          signal(victim, 'SIGKILL');
          return undefined;
        };
      }
      case 'backends stopped': {
        const backends = await this.#backends();
        return () => stopped(backends);
      }
      case 'cut from the pageserver':
        return this.#links.fault(({ from, to }) => from === `compute ${this.name}` && to === 'pageserver', 'cut');
      case 'cut from the safekeepers':
        return this.#links.fault(({ from, to }) => from === `compute ${this.name}` && to !== 'pageserver', 'cut');
      default:
        fault satisfies never;
        throw new Error('no such fault');
    }
  }

  #backends(): Promise<number[]> {
    return this.#pids(
      "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid() order by pid",
    );
  }

  async #pids(sql: string): Promise<number[]> {
    const rows = await this.process.query(sql);
    return rows.map((row) => Number(row['pid']));
  }
}
