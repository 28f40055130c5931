import { hasQuorum, progressOf, quorumSize, type Configuration, type NodeId } from '@zenith/consensus';
import type { Lsn } from '@zenith/base';
import {
  acceptorKey,
  CLOSED,
  configurationOf,
  historyCellKey,
  IDENTITY,
  linkKey,
  newAcceptor,
  newProposer,
  packetKey,
  proposerKey,
  repliesKey,
  START,
  type AcceptorCell,
  type HistoryCell,
  type LinkCell,
  type ProposerCell,
  type Replies,
  type Request,
} from './cells.ts';
import { Interner } from './interner.ts';
import { checkServed, NO_HISTORY, observe } from './observer.ts';
import {
  runAcceptor,
  runCopy,
  runProposer,
  type AcceptorOutcome,
  type Observation,
  type ProposerOutcome,
} from './roles.ts';
import { Symmetry } from './symmetry.ts';

/** How much is explored. */
export interface Bounds {
  /** Highest term, at most 9. */
  readonly terms: number;
  /** Longest log, in entries. */
  readonly log: number;
  readonly acceptors: number;
  readonly proposers: number;
  /** How many connections are cut, over all. */
  readonly cuts: number;
  /** True: a leader writes as soon as it is elected, as the core allows. False: once all before its term is committed, as the compute does. */
  readonly writesEarly: boolean;
  /** True: a candidate that lost tries again. False: another one comes instead, which knows no less. */
  readonly retries: boolean;
  /** True: an acceptor that knows no leader copies what others have committed, one entry at a time. */
  readonly copies: boolean;
}

/** What can happen. */
export type ActionType =
  | 'campaign'
  | 'connect'
  | 'deliver'
  | 'vote'
  | 'cut'
  | 'copy'
  | 'election'
  | 'write'
  | 'restart';

/** A step, to be told: what happens, to which proposer and acceptor, counted from 0. `copy` is from the acceptor of the first number. */
export interface Action {
  readonly type: ActionType;
  readonly proposer: number;
  /** For `campaign` the quorum that is asked, bit by bit. */
  readonly acceptor: number;
}

/** Numbers of the parts after a proposer's step. */
interface ProposerResult {
  readonly proposer: number;
  readonly beyond: boolean;
  readonly over: boolean;
  readonly packets: readonly (readonly [acceptor: number, packet: number])[];
  readonly closed: readonly number[];
  readonly observations: readonly Observation[];
}

/** Numbers of the parts after an acceptor's step. */
interface AcceptorResult {
  readonly acceptor: number;
  readonly replies: readonly (readonly [proposer: number, replies: number])[];
  readonly closed: readonly number[];
  readonly committed: string | null;
}

/**
 * All that can happen to a cluster within bounds. A state is a row of numbers, each of a part that was met before: acceptors, proposers, the link from each proposer to each acceptor, and what an observer remembers. Every step
 * is taken by the production code, once for each pair of part and input; from then on it is looked up.
 *
 * What is not explored, because it leads nowhere new, so that what is left can be explored in full:
 * - A campaign begins with a quorum in one step: before votes are asked for, nothing depends on the order of greetings. Everybody else connects whenever it likes.
 * - An acceptor's answer arrives at once, except a granted vote, which may arrive late, or never: a proposer elected late is one more leader, while one that learns late what is durable only commits late what it could have
 *   committed before. Requests may arrive late.
 * - The word to a leader that its term is over gets lost: it may be restarted at any moment anyway.
 * - Disks are quick and keep everything. What they may lose, and messages that outlive their connection, are the simulator's.
 */
