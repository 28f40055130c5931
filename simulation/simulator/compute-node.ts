import { AssertionError, type Lsn } from '@zenith/base';
import {
  allMembers,
  ProposerCore,
  type Configuration,
  type NodeId,
  type ProposerEffect,
  type TermHistory,
  type TimelineIdentity,
} from '@zenith/consensus';
import { decodeAcceptorMessage, encodeProposerMessage } from '@zenith/wire';
import type { Random } from '../../packages/consensus/src/simulation/random.test-support.ts';
import { TestWal } from '../../packages/safekeeper/src/testing/test-wal.test-support.ts';
import type { Checker, Tail } from './checker.ts';
import type { Counters } from './counters.ts';
import type { Events } from './events.ts';
import { Connection, type Network, type Parcel } from './network.ts';
import type { SafekeeperNode, VoteNote } from './safekeeper-node.ts';
import { SafetyViolation } from './violation.ts';

/** Simulated milliseconds, as the compute's shell has them. */
const TICK_MS = 1_000;
const RECONNECT_FIRST_MS = 50;
const RECONNECT_MAX_MS = 1_000;
const SILENCE_MAX_MS = 3_000;
const ELECTION_FIRST_MS = 50;
const ELECTION_MAX_MS = 2_000;

/** Data of the records, often small. Unit: bytes. */
const RECORD_LENGTHS = [8, 8, 40, 40, 40, 200, 200, 900, 900, 3_000, 9_000];

/** What all computes of a simulation share. */
export interface Surroundings {
  readonly identity: TimelineIdentity;
  readonly events: Events;
  readonly random: Random;
  readonly counters: Counters;
  readonly network: Network;
  readonly checker: Checker;
  readonly safekeepers: ReadonlyMap<NodeId, SafekeeperNode>;
  /** Leaders write as soon as they are elected, as the core allows and production's shell does not. */
  readonly writesEarly: boolean;
  /** What the leader of each term wrote. */
  readonly wals: Map<number, TestWal>;
}

/** The way to one safekeeper. */
interface Link {
  readonly node: NodeId;
  connection: Connection | undefined;
  /** Sent in order; what needs WAL from a donor holds back the rest. */
  outbox: (() => boolean)[];
  fetching: boolean;
  attempt: number;
  lastHeardMs: number;
}

/** One compute: the production's proposer core with a shell like the production's, writing WAL of its own on top of what it finds. */
export class ComputeNode {
  readonly id: number;
  readonly core: ProposerCore;
  readonly #at: Surroundings;
  readonly #links = new Map<NodeId, Link>();
  readonly #voterTails = new Map<NodeId, Tail>();
  /** Chance that a connection is one on which messages get lost, repeated and mixed up. */
  #lossy: number;
  /** The end of the WAL it continues. */
  #older: Tail | undefined;
  #wal: TestWal | undefined;
  #dead = false;

  constructor(id: number, at: Surroundings, configuration: Configuration, lossy: number) {
    const { random } = at;
    this.id = id;
    this.#at = at;
    this.#lossy = lossy;
    this.core = new ProposerCore({
      identity: at.identity,
      configuration,
      mode: 'lead',
      expectedStartLsn: null,
      appendBytesMax: random.pick([300, 4_000, 512 * 1024]),
      inflightBytesMax: random.pick([2_000, 16_000, 16 * 1024 * 1024]),
      coalesceBytesMax: random.pick([0, 1_000, 64 * 1024]),
    });
    for (const node of allMembers(configuration)) this.#addLink(node);
    this.#every(TICK_MS, () => this.#tick());
  }

  /** True when it is gone, or over. */
  get isOver(): boolean {
    return this.#dead || this.core.over;
  }

