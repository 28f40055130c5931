import type { Lsn, SystemId, TenantId, TimelineId } from '@zenith/base';
import { nodeId, type Configuration, type NodeId } from '../configuration.ts';
import type { AcceptorMessage, AppendRequest, Elected, Greeting, TimelineIdentity, VoteRequest } from '../messages.ts';
import type { ProposerEffect, ProposerInput } from '../proposer/effect.ts';
import { startProposer, type ProposerState } from '../proposer/state.ts';
import { isOver, stepProposer } from '../proposer/step.ts';
import { AcceptorNode, RECORD_LENGTH, type SkippedEffect } from './acceptor-node.test-support.ts';
import { Random } from './random.test-support.ts';

/** Where the simulated timeline begins. */
const TIMELINE_START = 16 as Lsn;

/** An invariant of the protocol that a run broke. */
class SafetyViolation extends Error {
  override readonly name = 'SafetyViolation';
}

/** How a run goes. */
export interface ClusterOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly steps: number;
  readonly skip?: SkippedEffect;
}

interface ToAcceptor {
  readonly message: Greeting | VoteRequest | Elected | AppendRequest;
  readonly wal: readonly number[];
}

interface ToProposer {
  readonly message: AcceptorMessage;
  /** The acceptor's WAL when it voted: what the proposer could read from a donor. */
  readonly wal: readonly number[];
}

/** Ordered both ways, as TCP is. Once closed by the proposer's side, what is under way may still arrive at the acceptor, or not. */
interface Connection {
  readonly id: number;
  readonly proposer: SimulatedProposer;
  readonly node: AcceptorNode;
  readonly toAcceptor: ToAcceptor[];
  readonly toProposer: ToProposer[];
  open: boolean;
}

interface SimulatedProposer {
  readonly id: number;
  state: ProposerState;
  electionScheduled: boolean;
  /** The term that wrote each byte of its WAL. */
  log: number[];
  readonly voterLogs: Map<NodeId, readonly number[]>;
}

/** Several proposers against the acceptors of one timeline, on a network and disks that fail as the seed says. Every step is checked. */
export class Cluster {
  readonly #random: Random;
  readonly #options: ClusterOptions;
  readonly #identity: TimelineIdentity;
  readonly #configuration: Configuration;
  readonly nodes: readonly AcceptorNode[];
  #connections: Connection[] = [];
  #proposers: SimulatedProposer[] = [];
  #nextConnection = 1;
  #nextProposer = 1;
  /** The term that wrote each byte that was ever acknowledged. */
  readonly committed: number[] = [];
  /** The term whose leader acknowledged it first, for each byte. */
  readonly #committedBy: number[] = [];
  readonly #leaders = new Map<number, number>();
  /** How many elections were won, so that a run that tests nothing is noticed. */
  elections = 0;

  constructor(options: ClusterOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
    this.#identity = {
      tenant: '0'.repeat(32) as TenantId,
      timeline: '1'.repeat(32) as TimelineId,
      pgMajor: 18,
      systemId: '1' as SystemId,
      segmentSize: 16 * 1024 * 1024,
      timelineStartLsn: TIMELINE_START,
    };
    const members = Array.from({ length: options.nodes }, (_, i) => nodeId(i + 1));
    this.#configuration = { generation: 1, members, newMembers: null };
    const hooks = {
      send: (to: number, message: AcceptorMessage): void => this.#toProposer(to, message),
      reject: (to: number, code: string): void => this.#rejected(to, code),
      committed: (node: AcceptorNode, commitLsn: Lsn): void =>
        this.#checkCommitted(node.wal, commitLsn, `acceptor ${node.node}`),
    };
    this.nodes = members.map(
      (member) => new AcceptorNode(member, this.#identity, this.#configuration, hooks, options.skip),
    );
  }

