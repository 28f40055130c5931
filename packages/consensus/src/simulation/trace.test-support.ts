import type { Lsn, SystemId, TenantId, TimelineId } from '@zenith/base';
import type { CommittedWal } from '../acceptor/copy-rule.ts';
import type { AcceptorEffect, AcceptorInput } from '../acceptor/effect.ts';
import type { AcceptorState } from '../acceptor/state.ts';
import { stepAcceptor } from '../acceptor/step.ts';
import { nodeId, type Configuration } from '../configuration.ts';
import type { AcceptorMessage, AppendRequest, Elected, Greeting, TimelineIdentity, VoteRequest } from '../messages.ts';
import type { ProposerEffect, ProposerInput } from '../proposer/effect.ts';
import type { ProposerState } from '../proposer/state.ts';
import { stepProposer } from '../proposer/step.ts';
import type { TermHistory } from '../term-history.ts';

/** The timeline of the scripts; it begins at LSN 100. */
export const IDENTITY: TimelineIdentity = {
  tenant: 'a'.repeat(32) as TenantId,
  timeline: 'b'.repeat(32) as TimelineId,
  pgMajor: 18,
  systemId: '7' as SystemId,
  segmentSize: 16 * 1024 * 1024,
  timelineStartLsn: 100 as Lsn,
};

/** Safekeepers 1, 2 and 3. */
export const THREE: Configuration = { generation: 1, members: [nodeId(1), nodeId(2), nodeId(3)], newMembers: null };

/** `1@100 2@140` */
export function history(text: string): TermHistory {
  return text.split(' ').map((entry) => {
    const [term = 0, startLsn = 0] = entry.split('@').map(Number);
    return { term, startLsn: startLsn as Lsn };
  });
}

function historyText(entries: TermHistory): string {
  return entries.map(({ term, startLsn }) => `${term}@${startLsn}`).join(' ');
}

function messageText(message: AcceptorMessage | Greeting | VoteRequest | Elected | AppendRequest): string {
  switch (message.type) {
    case 'greeting':
      return `greeting g${message.configuration.generation}`;
    case 'greetingReply':
      return `greetingReply g${message.configuration.generation} term=${message.term}`;
    case 'voteRequest':
      return `voteRequest term=${message.term}`;
    case 'voteReply':
      return `voteReply term=${message.term} ${message.granted ? 'granted' : 'refused'} flush=${message.flushLsn} commit=${message.commitLsn} horizon=${message.peerHorizonLsn} history=${historyText(message.history)}`;
    case 'elected':
      return `elected term=${message.term} start=${message.startLsn} history=${historyText(message.history)}`;
    case 'appendRequest':
      return `append term=${message.term} [${message.beginLsn},${message.endLsn}) commit=${message.commitLsn} horizon=${message.peerHorizonLsn}${message.probe ? ' probe' : ''}`;
    case 'appendReply':
      return `appendReply term=${message.term} write=${message.writeLsn} flush=${message.flushLsn} commit=${message.commitLsn}`;
    default:
      return message satisfies never;
  }
}

function acceptorEffectText(effect: AcceptorEffect): string {
  switch (effect.type) {
    case 'persistControl': {
      const { term, history: entries, pendingTruncationLsn, configuration } = effect.control;
      return `persist g${configuration.generation} term=${term} history=${historyText(entries)}${pendingTruncationLsn === null ? '' : ` pending=${pendingTruncationLsn}`}`;
    }
    case 'truncateWal':
      return `truncate ${effect.lsn}`;
    case 'writeWal':
      return `write [${effect.beginLsn},${effect.endLsn})`;
    case 'syncWal':
      return 'sync';
    case 'requestFlush':
      return 'request flush';
    case 'send':
      return `→${effect.to} ${messageText(effect.message)}`;
    case 'configured': {
      const { configuration, term, position } = effect.report;
      return `configured g${configuration.generation} term=${term} position=${position.lastTerm}@${position.flushLsn}`;
    }
    case 'followed':
      return `followed: ${effect.verdict}`;
    case 'commitAdvanced':
      return `commit ${effect.commitLsn}`;
    case 'reject':
      return `reject ${effect.to} ${effect.code}: ${effect.reason}`;
    default:
      return effect satisfies never;
  }
}

function proposerEffectText(effect: ProposerEffect): string {
  switch (effect.type) {
    case 'send':
      return `→${effect.to} ${messageText(effect.message)}`;
    case 'append':
      return `→${effect.to} ${messageText(effect.request)}${effect.donor === null ? '' : ` from donor ${effect.donor}`}`;
    case 'disconnect':
      return `disconnect ${effect.node}: ${effect.reason}`;
    case 'scheduleElection':
      return `schedule election ${effect.attempt}`;
    case 'elected':
      return `elected term=${effect.term} start=${effect.startLsn} donor=${effect.donor} history=${historyText(effect.history)}`;
    case 'synced':
      return `synced ${effect.startLsn}`;
    case 'commitAdvanced':
      return `commit ${effect.commitLsn}`;
    case 'fenced':
      return `fenced by term ${effect.term}`;
    case 'reconfigured':
      return `reconfigured g${effect.configuration.generation}`;
    case 'stopped':
      return `stopped ${effect.code}: ${effect.reason}`;
    default:
      return effect satisfies never;
  }
}

