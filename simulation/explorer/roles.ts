import { AssertionError, type Lsn } from '@zenith/base';
import {
  appendVerdict,
  committedWal,
  isOver,
  nodeId,
  stepAcceptor,
  stepProposer,
  type AcceptorEffect,
  type AcceptorInput,
  type AcceptorMessage,
  type AcceptorState,
  type CopyVerdict,
  type ProposerEffect,
  type ProposerInput,
} from '@zenith/consensus';
import { START, type AcceptorCell, type ProposerCell, type Replies, type Request } from './cells.ts';
import { Violation } from './violation.ts';

/** What an observer of everything sees a proposer do. */
export type Observation =
  | { readonly type: 'elected'; readonly term: number; readonly log: string; readonly committed: string }
  | { readonly type: 'acknowledged'; readonly term: number; readonly log: string };

/** What came of an input to a proposer. */
export interface ProposerOutcome {
  readonly cell: ProposerCell;
  /** It was fenced, or stopped. */
  readonly over: boolean;
  /** By acceptor, counted from 0. */
  readonly packets: ReadonlyMap<number, readonly Request[]>;
  readonly closed: ReadonlySet<number>;
  readonly observations: readonly Observation[];
}

/** What came of an input to an acceptor. */
export interface AcceptorOutcome {
  readonly cell: AcceptorCell;
  /** By proposer, counted from 0. */
  readonly replies: ReadonlyMap<number, Replies>;
  readonly closed: ReadonlySet<number>;
  /** What it serves to consumers, when that grew. */
  readonly committed: string | null;
}

/** An assertion of the core that fails is a find like any other. */
function guarded<T>(step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (error instanceof AssertionError) throw new Violation(`assertion: ${error.message}`, { cause: error });
    throw error;
  }
}

/** Hands a proposer its inputs, one after the other, by the production code. @param from the acceptor they come from, with the WAL it had */
export function runProposer(
  cell: ProposerCell,
  inputs: readonly ProposerInput[],
  from: { readonly acceptor: number; readonly log: string } | null,
): ProposerOutcome {
  let { state, log, voterLogs } = cell;
  const packets = new Map<number, Request[]>();
  const closed = new Set<number>();
  const observations: Observation[] = [];
  const send = (node: number, request: Request): void => {
    const packet = packets.get(node - 1) ?? [];
    packet.push(request);
    packets.set(node - 1, packet);
  };
  const carryOut = (effect: ProposerEffect): void => {
    switch (effect.type) {
      case 'send':
        return send(effect.to, { message: effect.message, log: '' });
      case 'append': {
        const { request } = effect;
        return send(effect.to, {
          message: request,
          log: log.slice(request.beginLsn - START, request.endLsn - START),
        });
      }
      case 'disconnect':
        closed.add(effect.node - 1);
        packets.delete(effect.node - 1);
        return;
      case 'elected': {
        const donorLog = voterLogs[effect.donor - 1];
        if (donorLog === undefined || donorLog === null) throw new Violation('the donor did not vote');
        log = donorLog.slice(0, effect.startLsn - START);
        observations.push({
          type: 'elected',
          term: effect.term,
          log,
          committed: log.slice(0, state.commitLsn - START),
        });
        return;
      }
      case 'commitAdvanced':
        observations.push({ type: 'acknowledged', term: state.term, log: log.slice(0, effect.commitLsn - START) });
        return;
      case 'stopped':
        throw new Violation(`a proposer stopped: ${effect.reason}`);
      case 'reconfigured':
        throw new Violation('nobody changes the members here');
      case 'scheduleElection':
      case 'synced':
      case 'fenced':
        return;
      default:
        effect satisfies never;
    }
  };
  for (const input of inputs) {
    if (from !== null && closed.has(from.acceptor)) break;
    if (input.type === 'message' && input.message.type === 'voteReply' && from !== null)
      voterLogs = voterLogs.with(from.acceptor, from.log);
    if (input.type === 'wal') log += String(state.term);
    const step = guarded(() => stepProposer(state, input));
    state = step.state;
    for (const effect of step.effects) carryOut(effect);
  }
  if (state.phase === 'leading') voterLogs = voterLogs.map(() => null);
  return { cell: { state, log, voterLogs }, over: isOver(state), packets, closed, observations };
}