  /** Runs, then heals everything and sees that work goes on. @throws SafetyViolation */
  run(): void {
    for (let step = 0; step < this.#options.steps; step++) this.#chaos();
    this.#heal();
  }

  #chaos(): void {
    const random = this.#random;
    const dice = random.next();
    if (dice < 0.62) return this.#deliverSomething();
    if (dice < 0.74) return this.#connectSomething();
    if (dice < 0.8) {
      const node = random.pick(this.nodes);
      if (node.flushRequested) node.flush();
      return;
    }
    if (dice < 0.9) return this.#writeSomething();
    if (dice < 0.92) {
      const connection = this.#connections.length > 0 ? random.pick(this.#connections) : undefined;
      if (connection !== undefined) this.#close(connection);
      return;
    }
    if (dice < 0.935) {
      const node = random.pick(this.nodes);
      for (const connection of this.#connections.filter((one) => one.node === node)) {
        this.#close(connection);
        connection.toAcceptor.length = 0;
      }
      node.crash(random);
      return;
    }
    if (dice < 0.95) {
      if (this.#proposers.length < 3) this.#startProposer();
      return;
    }
    if (dice < 0.956) {
      const proposer = this.#proposers.length > 1 ? random.pick(this.#proposers) : undefined;
      if (proposer !== undefined) this.#endProposer(proposer);
      return;
    }
    const proposer = this.#proposers.length > 0 ? random.pick(this.#proposers) : undefined;
    if (proposer === undefined) return;
    if (proposer.electionScheduled) {
      proposer.electionScheduled = false;
      this.#propose(proposer, { type: 'electionDue' });
    } else this.#propose(proposer, { type: 'tick' });
  }

  /** Ends all faults: a new proposer must win, commit, and bring every acceptor to the same WAL. */
  #heal(): void {
    for (const proposer of this.#proposers.slice()) this.#endProposer(proposer);
    const proposer = this.#startProposer();
    const target = this.committed.length + 8 * RECORD_LENGTH;
    for (let round = 0; round < 5_000; round++) {
      for (const node of this.nodes) {
        if (!this.#connections.some((one) => one.proposer === proposer && one.node === node && one.open))
          this.#connect(proposer, node);
        if (node.flushRequested) node.flush();
      }
      for (const connection of this.#connections.slice()) {
        this.#deliverToAcceptor(connection, null);
        this.#deliverToProposer(connection);
      }
      if (proposer.electionScheduled) {
        proposer.electionScheduled = false;
        this.#propose(proposer, { type: 'electionDue' });
      }
      if (proposer.state.phase === 'leading' && proposer.state.availableLsn < target)
        this.#write(proposer, RECORD_LENGTH);
      if (this.nodes.every((node) => node.state.control.commitLsn >= target && node.wal.length === proposer.log.length))
        break;
    }
    for (const node of this.nodes) {
      if (node.state.control.commitLsn < target)
        throw new SafetyViolation(`acceptor ${node.node} did not catch up after all faults ended`);
      this.#checkCommitted(node.wal, this.committed.length as Lsn, `acceptor ${node.node} at the end`);
      if (node.wal.join() !== proposer.log.join())
        throw new SafetyViolation(`acceptor ${node.node} has other WAL than its leader`);
    }
  }

  #startProposer(): SimulatedProposer {
    const options = {
      identity: this.#identity,
      configuration: this.#configuration,
      mode: 'lead',
      expectedStartLsn: null,
      appendBytesMax: 1 + this.#random.below(12),
      inflightBytesMax: 12 + this.#random.below(20),
      coalesceBytesMax: this.#random.below(12),
    } as const;
    const proposer: SimulatedProposer = {
      id: this.#nextProposer++,
      state: startProposer(options),
      electionScheduled: false,
      log: [],
      voterLogs: new Map(),
    };
    this.#proposers.push(proposer);
    return proposer;
  }

  #endProposer(proposer: SimulatedProposer): void {
    for (const connection of this.#connections.filter((one) => one.proposer === proposer)) this.#close(connection);
    this.#proposers = this.#proposers.filter((one) => one !== proposer);
  }

  #connectSomething(): void {
    if (this.#proposers.length === 0) {
      this.#startProposer();
      return;
    }
    const proposer = this.#random.pick(this.#proposers);
    const node = this.#random.pick(this.nodes);
    if (!this.#connections.some((one) => one.proposer === proposer && one.node === node && one.open))
      this.#connect(proposer, node);
  }

  #connect(proposer: SimulatedProposer, node: AcceptorNode): void {
    if (isOver(proposer.state)) return;
    this.#connections.push({ id: this.#nextConnection++, proposer, node, toAcceptor: [], toProposer: [], open: true });
    this.#propose(proposer, { type: 'connected', node: node.node });
  }