/** Takes inputs one after the other and writes down all effects, as text. */
export class AcceptorScript {
  state: AcceptorState;
  readonly #lines: string[] = [];
  #source: CommittedWal | undefined;

  constructor(state: AcceptorState) {
    this.state = state;
  }

  /** What happened so far. */
  get trace(): string {
    return `\n${this.#lines.join('\n')}\n`;
  }

  message(from: number, message: Greeting | VoteRequest | Elected): this {
    return this.#step(`${from}→ ${messageText(message)}`, { type: 'message', from, message });
  }

  vote(from: number, term: number): this {
    return this.message(from, { type: 'voteRequest', generation: 1, term });
  }

  elected(from: number, term: number, startLsn: number, text: string): this {
    return this.message(from, {
      type: 'elected',
      generation: 1,
      term,
      startLsn: startLsn as Lsn,
      history: history(text),
    });
  }

  append(
    from: number,
    term: number,
    begin: number,
    end: number,
    options: {
      readonly commit?: number;
      readonly horizon?: number;
      readonly recordEnd?: number;
      readonly probe?: boolean;
    } = {},
  ): this {
    const { commit = 100, horizon = 100, recordEnd = end, probe = false } = options;
    const message: AppendRequest = {
      type: 'appendRequest',
      generation: 1,
      term,
      beginLsn: begin as Lsn,
      endLsn: end as Lsn,
      commitLsn: commit as Lsn,
      peerHorizonLsn: horizon as Lsn,
      probe,
    };
    return this.#step(`${from}→ ${messageText(message)}`, {
      type: 'append',
      from,
      message,
      recordLsn: recordEnd as Lsn,
    });
  }

  flushed(syncedLsn: number, flushLsn: number): this {
    return this.#step(`flushed ${syncedLsn} ${flushLsn}`, {
      type: 'flushed',
      syncedLsn: syncedLsn as Lsn,
      flushLsn: flushLsn as Lsn,
    });
  }

  configure(configuration: Configuration, term = 0): this {
    return this.#step(`configure g${configuration.generation} term=${term}`, {
      type: 'configure',
      configuration,
      term,
    });
  }

  /** Another acceptor's WAL, committed up to `commitLsn` and written as `text` says. */
  follow(text: string, commitLsn: number, identity = IDENTITY): this {
    this.#source = { identity, history: history(text), commitLsn: commitLsn as Lsn };
    return this.#step(`follow ${text} commit=${commitLsn}`, { type: 'follow', source: this.#source });
  }

  /** A piece of the WAL followed last. */
  copied(begin: number, end: number, recordEnd = end): this {
    const piece = { beginLsn: begin as Lsn, endLsn: end as Lsn, recordLsn: recordEnd as Lsn };
    return this.#step(`copied [${begin},${end})`, { type: 'copied', source: this.#source as CommittedWal, piece });
  }

  disconnected(peer: number): this {
    return this.#step(`${peer} gone`, { type: 'disconnected', peer });
  }

  #step(text: string, input: AcceptorInput): this {
    const { state, effects } = stepAcceptor(this.state, input);
    this.state = state;
    this.#lines.push(text, ...effects.map((effect) => `  ${acceptorEffectText(effect)}`));
    return this;
  }
}

/** The same for a proposer. */
export class ProposerScript {
  state: ProposerState;
  readonly #lines: string[] = [];

  constructor(state: ProposerState) {
    this.state = state;
  }

  get trace(): string {
    return `\n${this.#lines.join('\n')}\n`;
  }

  connected(...nodes: number[]): this {
    for (const node of nodes) this.step(`${node} connected`, { type: 'connected', node: nodeId(node) });
    return this;
  }

  disconnected(node: number): this {
    return this.step(`${node} gone`, { type: 'disconnected', node: nodeId(node) });
  }

  message(node: number, message: AcceptorMessage): this {
    return this.step(`${node}→ ${messageText(message)}`, { type: 'message', node: nodeId(node), message });
  }

  greeted(node: number, term: number, configuration = THREE): this {
    return this.message(node, { type: 'greetingReply', node: nodeId(node), configuration, term });
  }

  voted(
    node: number,
    term: number,
    flushLsn: number,
    text: string,
    options: { readonly granted?: boolean; readonly commit?: number; readonly generation?: number } = {},
  ): this {
    const { granted = true, commit = 100, generation = 1 } = options;
    return this.message(node, {
      type: 'voteReply',
      generation,
      term,
      granted,
      flushLsn: flushLsn as Lsn,
      commitLsn: commit as Lsn,
      peerHorizonLsn: 100 as Lsn,
      history: history(text),
    });
  }

  acknowledged(node: number, term: number, flushLsn: number, writeLsn = flushLsn, generation = 1): this {
    return this.message(node, {
      type: 'appendReply',
      generation,
      term,
      writeLsn: writeLsn as Lsn,
      flushLsn: flushLsn as Lsn,
      commitLsn: 100 as Lsn,
      remoteConsistentLsn: 100 as Lsn,
    });
  }

  wal(endLsn: number): this {
    return this.step(`wal ${endLsn}`, { type: 'wal', endLsn: endLsn as Lsn });
  }

  step(text: string, input: ProposerInput): this {
    const { state, effects } = stepProposer(this.state, input);
    this.state = state;
    this.#lines.push(text, ...effects.map((effect) => `  ${proposerEffectText(effect)}`));
    return this;
  }
}
