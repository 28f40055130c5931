import {
  ComputeCluster,
  type ComputeOrigin,
  type ComputeTimeline,
} from '../../packages/compute/src/supervisor/compute-cluster.test-support.ts';
import type { ServiceProcess } from '../../packages/compute/src/supervisor/service-process.test-support.ts';
import type { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import { ChaosCompute } from './chaos-compute.ts';
import { killed, noFault, serviceFault, type Fault } from './fault.ts';
import type { Combination, PageserverFault, SafekeeperFault } from './faults.ts';
import { Links } from './links.ts';
import { shuffle } from './schedule.ts';

/** Three safekeepers. */
const SAFEKEEPERS = 3;

/** Small buffers, so that backends write pages themselves and a kill has something to tear. */
const SETTINGS = { shared_buffers: '1MB', max_wal_size: '64MB', checkpoint_timeout: '30s' };

/** So much of the end of the log is told of a service that ended. */
const LOG_CHARACTERS = 2_000;

/** Faults that were made, and how to mend them. */
export interface Injected {
  /** Mends all of them at once; resolves when what was killed is ready again. */
  heal(): Promise<void>;
}

/** Real safekeepers, a pageserver and one or two computes, every link between them a {@link TcpProxy}; what is done to it comes from a {@link Combination}. */
export class ChaosCluster {
  readonly cluster: ComputeCluster;
  /** The compute on the first timeline. */
  readonly main: ChaosCompute;
  readonly #links: Links;
  /** The compute on a branch. */
  #branch: ChaosCompute | undefined;

  private constructor(cluster: ComputeCluster, links: Links) {
    this.cluster = cluster;
    this.#links = links;
    this.main = new ChaosCompute('main', cluster.compute, links);
  }

  /** Everything runs when it resolves; there is no branch yet. */
  static async start(origin: ComputeOrigin): Promise<ChaosCluster> {
    const links = new Links();
    const chaos = new ChaosCluster(
      await ComputeCluster.create(origin, SAFEKEEPERS, SETTINGS, 'real', links.route),
      links,
    );
    await chaos.main.start();
    return chaos;
  }

  /** Destroys the compute on a branch, if there is one, and has another run on the given branch; resolves with it when it takes connections. */
  async moveTo(branch: ComputeTimeline): Promise<ChaosCompute> {
    await this.#branch?.destroy();
    this.#branch = new ChaosCompute('branch', await this.cluster.addCompute('branch', branch), this.#links);
    await this.#branch.start();
    return this.#branch;
  }

  /** Kills everything at once, and starts it again. */
  async killAll(): Promise<void> {
    const services = [...this.cluster.safekeepers, this.#pageserver];
    await Promise.all([
      ...this.#computes.map((compute) => compute.end('SIGKILL')),
      ...services.map((service) => killed(service)),
    ]);
    await Promise.all(services.map((service) => service.start()));
    await Promise.all(this.#computes.map((compute) => compute.start()));
  }

  /** Makes all faults of a combination, in an order that `random` says; so is the order in which they are mended later. */
  async inject(combination: Combination, random: Random): Promise<Injected> {
    const faults = [
      ...combination.safekeepers.map((fault, index) => this.#safekeeperFault(index, fault)),
      this.#pageserverFault(combination.pageserver),
    ];
    for (const compute of this.#computes) faults.push(await compute.fault(combination.computes[compute.name], random));
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

  /** Who has ended without being asked to, in words; while no fault lasts. An end of a compute is told once. */
  ended(): string[] {
    const services = [
      ...this.cluster.safekeepers.map((service, index) => ({ name: `safekeeper ${index + 1}`, service })),
      { name: 'the pageserver', service: this.#pageserver },
    ];
    return [
      ...this.#computes.flatMap(({ unexpected }) => unexpected.splice(0)),
      ...services
        .filter(({ service }) => !service.isRunning)
        .map(({ name, service }) => `${name} ended by itself: ${service.log.slice(-LOG_CHARACTERS)}`),
    ];
  }

  /** Ends everything and removes all files. */
  async remove(): Promise<void> {
    for (const compute of this.#computes) compute.expectEnd();
    for (const service of [...this.cluster.safekeepers, this.#pageserver]) service.kill('SIGCONT');
    await this.cluster.remove();
    await this.#links.close();
  }

  get #computes(): ChaosCompute[] {
    return this.#branch === undefined ? [this.main] : [this.main, this.#branch];
  }

  #safekeeperFault(index: number, fault: SafekeeperFault): Fault {
    const { [index]: safekeeper } = this.cluster.safekeepers;
    if (safekeeper === undefined) throw new Error(`there is no safekeeper ${index + 1}`);
    switch (fault) {
      case 'none':
        return noFault;
      case 'killed':
      case 'stopped':
        return serviceFault(safekeeper, fault);
      default:
        return this.#links.fault(({ to }) => to === `safekeeper ${index + 1}`, fault);
    }
  }

  #pageserverFault(fault: PageserverFault): Fault {
    switch (fault) {
      case 'none':
        return noFault;
      case 'killed':
      case 'stopped':
        return serviceFault(this.#pageserver, fault);
      case 'cut from the safekeepers':
        return this.#links.fault(({ from }) => from === 'pageserver', 'cut');
      default:
        fault satisfies never;
        throw new Error('no such fault');
    }
  }

  get #pageserver(): ServiceProcess {
    const { pageserver } = this.cluster;
    if (pageserver === undefined) throw new Error('the cluster has a pageserver');
    return pageserver;
  }
}