  #writeSomething(): void {
    const leaders = this.#proposers.filter(({ state }) => state.phase === 'leading' && state.synced);
    if (leaders.length > 0) this.#write(this.#random.pick(leaders), 1 + this.#random.below(2 * RECORD_LENGTH));
  }

  #write(proposer: SimulatedProposer, count: number): void {
    for (let i = 0; i < count; i++) proposer.log.push(proposer.state.term);
    this.#propose(proposer, { type: 'wal', endLsn: proposer.log.length as Lsn });
  }

  #deliverSomething(): void {
    const busy = this.#connections.filter((one) => one.toAcceptor.length > 0 || one.toProposer.length > 0);
    if (busy.length === 0) return;
    const connection = this.#random.pick(busy);
    if (connection.toAcceptor.length > 0 && (connection.toProposer.length === 0 || this.#random.chance(0.5)))
      this.#deliverToAcceptor(connection, this.#random);
    else this.#deliverToProposer(connection);
  }

  #deliverToAcceptor(connection: Connection, random: Random | null): void {
    const next = connection.toAcceptor.shift();
    if (next !== undefined) connection.node.receive(connection.id, next.message, next.wal, random);
    if (!connection.open && connection.toAcceptor.length === 0 && this.#connections.includes(connection)) {
      this.#connections = this.#connections.filter((one) => one !== connection);
      connection.node.disconnected(connection.id);
    }
  }

  #deliverToProposer(connection: Connection): void {
    const next = connection.toProposer.shift();
    if (next === undefined || !connection.open) return;
    const { proposer, node } = connection;
    if (next.message.type === 'voteReply') proposer.voterLogs.set(node.node, next.wal);
    this.#propose(proposer, { type: 'message', node: node.node, message: next.message });
  }

  /** From the proposer's side: it hears at once, while some of what it sent may still arrive. */
  #close(connection: Connection): void {
    if (!connection.open) return;
    connection.open = false;
    connection.toProposer.length = 0;
    connection.toAcceptor.length = this.#random.below(connection.toAcceptor.length + 1);
    if (connection.toAcceptor.length === 0) this.#deliverToAcceptor(connection, null);
    if (!isOver(connection.proposer.state))
      this.#propose(connection.proposer, { type: 'disconnected', node: connection.node.node });
  }

  #toProposer(id: number, message: AcceptorMessage): void {
    const connection = this.#connections.find((one) => one.id === id);
    if (connection?.open === true) connection.toProposer.push({ message, wal: connection.node.wal.slice() });
  }

  #rejected(id: number, code: string): void {
    if (code === 'committed-wal' || code === 'conflicting-history')
      throw new SafetyViolation(`an acceptor refused: ${code}`);
    const connection = this.#connections.find((one) => one.id === id);
    if (connection === undefined) return;
    connection.toAcceptor.length = 0;
    this.#close(connection);
  }

  #propose(proposer: SimulatedProposer, input: ProposerInput): void {
    const { state, effects } = stepProposer(proposer.state, input);
    proposer.state = state;
    for (const effect of effects) this.#carryOut(proposer, effect);
  }

  #carryOut(proposer: SimulatedProposer, effect: ProposerEffect): void {
    switch (effect.type) {
      case 'send':
        this.#connectionOf(proposer, effect.to)?.toAcceptor.push({ message: effect.message, wal: [] });
        return;
      case 'append': {
        const connection = this.#connectionOf(proposer, effect.to);
        const { beginLsn, endLsn, term } = effect.request;
        if (effect.donor !== null && !this.#donorHas(proposer, effect.donor, term, endLsn)) {
          if (connection !== undefined) this.#close(connection);
        } else connection?.toAcceptor.push({ message: effect.request, wal: proposer.log.slice(beginLsn, endLsn) });
        return;
      }
      case 'disconnect': {
        const connection = this.#connectionOf(proposer, effect.node);
        if (connection !== undefined) this.#close(connection);
        return;
      }
      case 'scheduleElection':
        proposer.electionScheduled = true;
        return;
      case 'elected':
        this.#elected(proposer, effect.term, effect.startLsn, effect.donor);
        return;
      case 'commitAdvanced':
        this.#acknowledge(proposer, effect.commitLsn);
        return;
      case 'stopped':
        throw new SafetyViolation(`a proposer stopped: ${effect.reason}`);
      case 'reconfigured':
        throw new SafetyViolation('nobody changes the members here');
      case 'fenced':
      case 'synced':
        return;
      default:
        effect satisfies never;
    }
  }

  /** A donor serves WAL that is not committed only while the term is the proposer's; what it has must be the proposer's then. */
  #donorHas(proposer: SimulatedProposer, donor: NodeId, term: number, endLsn: Lsn): boolean {
    const node = this.nodes.find((one) => one.node === donor);
    if (node === undefined || node.state.control.term !== term || node.state.flushLsn < endLsn) return false;
    if (node.wal.slice(0, endLsn).join() !== proposer.log.slice(0, endLsn).join())
      throw new SafetyViolation('a donor has other WAL than the proposer it elected');
    return true;
  }

  #connectionOf(proposer: SimulatedProposer, node: NodeId): Connection | undefined {
    return this.#connections.find((one) => one.proposer === proposer && one.node.node === node && one.open);
  }

  #elected(proposer: SimulatedProposer, term: number, startLsn: Lsn, donor: NodeId): void {
    this.elections++;
    if (this.#leaders.has(term)) throw new SafetyViolation(`term ${term} was elected twice`);
    this.#leaders.set(term, proposer.id);
    proposer.log = (proposer.voterLogs.get(donor) ?? []).slice(0, startLsn);
    // Leader completeness: what was acknowledged is in the WAL of every leader of a later term. One of an older term, whose votes came late, can do no harm any more.
    const later = this.#committedBy.findIndex((by) => by > term);
    this.#checkCommitted(proposer.log, (later === -1 ? this.committed.length : later) as Lsn, `leader of term ${term}`);
  }

  #acknowledge(proposer: SimulatedProposer, commitLsn: Lsn): void {
    this.#checkCommitted(
      proposer.log,
      Math.min(commitLsn, this.committed.length) as Lsn,
      `leader of term ${proposer.state.term}`,
    );
    for (let lsn = this.committed.length; lsn < commitLsn; lsn++) {
      this.committed.push(proposer.log[lsn] ?? Number.NaN);
      this.#committedBy.push(proposer.state.term);
    }
  }

  #checkCommitted(log: readonly number[], upTo: Lsn, who: string): void {
    for (let lsn = TIMELINE_START as number; lsn < upTo; lsn++) {
      if (log[lsn] !== this.committed[lsn])
        throw new SafetyViolation(
          `${who} has term ${log[lsn]} at ${lsn}, where term ${this.committed[lsn]} was acknowledged`,
        );
    }
  }
}