/** An acceptor that takes inputs, one after the other, by the production code. Its disk is quick: everything is synced at the end. */
class AcceptorRun {
  readonly #before: AcceptorCell;
  readonly #messages = new Map<number, AcceptorMessage[]>();
  readonly closed = new Set<number>();
  state: AcceptorState;
  verdict: CopyVerdict | null = null;
  #log: string;
  #flushDue = false;

  /** @param acceptor counted from 0 */
  constructor(cell: AcceptorCell, acceptor: number) {
    this.#before = cell;
    this.state = { ...cell.state, node: nodeId(acceptor + 1) };
    this.#log = cell.log;
  }

  take(input: AcceptorInput, bytes: string): void {
    const step = guarded(() => stepAcceptor(this.state, input));
    if (step.state.control.commitLsn < this.state.control.commitLsn) throw new Violation('a commit LSN decreased');
    this.state = step.state;
    for (const effect of step.effects) this.#carryOut(effect, bytes);
  }

  end(): AcceptorOutcome {
    if (this.#flushDue)
      this.take({ type: 'flushed', syncedLsn: this.state.writeLsn, flushLsn: this.state.recordLsn }, '');
    const [state, log] = [this.state, this.#log];
    for (let i = 1; i < log.length; i++)
      if ((log[i] as string) < (log[i - 1] as string)) throw new Violation(`terms in a log decrease: ${log}`);
    const grew = state.control.commitLsn > this.#before.state.control.commitLsn;
    return {
      cell: { state, log },
      replies: new Map([...this.#messages].map(([to, sent]) => [to, { messages: sent, log }])),
      closed: this.closed,
      committed: grew ? log.slice(0, state.control.commitLsn - START) : null,
    };
  }

  #carryOut(effect: AcceptorEffect, bytes: string): void {
    switch (effect.type) {
      case 'truncateWal':
        this.#log = this.#log.slice(0, effect.lsn - START);
        return;
      case 'writeWal':
        if (this.#log.length !== effect.beginLsn - START) throw new Violation('WAL is appended at its end');
        this.#log += bytes;
        return;
      case 'requestFlush':
        this.#flushDue = true;
        return;
      case 'send': {
        const sent = this.#messages.get(effect.to - 1) ?? [];
        sent.push(effect.message);
        this.#messages.set(effect.to - 1, sent);
        return;
      }
      case 'reject':
        if (effect.code === 'committed-wal' || effect.code === 'conflicting-history')
          throw new Violation(`an acceptor refuses: ${effect.reason}`);
        this.closed.add(effect.to - 1);
        return;
      case 'followed':
        this.verdict = effect.verdict;
        return;
      case 'persistControl':
      case 'syncWal':
      case 'commitAdvanced':
      case 'configured':
        return;
      default:
        effect satisfies never;
    }
  }
}

/** Hands an acceptor a packet. @param from the proposer, counted from 0 */
export function runAcceptor(
  cell: AcceptorCell,
  acceptor: number,
  from: number,
  packet: readonly Request[] | 'disconnected',
): AcceptorOutcome {
  const run = new AcceptorRun(cell, acceptor);
  const peer = from + 1;
  if (packet === 'disconnected') run.take({ type: 'disconnected', peer }, '');
  else {
    for (const { message, log: bytes } of packet) {
      if (run.closed.has(from)) break;
      if (message.type === 'appendRequest') {
        const accepted = appendVerdict(run.state, peer, message) === 'accept' && message.endLsn > message.beginLsn;
        const recordLsn: Lsn = accepted ? message.endLsn : run.state.recordLsn;
        run.take({ type: 'append', from: peer, message, recordLsn }, bytes);
      } else run.take({ type: 'message', from: peer, message }, '');
    }
  }
  return run.end();
}

/** Has an acceptor that knows no leader copy one entry that another has committed, or hear that what it has is committed. @returns null when it takes nothing */
export function runCopy(cell: AcceptorCell, acceptor: number, donor: AcceptorCell): AcceptorOutcome | null {
  const source = committedWal(donor.state.control);
  const run = new AcceptorRun(cell, acceptor);
  run.take({ type: 'follow', source }, '');
  if (run.verdict !== 'copy') return null;
  const { writeLsn: beginLsn } = run.state;
  const endLsn = (beginLsn + 1) as Lsn;
  if (beginLsn < source.commitLsn)
    run.take(
      { type: 'copied', source, piece: { beginLsn, endLsn, recordLsn: endLsn } },
      donor.log.slice(beginLsn - START, endLsn - START),
    );
  return run.end();
}