  /** True while it may write. */
  get writes(): boolean {
    const { phase, synced } = this.core.state;
    return !this.isOver && phase === 'leading' && (synced || this.#at.writesEarly);
  }

  /** End of what it wrote; undefined before it leads. */
  get endLsn(): Lsn | undefined {
    return this.#wal?.endLsn;
  }

  /** Its connections that are open. */
  get connections(): readonly Connection[] {
    return [...this.#links.values()].flatMap(({ connection }) => (connection === undefined ? [] : [connection]));
  }

  /** PostgreSQL writes some records. */
  write(): void {
    const wal = this.#wal;
    if (!this.writes || wal === undefined) return;
    const { random, counters } = this.#at;
    if (!this.core.state.synced) counters.count('written before synced');
    const records = 1 + random.below(3);
    for (let i = 0; i < records; i++) wal.record(random.pick(RECORD_LENGTHS));
    this.#run(() => this.core.wal(wal.endLsn));
  }

  /** From here on its connections are ordered and complete. */
  endLoss(): void {
    this.#lossy = 0;
    for (const connection of this.connections) connection.lossy = false;
  }

  /** The process dies. */
  kill(): void {
    this.#dead = true;
    for (const connection of this.connections) connection.abandon(0);
    this.#links.clear();
  }

  #addLink(node: NodeId): void {
    const link: Link = { node, connection: undefined, outbox: [], fetching: false, attempt: 0, lastHeardMs: 0 };
    this.#links.set(node, link);
    this.#at.events.after(this.#at.random.below(20), () => this.#connect(link));
  }

  #connect(link: Link): void {
    if (this.isOver || link.connection !== undefined || this.#links.get(link.node) !== link) return;
    const { network, safekeepers, random, events } = this.#at;
    const node = safekeepers.get(link.node);
    const host = -this.id;
    const accepted =
      network.isCut(host, link.node) || network.isCut(link.node, host) ? undefined : node?.accept(this.id);
    if (accepted === undefined) return this.#reconnectLater(link);
    const connection = new Connection(
      network,
      host,
      link.node,
      {
        receive: (parcel) => this.#receive(link, connection, parcel),
        closed: () => this.#lost(link, connection),
      },
      accepted.endpoint,
    );
    connection.lossy = random.chance(this.#lossy);
    accepted.use(connection);
    link.connection = connection;
    link.outbox = [];
    link.fetching = false;
    link.attempt = 0;
    link.lastHeardMs = events.nowMs;
    this.#run(() => this.core.connected(link.node));
  }

  #reconnectLater(link: Link): void {
    const { random, events } = this.#at;
    const step = Math.min(RECONNECT_MAX_MS, RECONNECT_FIRST_MS * 2 ** Math.min(link.attempt++, 10));
    events.after(step * (0.5 + random.next() / 2), () => this.#connect(link));
  }

  #lost(link: Link, connection: Connection): void {
    if (link.connection !== connection || this.#dead) return;
    link.connection = undefined;
    link.outbox = [];
    this.#at.counters.count('connection lost');
    this.#run(() => this.core.disconnected(link.node));
    this.#reconnectLater(link);
  }

  #cut(link: Link): void {
    const { connection } = link;
    if (connection === undefined) return;
    connection.close(0);
    this.#lost(link, connection);
  }

  #receive(link: Link, connection: Connection, { bytes, note }: Parcel): void {
    if (link.connection !== connection || this.isOver) return;
    link.lastHeardMs = this.#at.events.nowMs;
    const message = decodeAcceptorMessage(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0, bytes.length);
    if (message.type === 'voteReply') this.#voterTails.set(link.node, (note as VoteNote).tail);
    this.#run(() => this.core.receive(link.node, message));
  }

