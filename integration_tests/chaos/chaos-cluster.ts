import type { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import {
  ComputeCluster,
  type ComputeOrigin,
} from '../../packages/compute/src/supervisor/compute-cluster.test-support.ts';
import type { ServiceProcess } from '../../packages/compute/src/supervisor/service-process.test-support.ts';
import type { Combination, ComputeFault, PageserverFault, SafekeeperFault } from './faults.ts';
import { shuffle } from './schedule.ts';
import { TcpProxy, type LinkState } from './tcp-proxy.ts';

/** Three safekeepers. */
const SAFEKEEPERS = 3;

/** Small buffers, so that backends write pages themselves and a kill has something to tear. */
const SETTINGS = { shared_buffers: '1MB', max_wal_size: '64MB', checkpoint_timeout: '30s' };

/** A compute that finds no storage at its start is started so often. */
const STARTS_MAX = 20;
const START_PAUSE_MS = 200;

/** Faults that were made, and how to mend them. */
export interface Injected {
  /** Mends all of them at once; resolves when what was killed is ready again. */
  heal(): Promise<void>;
}

/** Makes one fault and gives what mends it. */
type Fault = () => (() => Promise<unknown> | void) | undefined;

/** Real safekeepers, a pageserver and a compute, every link between them a {@link TcpProxy}; what is done to it comes from a {@link Combination}. */
export class ChaosCluster {
  readonly cluster: ComputeCluster;
  readonly #links: ReadonlyMap<string, readonly TcpProxy[]>;
  /** Ends of the compute that nobody has asked for, in words. */
  readonly unexpected: string[] = [];
  #expectedEnds = new WeakSet<object>();
  #run = {};

  private constructor(cluster: ComputeCluster, links: ReadonlyMap<string, readonly TcpProxy[]>) {
    this.cluster = cluster;
    this.#links = links;
  }

  /** Everything runs when it resolves. */
  static async start(origin: ComputeOrigin): Promise<ChaosCluster> {
    const links = new Map<string, TcpProxy[]>();
    const cluster = await ComputeCluster.create(origin, SAFEKEEPERS, SETTINGS, 'real', async ({ from, to }, port) => {
      const proxy = await TcpProxy.to(port);
      const name = `${from} ${to}`;
      links.set(name, [...(links.get(name) ?? []), proxy]);
      return proxy.port;
    });
    const chaos = new ChaosCluster(cluster, links);
    await chaos.startCompute();
    return chaos;
  }

  /** Starts the compute; resolves when it takes connections. Again when storage was not there, as whoever gave the command would. @throws Error with its reason when it does not start */
  async startCompute(): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const run = {};
      this.#run = run;
      const starting = this.cluster.compute.start();
      void this.cluster.compute.exited.then((how) => {
        if (!this.#expectedEnds.has(run)) this.unexpected.push(`the compute ended by itself with ${how}`);
      });
      const { ready, error } = await starting;
      if (ready) return;
      this.#expectedEnds.add(run);
      await this.cluster.compute.exited;
      if (attempt === STARTS_MAX || !/cannot be used|no quorum/.test(error ?? ''))
        throw new Error(`the compute does not start: ${error}`);
      await new Promise((resolve) => setTimeout(resolve, START_PAUSE_MS)); // nobody tells it when storage is back
    }
  }

  /** Ends the compute. */
  async endCompute(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    this.#expectedEnds.add(this.#run);
    this.cluster.compute.kill(signal);
    await this.cluster.compute.exited;
  }

  /** Kills everything at once, and starts it again. */
  async killAll(): Promise<void> {
    const { safekeepers, pageserver } = this.cluster;
    const services = [...safekeepers, ...(pageserver === undefined ? [] : [pageserver])];
    await Promise.all([this.endCompute('SIGKILL'), ...services.map((service) => killed(service))]);
    await Promise.all(services.map((service) => service.start()));
    await this.startCompute();
  }

  /** Makes all faults of a combination, in an order that `random` says; so is the order in which they are mended later. */
  async inject(combination: Combination, random: Random): Promise<Injected> {
    const faults = [
      ...combination.safekeepers.map((fault, index) => this.#safekeeperFault(index, fault)),
      await this.#computeFault(combination.compute, random),
      this.#pageserverFault(combination.pageserver),
    ];
    const mend = shuffle(faults, random)
      .map((make) => make())
      .filter((one) => one !== undefined);
    shuffle(mend, random);
    return {
      heal: async () => {
        await Promise.all(mend.map(async (one) => one()));
      },
    };
  }

  /** Ends everything and removes all files. */
  async remove(): Promise<void> {
    this.#expectedEnds.add(this.#run);
    for (const service of [...this.cluster.safekeepers, this.cluster.pageserver]) service?.kill('SIGCONT');
    await this.cluster.remove();
    for (const proxies of this.#links.values()) for (const proxy of proxies) await proxy.close();
  }

  #safekeeperFault(index: number, fault: SafekeeperFault): Fault {
    const { [index]: safekeeper } = this.cluster.safekeepers;
    if (safekeeper === undefined) throw new Error(`there is no safekeeper ${index + 1}`);
    switch (fault) {
      case 'none':
        return () => undefined;
      case 'killed':
      case 'stopped':
        return serviceFault(safekeeper, fault);
      default:
        return this.#linkFault([`compute safekeeper ${index + 1}`, `pageserver safekeeper ${index + 1}`], fault);
    }
  }

  #pageserverFault(fault: PageserverFault): Fault {
    const { pageserver } = this.cluster;
    if (pageserver === undefined) throw new Error('the cluster has a pageserver');
    switch (fault) {
      case 'none':
        return () => undefined;
      case 'killed':
      case 'stopped':
        return serviceFault(pageserver, fault);
      case 'cut from the compute':
        return this.#linkFault(['compute pageserver'], 'cut');
      case 'cut from the safekeepers':
        return this.#linkFault(
          [1, 2, 3].map((id) => `pageserver safekeeper ${id}`),
          'cut',
        );
      default:
        fault satisfies never;
        throw new Error('no such fault');
    }
  }

  /** A link that has another fault already keeps it. */
  #linkFault(names: readonly string[], state: LinkState): Fault {
    return () => {
      const proxies = names.flatMap((name) => this.#links.get(name) ?? []).filter((proxy) => proxy.state === 'open');
      for (const proxy of proxies) proxy.state = state;
      return () => {
        for (const proxy of proxies) proxy.state = 'open';
      };
    };
  }

  /** Whom it meets is found out before anything is done to anybody. */
  async #computeFault(fault: ComputeFault, random: Random): Promise<Fault> {
    switch (fault) {
      case 'none':
        return () => undefined;
      case 'supervisor killed':
        return () => {
          const ended = this.endCompute('SIGKILL');
          return () => ended.then(() => this.startCompute());
        };
      case 'supervisor replaced':
        return () => {
          const started = this.endCompute('SIGKILL').then(() => this.startCompute());
          started.catch(() => undefined); // awaited when all is mended
          return () => started;
        };
      case 'supervisor stopped': {
        const { pid } = this.cluster.compute;
        return () => stopped([pid]);
      }
      case 'supervisor killed, backends stopped': {
        const backends = await this.#backends();
        return () => {
          const resume = stopped(backends);
          const ended = this.endCompute('SIGKILL');
          return () => {
            const started = ended.then(() => this.startCompute());
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
        const { postgresPid } = this.cluster;
        return () => {
          signal(postgresPid, 'SIGKILL');
          return undefined;
        };
      }
      case 'postmaster stopped': {
        const { postgresPid } = this.cluster;
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
    const rows = await this.cluster.query(sql);
    return rows.map((row) => Number(row['pid']));
  }
}

function serviceFault(service: ServiceProcess, fault: 'killed' | 'stopped'): Fault {
  if (fault === 'stopped') {
    return () => {
      service.kill('SIGSTOP');
      return () => service.kill('SIGCONT');
    };
  }
  return () => {
    const ended = killed(service);
    return () => ended.then(() => service.start());
  };
}

async function killed(service: ServiceProcess): Promise<void> {
  service.kill('SIGKILL');
  await service.exited;
}

/** Stops processes; gives what lets them go on. */
function stopped(pids: readonly number[]): () => void {
  for (const pid of pids) signal(pid, 'SIGSTOP');
  return () => {
    for (const pid of pids) signal(pid, 'SIGCONT');
  };
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // something else has ended it
  }
}
