import { AssertionError, formatLsn, type Lsn, type SystemId, type TenantId, type TimelineId } from '@zenith/base';
import {
  committedWal,
  copyVerdict,
  nodeId,
  type Configuration,
  type NodeId,
  type TimelineIdentity,
} from '@zenith/consensus';
import { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import { SEGMENT_SIZE } from '../../packages/safekeeper/src/testing/test-wal.test-support.ts';
import type { Timeline } from '../../packages/safekeeper/src/timeline/timeline.ts';
import { Checker } from './checker.ts';
import { ComputeNode, type Surroundings } from './compute-node.ts';
import { Counters } from './counters.ts';
import { Events } from './events.ts';
import { Membership } from './membership.ts';
import { Network } from './network.ts';
import { SimulatedPeer } from './simulated-peer.ts';
import { SafekeeperNode } from './safekeeper-node.ts';
import { NoProgress, SafetyViolation } from './violation.ts';

/** Faults happen for so long. Unit: simulated milliseconds. */
const CHAOS_MS = 6_000;

/** After all faults ended work must go on within this. Unit: simulated milliseconds. */
const PROGRESS_MS = 30_000;

/** Time between faults, on average. Unit: simulated milliseconds. */
const FAULT_INTERVAL_MS = 150;

/** In one of so many seeds leaders write before all before their term is committed. A seed's number says it, not its randomness. */
const WRITES_EARLY_EVERY = 5;

/** In all but one of so many seeds safekeepers copy from each other what they missed while nobody leads; in a third of those nobody leads for a while after the faults, and all come to the same end. */
const ALONE_EVERY = 4;

/** Without a leader all have what is committed within this. Unit: simulated milliseconds. */
const COPY_MS = 10_000;

/** What one seed showed. */
export interface SeedReport {
  readonly seed: number;
  /** Fingerprint of everything that happened, in order. */
  readonly hash: number;
  readonly counts: Readonly<Record<string, number>>;
  /** Acknowledged. Unit: bytes. */
  readonly committedBytes: number;
  /** What broke. */
  readonly failure: { readonly kind: 'safety' | 'progress' | 'assertion'; readonly message: string } | null;
}

/** Runs one seed: some seconds of faults, then none, and sees that work goes on. The same seed gives the same run. @param onNote is told what happens */
export async function simulate(seed: number, onNote?: (nowMs: number, text: string) => void): Promise<SeedReport> {
  const simulation = new Simulation(seed, onNote);
  let failure: SeedReport['failure'] = null;
  try {
    await simulation.run();
  } catch (error) {
    if (error instanceof SafetyViolation) failure = { kind: 'safety', message: error.message };
    else if (error instanceof NoProgress) failure = { kind: 'progress', message: error.message };
    else if (error instanceof AssertionError) failure = { kind: 'assertion', message: error.message };
    else throw error;
  }
  return { seed, ...simulation.outcome, failure };
}

class Simulation {
  /** Computes live through the end of the faults, in half of the seeds: a new one would hide that they are stuck. */
  readonly #computesSurvive: boolean;
  readonly #copies: boolean;
  readonly #copying: Random;
  readonly #random: Random;
  readonly #events: Events;
  readonly #counters = new Counters();
  readonly #checker: Checker;
  readonly #network: Network;
  readonly #identity: TimelineIdentity;
  readonly #membership: Membership;
  readonly #safekeepers: ReadonlyMap<NodeId, SafekeeperNode>;
  readonly #surroundings: Surroundings;
  readonly #lossy: number;
  #computes: ComputeNode[] = [];
  #nextCompute = 1;
  #chaos = true;
  /** When work is to go on as if nothing had been. Unit: simulated milliseconds. */
  #quietMs = CHAOS_MS;

  constructor(seed: number, onNote: ((nowMs: number, text: string) => void) | undefined) {
    this.#computesSurvive = seed % 2 === 1;
    this.#copies = seed % ALONE_EVERY !== 0;
    this.#copying = new Random(seed + 0x5eed);
    this.#events = new Events(onNote);
    const random = (this.#random = new Random(seed));
    // In the middle of a page; often so near the end of a segment that the WAL crosses it soon.
    const offset = random.chance(0.7) ? SEGMENT_SIZE - 8 * (100 + random.below(6_000)) : 8_192 + 296;
    const timelineStartLsn = (3 * SEGMENT_SIZE + offset + (offset % 8192 < 64 ? 64 : 0)) as Lsn;
    this.#identity = {
      tenant: '0'.repeat(32) as TenantId,
      timeline: '1'.repeat(32) as TimelineId,
      pgMajor: 18,
      systemId: '7340000000000000001' as SystemId,
      segmentSize: SEGMENT_SIZE,
      timelineStartLsn,
    };
    this.#checker = new Checker(timelineStartLsn);
    this.#network = new Network(this.#events, random, this.#counters);
    const count = random.pick([1, 3, 3, 3, 3, 3, 5, 5]);
    // Two more than the members, which may become some.
    const nodes = Array.from({ length: count + 2 }, (_, i) => nodeId(i + 1));
    const configuration: Configuration = { generation: 1, members: nodes.slice(0, count), newMembers: null };
    this.#safekeepers = new Map(
      nodes.map((id) => [
        id,
        new SafekeeperNode(id, this.#identity, this.#events, random, this.#counters, this.#checker),
      ]),
    );
    if (this.#copies) {
      for (const node of this.#safekeepers.values())
        node.usePeers((alive) =>
          [...this.#safekeepers.values()]
            .filter((other) => other !== node)
            .map((other) => new SimulatedPeer(node.id, alive, other, this.#network, this.#copying)),
        );
    }
    this.#surroundings = {
      identity: this.#identity,
      events: this.#events,
      random,
      counters: this.#counters,
      network: this.#network,
      checker: this.#checker,
      safekeepers: this.#safekeepers,
      writesEarly: seed % WRITES_EARLY_EVERY === 0,
      wals: new Map(),
    };
    this.#membership = new Membership(configuration, this.#surroundings);
    this.#lossy = random.chance(0.4) ? 0.4 : 0;
  }

  get outcome(): Pick<SeedReport, 'hash' | 'counts' | 'committedBytes'> {
    return {
      hash: this.#events.hash,
      counts: this.#counters.all,
      committedBytes: this.#checker.endLsn - this.#identity.timelineStartLsn,
    };
  }

  async run(): Promise<void> {
    for (const safekeeper of this.#safekeepers.values()) safekeeper.start();
    this.#startCompute();
    this.#writeSometimes();
    this.#faultSometimes();
    if (this.#copies) this.#partSometimes(this.#copying);
    await this.#events.run(CHAOS_MS);
    this.#heal();
    if (this.#copies && !this.#computesSurvive) await this.#copyAll();
    const survivors = this.#computes;
    this.#keepOneCompute();
    const target = (this.#checker.endLsn + 1) as Lsn;
    this.#quietMs = this.#events.nowMs;
    const done = (): boolean => this.#computes.some((compute) => this.#isCaughtUp(compute, target));
    await this.#events.run(this.#quietMs + PROGRESS_MS, done);
    if (!done()) throw new NoProgress(`no progress within ${PROGRESS_MS / 1000} s: ${this.#describe()}`);
    if (survivors.some((compute) => this.#isCaughtUp(compute, target)))
      this.#counters.count('compute went on that met the faults');
    this.#compareAll();
  }

  /** Nobody leads: whoever's WAL is a beginning of what is committed has all of that soon. */
  async #copyAll(): Promise<void> {
    const lacking = (): readonly SafekeeperNode[] => {
      const nodes = this.#members();
      const furthest = nodes.reduce((a, b) => ((a.timeline?.commitLsn ?? 0) >= (b.timeline?.commitLsn ?? 0) ? a : b));
      if (furthest.timeline === undefined) return [];
      const source = committedWal(furthest.timeline.state.control);
      // Who has no WAL at all waits for a leader.
      const isBehind = (timeline: Timeline): boolean =>
        timeline.flushLsn > timeline.identity.timelineStartLsn && copyVerdict(timeline.state, source) === 'copy';
      return nodes.filter(({ isUp, timeline }) => !isUp || (timeline !== undefined && isBehind(timeline)));
    };
    // First everybody has read its files and heard that the computes are gone.
    const settled = (): boolean =>
      this.#members().every(({ isUp, timeline }) => isUp && (timeline === undefined || timeline.state.leader === null));
    await this.#events.run(this.#events.nowMs + COPY_MS, settled);
    const before = lacking().length;
    await this.#events.run(this.#events.nowMs + COPY_MS, () => settled() && lacking().length === 0);
    if (lacking().length > 0)
      throw new NoProgress(`not copied within ${COPY_MS / 1000} s without a leader: ${this.#describe()}`);
    if (before > 0) this.#counters.count('all have what is committed, and nobody led');
  }

  #startCompute(): ComputeNode {
    this.#counters.count('compute started');
    const compute = new ComputeNode(this.#nextCompute++, this.#surroundings, this.#membership.stored, this.#lossy);
    this.#computes.push(compute);
    return compute;
  }

  #writeSometimes(): void {
    this.#events.after(this.#random.below(120), () => {
      const writers = this.#computes.filter(({ writes }) => writes);
      // After the faults a little more, and then quiet, so that everybody can catch up.
      if (writers.length > 0 && (this.#chaos || this.#events.nowMs < this.#quietMs + 2_000))
        this.#random.pick(writers).write();
      this.#writeSometimes();
    });
  }

  #faultSometimes(): void {
    this.#events.after(this.#random.below(2 * FAULT_INTERVAL_MS), () => {
      if (!this.#chaos) return;
      this.#computes = this.#computes.filter(({ isOver }) => !isOver);
      if (this.#computes.length === 0) this.#startCompute();
      this.#fault();
      this.#faultSometimes();
    });
  }

  /** Two safekeepers do not hear each other for a while; in a sequence of its own, so that seeds in which nobody copies stay what they are. */
  #partSometimes(random: Random): void {
    this.#events.after(random.below(800), () => {
      if (!this.#chaos) return;
      const nodes = [...this.#safekeepers.keys()];
      const [one, other] = [random.pick(nodes), random.pick(nodes)];
      if (one !== other) {
        this.#counters.count('safekeepers parted');
        this.#network.cut(one, other);
        if (random.chance(0.5)) this.#network.cut(other, one);
        this.#events.after(20 + random.below(2_000), () => {
          this.#network.mend(one, other);
          this.#network.mend(other, one);
        });
      }
      this.#partSometimes(random);
    });
  }

  /** One fault, which ends by itself after a while. */
  #fault(): void {
    const random = this.#random;
    const node = random.pick([...this.#safekeepers.values()]);
    const compute = random.pick(this.#computes);
    const fault = random.pick(FAULTS);
    this.#counters.count(`fault: ${fault}`);
    this.#events.note(`fault: ${fault} ${node.id} ${compute.id}`);
    const later = (callback: () => void, maxMs = 1_500): void => this.#events.after(20 + random.below(maxMs), callback);
    switch (fault) {
      case 'safekeeper killed':
      case 'power failure':
        // Its disk is slow for a moment before, so that something is under way.
        node.disk.slowness = 100;
        return this.#events.after(random.below(150), () => {
          node.kill(fault === 'power failure');
          node.disk.slowness = 1;
          later(() => {
            if (!node.isUp) node.start();
          });
        });
      case 'every safekeeper loses power': {
        for (const one of this.#safekeepers.values()) {
          one.kill(true);
          later(() => {
            if (!one.isUp) one.start();
          });
        }
        return;
      }
      case 'compute killed':
        compute.kill();
        return;
      case 'another compute':
        if (this.#computes.length < 3) this.#startCompute();
        return;
      case 'partition':
        this.#network.cut(-compute.id, node.id);
        this.#network.cut(node.id, -compute.id);
        return later(() => {
          this.#network.mend(-compute.id, node.id);
          this.#network.mend(node.id, -compute.id);
        }, 4_000);
      case 'one-way partition': {
        const [from, to] = random.chance(0.5) ? [-compute.id, node.id] : [node.id, -compute.id];
        this.#network.cut(from, to);
        return later(() => this.#network.mend(from, to), 4_000);
      }
      case 'connection reset': {
        const { connections } = compute;
        if (connections.length > 0) random.pick(connections).close(1);
        return;
      }
      case 'failing fsync':
        node.disk.failsNextSync = true;
        return;
      case 'full disk':
        node.disk.full = true;
        return later(() => {
          node.disk.full = false;
        });
      case 'slow disk':
        node.disk.slowness = 100;
        return later(() => {
          node.disk.slowness = 1;
        });
      case 'slow network':
        this.#network.meanLatencyMs = 20;
        return later(() => {
          this.#network.meanLatencyMs = 0.5;
        });
      case 'broken timeline restarted':
        // What a person does, or a supervisor: the process is started again; now and then the machine goes down instead.
        for (const one of this.#safekeepers.values()) {
          if (!one.isBroken) continue;
          this.#counters.count('broken timeline restarted');
          one.kill(random.chance(0.3));
          later(() => {
            if (!one.isUp) one.start();
          }, 300);
        }
        return;
      case 'membership change': {
        if (this.#membership.stored.newMembers !== null) return this.#membership.abort();
        const nodes = [...this.#safekeepers.keys()];
        const size = random.pick([1, 3, 3, 3, 5].filter((one) => one <= nodes.length));
        while (nodes.length > size) nodes.splice(random.below(nodes.length), 1);
        return this.#membership.begin(nodes);
      }
      default:
        fault satisfies never;
    }
  }

  #heal(): void {
    this.#chaos = false;
    this.#events.note('healed');
    this.#network.mendAll();
    this.#network.meanLatencyMs = 0.5;
    for (const compute of this.#computes) {
      if (this.#computesSurvive) compute.endLoss();
      else compute.kill();
    }
    this.#computes = this.#computes.filter(({ isOver }) => !isOver);
    for (const safekeeper of this.#safekeepers.values()) {
      safekeeper.disk.full = false;
      safekeeper.disk.slowness = 1;
      safekeeper.disk.failsNextSync = false;
      // Of a sync that failed just now, behind others on a slow disk, the timeline may be about to learn only.
      if (safekeeper.isUp && !safekeeper.isBroken && !safekeeper.disk.hasFailed) continue;
      safekeeper.kill(false);
      safekeeper.start();
    }
  }

  /** What a supervisor does: when every compute was fenced, say by a vote that one which is long gone asked for, another is started. */
  #keepOneCompute(): void {
    this.#computes = this.#computes.filter(({ isOver }) => !isOver);
    if (this.#computes.length === 0)
      this.#computes = [new ComputeNode(this.#nextCompute++, this.#surroundings, this.#membership.stored, 0)];
    this.#events.after(500, () => this.#keepOneCompute());
  }

  /** A compute has committed all it wrote, up to `target` at least, and every safekeeper has it. */
  #isCaughtUp(compute: ComputeNode, target: Lsn): boolean {
    const { endLsn } = compute;
    if (endLsn === undefined || endLsn < target || this.#events.nowMs < this.#quietMs + 2_200) return false;
    return (
      compute.core.state.commitLsn === endLsn &&
      this.#membership.stored.newMembers === null &&
      this.#members().every(({ timeline }) => timeline?.commitLsn === endLsn && timeline.flushLsn === endLsn)
    );
  }

  #members(): readonly SafekeeperNode[] {
    return this.#membership.stored.members.flatMap((id) => this.#safekeepers.get(id) ?? []);
  }

  /** Every safekeeper has the same WAL in the end, and all that was acknowledged. */
  #compareAll(): void {
    const startLsn = this.#identity.timelineStartLsn;
    for (const node of this.#safekeepers.values())
      this.#checker.served(`safekeeper ${node.id} in the end`, {
        startLsn,
        bytes: node.read(startLsn, node.timeline?.commitLsn ?? startLsn),
      });
  }

  #describe(): string {
    const computes = this.#computes.map(
      ({ id, core }) => `compute ${id} is ${core.state.phase} in term ${core.state.term}`,
    );
    const acceptors = [...this.#safekeepers.values()].map(({ id, isUp, timeline }) => {
      const lsns =
        timeline === undefined
          ? 'no timeline'
          : `term ${timeline.term} flush ${formatLsn(timeline.flushLsn)} commit ${formatLsn(timeline.commitLsn)} ${timeline.broken?.message ?? ''}`;
      return `safekeeper ${id} ${isUp ? 'up' : 'down'} ${lsns}`;
    });
    return [...computes, ...acceptors].join(', ');
  }
}

const FAULTS = [
  'safekeeper killed',
  'power failure',
  'every safekeeper loses power',
  'compute killed',
  'another compute',
  'another compute',
  'partition',
  'one-way partition',
  'connection reset',
  'failing fsync',
  'full disk',
  'slow disk',
  'slow network',
  'broken timeline restarted',
  'broken timeline restarted',
  'membership change',
] as const;