  #tick(): void {
    for (const link of this.#links.values())
      if (link.connection !== undefined && this.#at.events.nowMs - link.lastHeardMs > SILENCE_MAX_MS) this.#cut(link);
    this.#run(() => this.core.tick());
  }

  #run(input: () => readonly ProposerEffect[]): void {
    if (this.#dead) return;
    let effects: readonly ProposerEffect[];
    try {
      effects = input();
    } catch (error) {
      if (error instanceof AssertionError)
        throw new SafetyViolation(`assertion of a proposer: ${error.message}`, { cause: error });
      throw error;
    }
    for (const effect of effects) this.#carryOut(effect);
    if (this.core.over) for (const link of this.#links.values()) link.connection?.close(0);
  }

  #carryOut(effect: ProposerEffect): void {
    const { events, random, counters, checker } = this.#at;
    switch (effect.type) {
      case 'send':
        events.note(`compute ${this.id} sends ${effect.message.type}`);
        return this.#enqueue(effect.to, (link) => {
          link.connection?.send(0, { bytes: encodeProposerMessage(effect.message), note: null });
          return true;
        });
      case 'append': {
        const { request, donor } = effect;
        counters.count(donor === null ? 'append' : 'append from a donor');
        return this.#enqueue(effect.to, (link) => {
          if (donor !== null && request.endLsn > request.beginLsn) {
            this.#fetch(link, donor, request.beginLsn, request.endLsn, request.term, (wal) =>
              link.connection?.send(0, { bytes: Buffer.concat([encodeProposerMessage(request), wal]), note: null }),
            );
            return false;
          }
          const wal = this.#wal?.bytes(request.beginLsn, request.endLsn) ?? new Uint8Array(0);
          const empty = request.endLsn === request.beginLsn;
          link.connection?.send(0, {
            bytes: Buffer.concat([encodeProposerMessage(request), ...(empty ? [] : [wal])]),
            note: null,
          });
          return true;
        });
      }
      case 'disconnect': {
        counters.count('proposer disconnects');
        const link = this.#links.get(effect.node);
        if (link !== undefined) this.#cut(link);
        return;
      }
      case 'scheduleElection': {
        counters.count('election postponed');
        const step = Math.min(ELECTION_MAX_MS, ELECTION_FIRST_MS * 2 ** Math.min(effect.attempt, 10));
        events.after(step * (0.5 + random.next()), () => this.#run(() => this.core.electionDue()));
        return;
      }
      case 'elected': {
        events.note(`compute ${this.id} leads ${effect.term} from ${effect.startLsn}`);
        counters.count('elected');
        const tail = this.#voterTails.get(effect.donor);
        if (tail === undefined) throw new SafetyViolation('the donor did not vote');
        checker.elected(effect.term, this.id, effect.startLsn, {
          startLsn: tail.startLsn,
          bytes: tail.bytes.subarray(0, effect.startLsn - tail.startLsn),
        });
        this.#older = tail;
        this.#wal = new TestWal(
          this.#at.identity,
          effect.startLsn,
          1 + (effect.term % 250),
          undefined,
          this.#lastRecordBefore(effect.startLsn, effect.history),
        );
        this.#at.wals.set(effect.term, this.#wal);
        if (this.#at.writesEarly) events.after(random.below(10), () => this.write());
        return;
      }
      case 'synced':
        counters.count('synced');
        // The checkpoint that a compute begins with.
        events.after(random.below(10), () => this.write());
        return;
      case 'commitAdvanced':
        events.note(`compute ${this.id} commits ${effect.commitLsn}`);
        counters.count('commit acknowledged');
        checker.acknowledged(this.core.state.term, effect.commitLsn, (from, to) => this.#bytes(from, to));
        return;
      case 'fenced':
        counters.count('fenced');
        return;
      case 'reconfigured': {
        counters.count(this.core.state.phase === 'leading' ? 'leader reconfigured' : 'candidate reconfigured');
        const members = allMembers(effect.configuration);
        for (const node of this.#links.keys()) if (!members.includes(node)) this.#links.delete(node);
        for (const node of members) if (!this.#links.has(node)) this.#addLink(node);
        return;
      }
      case 'stopped':
        throw new SafetyViolation(`a proposer stopped: ${effect.reason}`);
      default:
        effect satisfies never;
    }
  }

  /** What the first record of a term says of the one before it: the truth, as PostgreSQL does, which has read it. */
  #lastRecordBefore(lsn: Lsn, history: TermHistory): Lsn {
    const writer = history.findLast(({ term, startLsn }) => startLsn < lsn && this.#at.wals.has(term));
    const last = writer === undefined ? undefined : this.#at.wals.get(writer.term)?.lastRecordBefore(lsn);
    return last ?? ((this.#at.identity.timelineStartLsn - 8) as Lsn);
  }

  /** Its WAL, as far back as it knows it. */
  #bytes(from: Lsn, to: Lsn): Tail {
    const wal = this.#wal;
    const older = this.#older;
    if (wal === undefined || older === undefined) throw new SafetyViolation('a commit comes after the election');
    const begin = Math.max(Math.min(from, wal.startLsn), older.startLsn) as Lsn;
    const old = older.bytes.subarray(begin - older.startLsn, Math.min(to, wal.startLsn) - older.startLsn);
    const own = to > wal.startLsn ? wal.bytes(wal.startLsn, to) : new Uint8Array(0);
    return { startLsn: begin, bytes: Buffer.concat([old, own]) };
  }

  #enqueue(node: NodeId, action: (link: Link) => boolean): void {
    const link = this.#links.get(node);
    if (link?.connection === undefined) return;
    link.outbox.push(() => action(link));
    this.#pump(link);
  }

  #pump(link: Link): void {
    while (!link.fetching) {
      const next = link.outbox.shift();
      if (next === undefined) return;
      if (!next()) return;
    }
  }

  /** Reads from a donor, there and back; what cannot be had ends the connection that needs it. */
  #fetch(link: Link, donor: NodeId, begin: Lsn, end: Lsn, term: number, send: (wal: Uint8Array) => void): void {
    const { network, events, safekeepers, counters } = this.#at;
    const { connection } = link;
    link.fetching = true;
    const fail = (): void => {
      if (link.connection !== connection) return;
      counters.count('donor could not give');
      this.#cut(link);
    };
    events.after(network.latencyMs(), () => {
      if (network.isCut(-this.id, donor) || network.isCut(donor, -this.id)) return fail();
      const wal = safekeepers.get(donor)?.readForTerm(begin, end, term);
      if (wal === undefined) return fail();
      events.after(network.latencyMs(), () => {
        if (link.connection !== connection || this.isOver) return;
        counters.count('donor gave');
        link.fetching = false;
        send(wal);
        this.#pump(link);
      });
    });
  }

  #every(intervalMs: number, callback: () => void): void {
    this.#at.events.after(intervalMs, () => {
      if (this.isOver) return;
      callback();
      this.#every(intervalMs, callback);
    });
  }
}