export class World {
  readonly bounds: Bounds;
  readonly #configuration: Configuration;
  readonly #acceptors = new Interner<AcceptorCell>(acceptorKey);
  readonly #proposers = new Interner<ProposerCell>(proposerKey);
  readonly #packets = new Interner<readonly Request[]>(packetKey);
  readonly #replies = new Interner<Replies>(repliesKey);
  readonly #links = new Interner<LinkCell | null>(linkKey);
  readonly #histories = new Interner<HistoryCell>(historyCellKey);
  readonly #symmetry: Symmetry;
  readonly #proposerResults = new Map<string, ProposerResult>();
  readonly #acceptorResults = new Map<string, AcceptorResult>();
  readonly #copyResults = new Map<string, AcceptorResult | null>();
  readonly #fresh: number;
  readonly #open: number;
  readonly #greeting: number;
  /** Every smallest quorum, bit by bit. */
  readonly #quorums: readonly number[];
  /** The state after the step at hand. */
  readonly #next: Int32Array;

  constructor(bounds: Bounds) {
    this.bounds = bounds;
    this.#configuration = configurationOf(bounds.acceptors);
    this.#links.id(null);
    this.#open = this.#links.id({ packets: [], replies: [] });
    this.#fresh = this.#proposers.id(newProposer(this.#configuration));
    const greeting = { type: 'greeting', identity: IDENTITY, configuration: this.#configuration } as const;
    this.#greeting = this.#packets.id([{ message: greeting, log: '' }]);
    const size = quorumSize(bounds.acceptors);
    const all = Array.from({ length: 1 << bounds.acceptors }, (_, bits) => bits);
    this.#quorums = all.filter((bits) => bits.toString(2).replaceAll('0', '').length === size);
    this.#symmetry = new Symmetry(bounds, this.#acceptors, this.#proposers);
    this.#next = new Int32Array(this.#symmetry.length);
  }

  /** Numbers in a state. */
  get length(): number {
    return this.#symmetry.length;
  }

  /** Steps that the production code took; all others were looked up. */
  get stepsTaken(): number {
    return this.#proposerResults.size + this.#acceptorResults.size + this.#copyResults.size;
  }

  /** Nothing has happened. */
  initial(): Int32Array {
    const { acceptors, proposers } = this.bounds;
    const state = new Int32Array(this.length);
    state.fill(this.#acceptors.id(newAcceptor(this.#configuration)), 0, acceptors);
    state.fill(this.#fresh, acceptors, acceptors + proposers);
    state.fill(CLOSED, acceptors + proposers, this.length - 1);
    state[this.length - 1] = this.#histories.id(NO_HISTORY);
    return state;
  }

  /** The same state, as all are that differ only in which node is called what. Valid until the next call. */
  canonical(state: Int32Array): Int32Array {
    return this.#symmetry.canonical(state);
  }

  /** What the observer knows by then. */
  historyOf(state: Int32Array): HistoryCell {
    return this.#histories.value(state[this.length - 1] as number);
  }

  /** Calls `visit` with every state that follows, which is valid during the call only. @throws Violation */
  successors(state: Int32Array, visit: (action: Action, next: Int32Array) => void): void {
    const { acceptors, proposers } = this.bounds;
    for (let proposer = 0; proposer < proposers; proposer++) {
      for (const quorum of this.#quorums) this.#try(state, { type: 'campaign', proposer, acceptor: quorum }, visit);
      for (let acceptor = 0; acceptor < acceptors; acceptor++)
        for (const type of ['connect', 'deliver', 'vote', 'cut'] as const)
          this.#try(state, { type, proposer, acceptor }, visit);
      for (const type of ['election', 'write', 'restart'] as const)
        this.#try(state, { type, proposer, acceptor: 0 }, visit);
    }
    if (!this.bounds.copies) return;
    for (let donor = 0; donor < acceptors; donor++)
      for (let acceptor = 0; acceptor < acceptors; acceptor++)
        if (donor !== acceptor) this.#try(state, { type: 'copy', proposer: donor, acceptor }, visit);
  }

  /** The state after one action, undefined when it is not possible or goes beyond the bounds. A new array. @throws Violation */
  step(state: Int32Array, action: Action): Int32Array | undefined {
    this.#next.set(state);
    return this.#apply(action) ? this.#next.slice() : undefined;
  }

  #try(state: Int32Array, action: Action, visit: (action: Action, next: Int32Array) => void): void {
    this.#next.set(state);
    if (this.#apply(action)) visit(action, this.#next);
  }

  #apply({ type, proposer, acceptor }: Action): boolean {
    switch (type) {
      case 'campaign':
        return this.#campaign(proposer, acceptor);
      case 'connect': {
        const { phase } = this.#proposerOf(proposer).state;
        return (phase === 'voting' || phase === 'leading') && this.#connect(proposer, acceptor);
      }
      case 'deliver':
        return this.#deliver(proposer, acceptor);
      case 'vote':
        return this.#answer(proposer, acceptor);
      case 'cut': {
        const history = this.historyOf(this.#next);
        if (history.cuts >= this.bounds.cuts || this.#linkOf(proposer, acceptor) === null) return false;
        this.#next[this.length - 1] = this.#histories.id({ ...history, cuts: history.cuts + 1 });
        return this.#cut(proposer, acceptor);
      }
      case 'copy':
        return this.#copy(proposer, acceptor);
      case 'election': {
        const { state } = this.#proposerOf(proposer);
        return state.phase === 'backoff' && this.#propose(proposer, { kind: 'election' });
      }
      case 'write': {
        const { state } = this.#proposerOf(proposer);
        const room =
          state.phase === 'leading' &&
          (state.synced || this.bounds.writesEarly) &&
          state.availableLsn < START + this.bounds.log;
        return room && this.#propose(proposer, { kind: 'write' });
      }
      case 'restart':
        return this.#next[this.bounds.acceptors + proposer] !== this.#fresh && this.#restart(proposer);
      default:
        return type satisfies never;
    }
  }

  #campaign(proposer: number, quorum: number): boolean {
    if (this.#next[this.bounds.acceptors + proposer] !== this.#fresh) return false;
    for (let acceptor = 0; acceptor < this.bounds.acceptors; acceptor++)
      if (((quorum >> acceptor) & 1) === 1 && !this.#connect(proposer, acceptor)) return false;
    return true;
  }

  /** The whole greeting in one: nothing in it depends on when it is answered but the term, which may be old by the time it is used anyway. */
  #connect(proposer: number, acceptor: number): boolean {
    if (this.#linkOf(proposer, acceptor) !== null) return false;
    this.#setLink(proposer, acceptor, this.#open);
    const { replies } = this.#accept(acceptor, proposer, this.#greeting);
    const reply = replies.find(([to]) => to === proposer);
    return reply !== undefined && this.#propose(proposer, { kind: 'connect', acceptor, replies: reply[1] });
  }

  #deliver(proposer: number, acceptor: number): boolean {
    const link = this.#linkOf(proposer, acceptor);
    const packet = link?.packets[0];
    if (link === null || packet === undefined) return false;
    this.#setLink(proposer, acceptor, this.#links.id({ ...link, packets: link.packets.slice(1) }));
    const result = this.#accept(acceptor, proposer, packet);
    this.#next[acceptor] = result.acceptor;
    if (result.committed !== null) checkServed(this.historyOf(this.#next), result.committed);
    for (const [to, replies] of result.replies) {
      const back = this.#linkOf(to, acceptor);
      if (to !== proposer || back === null) continue;
      this.#setLink(to, acceptor, this.#links.id({ ...back, replies: [...back.replies, replies] }));
      if (!this.#mayComeLate(proposer, acceptor, replies) && !this.#answer(proposer, acceptor)) return false;
    }
    for (const rejected of result.closed) if (!this.#cut(rejected, acceptor)) return false;
    return true;
  }

  /** A commit report, which no answer follows; and what a leader asks of an acceptor that it could as well have met later. */
  #mayGoAtOnce(proposer: number, packet: number): boolean {
    const leads = this.#proposerOf(proposer).state.phase === 'leading';
    return this.#packets.value(packet).every(({ message }) => {
      if (message.type === 'voteRequest') return leads;
      return message.type === 'appendRequest' && message.endLsn === message.beginLsn && !message.probe;
    });
  }

  /** A vote that would not yet decide the election changes nothing when it comes late. */
  #mayComeLate(proposer: number, acceptor: number, replies: number): boolean {
    const vote = this.#replies.value(replies).messages.find(({ type }) => type === 'voteReply');
    const { state } = this.#proposerOf(proposer);
    if (vote?.type !== 'voteReply' || !vote.granted || state.phase !== 'voting') return false;
    return hasQuorum(this.#configuration, (node) => node === acceptor + 1 || progressOf(state, node)?.vote !== null);
  }

  #answer(proposer: number, acceptor: number): boolean {
    const link = this.#linkOf(proposer, acceptor);
    const replies = link?.replies[0];
    if (link === null || replies === undefined) return false;
    this.#setLink(proposer, acceptor, this.#links.id({ ...link, replies: link.replies.slice(1) }));
    return this.#propose(proposer, { kind: 'answer', acceptor, replies });
  }

  /** Both sides see the connection end; what is under way is lost. */
  #cut(proposer: number, acceptor: number): boolean {
    this.#setLink(proposer, acceptor, CLOSED);
    this.#next[acceptor] = this.#accept(acceptor, proposer, 'disconnected').acceptor;
    return this.#propose(proposer, { kind: 'cut', acceptor });
  }

  #copy(donor: number, acceptor: number): boolean {
    const result = this.#copyResult(this.#next[donor] as number, acceptor);
    if (result === null) return false;
    this.#next[acceptor] = result.acceptor;
    if (result.committed !== null) checkServed(this.historyOf(this.#next), result.committed);
    return true;
  }

  #restart(proposer: number): boolean {
    const { acceptors } = this.bounds;
    this.#next[acceptors + proposer] = this.#fresh;
    for (let acceptor = 0; acceptor < acceptors; acceptor++) {
      if (this.#linkOf(proposer, acceptor) === null) continue;
      this.#setLink(proposer, acceptor, CLOSED);
      this.#next[acceptor] = this.#accept(acceptor, proposer, 'disconnected').acceptor;
    }
    return true;
  }

  #propose(proposer: number, input: ProposerStimulus): boolean {
    const at = this.bounds.acceptors + proposer;
    const result = this.#proposerResult(this.#next[at] as number, input);
    if (result.beyond) return false;
    this.#next[at] = result.proposer;
    for (const observation of result.observations) {
      const history = observe(this.historyOf(this.#next), observation);
      this.#next[this.length - 1] = this.#histories.id(history);
    }
    // Who is over starts anew, at once: waiting changes nothing.
    const { phase } = this.#proposers.value(result.proposer).state;
    if (result.over || (phase === 'backoff' && !this.bounds.retries)) return this.#restart(proposer);
    for (const [acceptor, packet] of result.packets) {
      const link = this.#linkOf(proposer, acceptor);
      if (link !== null)
        this.#setLink(proposer, acceptor, this.#links.id({ ...link, packets: [...link.packets, packet] }));
      if (link?.packets.length === 0 && this.#mayGoAtOnce(proposer, packet) && !this.#deliver(proposer, acceptor))
        return false;
    }
    for (const acceptor of result.closed) if (!this.#cut(proposer, acceptor)) return false;
    return true;
  }

  #proposerResult(id: number, input: ProposerStimulus): ProposerResult {
    const key = `${id} ${keyOf(input)}`;
    const known = this.#proposerResults.get(key);
    if (known !== undefined) return known;
    const outcome = this.#runProposer(this.#proposers.value(id), input);
    const result: ProposerResult = {
      proposer: this.#proposers.id(outcome.cell),
      beyond: outcome.cell.state.term > this.bounds.terms,
      over: outcome.over,
      packets: [...outcome.packets].map(([acceptor, packet]) => [acceptor, this.#packets.id(packet)] as const),
      closed: [...outcome.closed],
      observations: outcome.observations,
    };
    this.#proposerResults.set(key, result);
    return result;
  }

  #runProposer(cell: ProposerCell, input: ProposerStimulus): ProposerOutcome {
    switch (input.kind) {
      case 'election':
        return runProposer(cell, [{ type: 'electionDue' }], null);
      case 'write':
        return runProposer(cell, [{ type: 'wal', endLsn: (cell.state.availableLsn + 1) as Lsn }], null);
      case 'cut':
        return runProposer(cell, [{ type: 'disconnected', node: (input.acceptor + 1) as NodeId }], null);
      case 'connect':
      case 'answer': {
        const node = (input.acceptor + 1) as NodeId;
        const { messages, log } = this.#replies.value(input.replies);
        const replies = messages.map((message) => ({ type: 'message', node, message }) as const);
        const connected = input.kind === 'connect' ? [{ type: 'connected', node } as const] : [];
        const outcome = runProposer(cell, [...connected, ...replies], { acceptor: input.acceptor, log });
        if (input.kind === 'answer') return outcome;
        // Its own greeting was answered already.
        const packets = new Map(
          [...outcome.packets].map(([to, packet]) => [to, packet.filter(({ message }) => message.type !== 'greeting')]),
        );
        for (const [to, packet] of packets) if (packet.length === 0) packets.delete(to);
        return { ...outcome, packets };
      }
      default:
        return input satisfies never;
    }
  }

  #accept(acceptor: number, from: number, packet: number | 'disconnected'): AcceptorResult {
    const id = this.#next[acceptor] as number;
    const key = `${id} ${acceptor} ${from} ${packet}`;
    const known = this.#acceptorResults.get(key);
    if (known !== undefined) return known;
    const input = packet === 'disconnected' ? packet : this.#packets.value(packet);
    const result = this.#acceptorResult(runAcceptor(this.#acceptors.value(id), acceptor, from, input));
    this.#acceptorResults.set(key, result);
    return result;
  }

  #copyResult(donor: number, acceptor: number): AcceptorResult | null {
    const id = this.#next[acceptor] as number;
    const key = `${donor} ${id}`;
    const known = this.#copyResults.get(key);
    if (known !== undefined) return known;
    const outcome = runCopy(this.#acceptors.value(id), acceptor, this.#acceptors.value(donor));
    const result = outcome === null ? null : this.#acceptorResult(outcome);
    this.#copyResults.set(key, result);
    return result;
  }

  #acceptorResult({ cell, replies, closed, committed }: AcceptorOutcome): AcceptorResult {
    return {
      acceptor: this.#acceptors.id(cell),
      replies: [...replies].map(([to, sent]) => [to, this.#replies.id(sent)] as const),
      closed: [...closed],
      committed,
    };
  }

  #proposerOf(proposer: number): ProposerCell {
    return this.#proposers.value(this.#next[this.bounds.acceptors + proposer] as number);
  }

  #linkAt(proposer: number, acceptor: number): number {
    const { acceptors, proposers } = this.bounds;
    return acceptors + proposers + proposer * acceptors + acceptor;
  }

  #linkOf(proposer: number, acceptor: number): LinkCell | null {
    return this.#links.value(this.#next[this.#linkAt(proposer, acceptor)] as number);
  }

  #setLink(proposer: number, acceptor: number, link: number): void {
    this.#next[this.#linkAt(proposer, acceptor)] = link;
  }
}

/** What reaches a proposer. */
type ProposerStimulus =
  | { readonly kind: 'election' | 'write' }
  | { readonly kind: 'cut'; readonly acceptor: number }
  | { readonly kind: 'connect' | 'answer'; readonly acceptor: number; readonly replies: number };

function keyOf(input: ProposerStimulus): string {
  switch (input.kind) {
    case 'election':
    case 'write':
      return input.kind;
    case 'cut':
      return `cut ${input.acceptor}`;
    case 'connect':
    case 'answer':
      return `${input.kind} ${input.acceptor} ${input.replies}`;
    default:
      return input satisfies never;
  }
}
