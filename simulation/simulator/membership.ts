import {
  abortedConfiguration,
  allMembers,
  finalConfiguration,
  isMember,
  isSynced,
  jointConfiguration,
  syncPoint,
  type Configuration,
  type ConfiguredReport,
  type NodeId,
  type SyncPoint,
} from '@zenith/consensus';
import type { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import type { Counters } from './counters.ts';
import type { Events } from './events.ts';
import type { Network } from './network.ts';
import type { SafekeeperNode } from './safekeeper-node.ts';

/** How often acceptors are told of the configuration. Unit: simulated milliseconds. */
const INSTALL_INTERVAL_MS = 120;

/** Changes who the members are, step by step, while everything else goes on: the metadata store, and whoever works on it. Words to acceptors get lost; they are said again. */
export class Membership {
  readonly #events: Events;
  readonly #random: Random;
  readonly #counters: Counters;
  readonly #network: Network;
  readonly #safekeepers: ReadonlyMap<NodeId, SafekeeperNode>;
  #stored: Configuration;
  #reports = new Map<NodeId, ConfiguredReport>();
  #point: SyncPoint | null = null;

  constructor(
    stored: Configuration,
    at: {
      readonly events: Events;
      readonly random: Random;
      readonly counters: Counters;
      readonly network: Network;
      readonly safekeepers: ReadonlyMap<NodeId, SafekeeperNode>;
    },
  ) {
    this.#stored = stored;
    this.#events = at.events;
    this.#random = at.random;
    this.#counters = at.counters;
    this.#network = at.network;
    this.#safekeepers = at.safekeepers;
  }

  /** The configuration in the metadata store. */
  get stored(): Configuration {
    return this.#stored;
  }

  /** Begins a change, unless one is under way. */
  begin(newMembers: readonly NodeId[]): void {
    if (this.#stored.newMembers !== null) return;
    this.#counters.count('membership change begun');
    this.#store(jointConfiguration(this.#stored, newMembers));
    this.#install(this.#stored.generation);
  }

  /** Takes a change that is under way back. */
  abort(): void {
    if (this.#stored.newMembers === null) return;
    this.#counters.count('membership change taken back');
    this.#store(abortedConfiguration(this.#stored));
    this.#install(this.#stored.generation);
  }

  #store(configuration: Configuration): void {
    this.#events.note(`configuration ${JSON.stringify(configuration)}`);
    this.#stored = configuration;
    this.#reports = new Map();
    this.#point = null;
  }

  /** Tells every member, again and again, until all are in this generation and nothing is left to do in it. */
  #install(generation: number): void {
    if (this.#stored.generation !== generation) return;
    const configuration = this.#stored;
    const members = allMembers(configuration);
    const settled = members.every((node) => this.#reports.get(node)?.configuration.generation === generation);
    if (configuration.newMembers === null && settled) return;
    for (const node of members) this.#tell(node, configuration);
    this.#events.after(INSTALL_INTERVAL_MS, () => this.#install(generation));
  }

  #tell(node: NodeId, configuration: Configuration): void {
    if (this.#random.chance(0.1)) return;
    const isNew = configuration.newMembers?.includes(node) ?? false;
    const term = isNew ? (this.#point?.term ?? 0) : 0;
    this.#events.after(this.#network.latencyMs(), () => {
      this.#safekeepers
        .get(node)
        ?.timeline?.configure(configuration, term)
        .then(
          (report) => this.#events.after(this.#network.latencyMs(), () => this.#take(configuration, report)),
          () => this.#counters.count('configuration not installed'),
        );
    });
  }

  #take(configuration: Configuration, report: ConfiguredReport): void {
    if (configuration !== this.#stored || !isMember(configuration, report.node)) return;
    this.#reports.set(report.node, report);
    if (configuration.newMembers === null) return;
    const reports = [...this.#reports.values()];
    // The first point stands: what the old members get later they get from a leader that counts the new ones, too.
    this.#point ??= syncPoint(configuration, reports);
    if (this.#point === null || !isSynced(configuration, this.#point, reports)) return;
    this.#counters.count('membership change finished');
    this.#store(finalConfiguration(configuration));
    this.#install(this.#stored.generation);
  }
}
