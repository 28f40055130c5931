import {
  allMembers,
  createControl,
  nodeId,
  startAcceptor,
  startProposer,
  type AcceptorMessage,
  type AcceptorState,
  type AppendRequest,
  type Configuration,
  type Elected,
  type Greeting,
  type ProposerState,
  type TermHistory,
  type TimelineIdentity,
  type VoteRequest,
} from '@zenith/consensus';
import type { Lsn, SystemId, TenantId, TimelineId } from '@zenith/base';

// The parts a state of the cluster is made of. A WAL entry is one byte, and is known by the term that wrote it: a log is a string of terms, one character an entry.

/** LSN of the first entry. */
export const START = 1;

/** The timeline explored. */
export const IDENTITY: TimelineIdentity = {
  tenant: '0'.repeat(32) as TenantId,
  timeline: '1'.repeat(32) as TimelineId,
  pgMajor: 18,
  systemId: '1' as SystemId,
  segmentSize: 16 * 1024 * 1024,
  timelineStartLsn: START as Lsn,
};

/** An acceptor and its WAL. */
export interface AcceptorCell {
  readonly state: AcceptorState;
  readonly log: string;
}

/** A proposer, its WAL once it is elected, and what it could read from each voter. */
export interface ProposerCell {
  readonly state: ProposerState;
  readonly log: string;
  readonly voterLogs: readonly (string | null)[];
}

/** A message to an acceptor, with its WAL. */
export interface Request {
  readonly message: Greeting | VoteRequest | Elected | AppendRequest;
  readonly log: string;
}

/** Answers to one packet, and the WAL the acceptor had then. */
export interface Replies {
  readonly messages: readonly AcceptorMessage[];
  readonly log: string;
}

/** What is under way on a connection: numbers of packets (what one step sends to one node arrives in one piece) and of replies. */
export interface LinkCell {
  readonly packets: readonly number[];
  readonly replies: readonly number[];
}

/** What an observer who sees everything remembers. */
export interface HistoryCell {
  /** The entries acknowledged so far. */
  readonly committed: string;
  /** For each, the term whose leader acknowledged it first. */
  readonly committedBy: string;
  /** The terms that were elected, a character each, in order of election. */
  readonly elected: string;
  /** Connections cut so far. */
  readonly cuts: number;
}

/** The number 0 of links is a closed one. */
export const CLOSED = 0;

/** The configuration of `count` acceptors. */
export function configurationOf(count: number): Configuration {
  return { generation: 1, members: Array.from({ length: count }, (_, i) => nodeId(i + 1)), newMembers: null };
}

/** An acceptor that has just heard of the timeline. */
export function newAcceptor(configuration: Configuration): AcceptorCell {
  return { state: startAcceptor(nodeId(1), createControl(nodeId(1), IDENTITY, configuration), START as Lsn), log: '' };
}

/** A proposer that has met nobody. One entry at a time goes to an acceptor, so that it may stop anywhere. */
export function newProposer(configuration: Configuration): ProposerCell {
  const state = startProposer({
    identity: IDENTITY,
    configuration,
    mode: 'lead',
    expectedStartLsn: null,
    appendBytesMax: 1,
    inflightBytesMax: 1,
    coalesceBytesMax: 0,
  });
  return { state, log: '', voterLogs: allMembers(configuration).map(() => null) };
}

// Keys leave out what no later step depends on: the node's own number (acceptors are alike), the peer horizon (it is passed on, never decided upon), how many elections were tried, which of several equally advanced voters
// is the donor, and the votes once they are counted.

function historyKey(history: TermHistory | null): string {
  return history === null ? '-' : history.map(({ term, startLsn }) => `${term}@${startLsn}`).join(' ');
}

/** @see Interner */
export function acceptorKey({ state, log }: AcceptorCell): string {
  const { control } = state;
  return `${control.term} ${historyKey(control.history)} ${control.commitLsn} ${state.writeLsn} ${state.syncedLsn} ${state.flushLsn} ${state.leader} ${state.leaderCommitLsn} ${log}`;
}

/** @see Interner */
export function proposerKey({ state, log, voterLogs }: ProposerCell): string {
  const counting = state.phase === 'voting';
  const acceptors = state.acceptors.map(({ stage, vote, nextLsn, writeLsn, flushLsn, sentCommitLsn }, i) => {
    const voted =
      counting && vote !== null ? `${vote.flushLsn} ${vote.commitLsn} ${historyKey(vote.history)} ${voterLogs[i]}` : '';
    return stage === 'streaming'
      ? `streaming ${nextLsn} ${writeLsn} ${flushLsn} ${sentCommitLsn}`
      : `${stage} ${flushLsn} ${voted}`;
  });
  return `${state.phase} ${state.term} ${state.phase === 'leading' ? '' : state.termSeen} ${historyKey(state.history)} ${state.startLsn} ${state.availableLsn} ${state.commitLsn} ${state.synced} ${log}|${acceptors.join('|')}`;
}

function requestKey({ message, log }: Request): string {
  switch (message.type) {
    case 'greeting':
      return 'g';
    case 'voteRequest':
      return `v${message.term}`;
    case 'elected':
      return `e${message.term} ${message.startLsn} ${historyKey(message.history)}`;
    case 'appendRequest':
      return `a${message.term} ${message.beginLsn} ${message.endLsn} ${message.commitLsn} ${message.probe} ${log}`;
    default:
      return message satisfies never;
  }
}

function replyKey(message: AcceptorMessage): string {
  switch (message.type) {
    case 'greetingReply':
      return `G${message.node} ${message.term}`;
    case 'voteReply':
      return `V${message.term} ${message.granted} ${message.flushLsn} ${message.commitLsn} ${historyKey(message.history)}`;
    case 'appendReply':
      return `A${message.term} ${message.writeLsn} ${message.flushLsn}`;
    default:
      return message satisfies never;
  }
}

/** @see Interner */
export function packetKey(packet: readonly Request[]): string {
  return packet.map(requestKey).join(',');
}

/** @see Interner */
export function repliesKey({ messages, log }: Replies): string {
  const votes = messages.some(({ type }) => type === 'voteReply');
  return `${messages.map(replyKey).join(',')}${votes ? ` ${log}` : ''}`;
}

/** @see Interner */
export function linkKey(link: LinkCell | null): string {
  return link === null ? 'closed' : `${link.packets.join(',')}/${link.replies.join(',')}`;
}

/** @see Interner */
export function historyCellKey({ committed, committedBy, elected, cuts }: HistoryCell): string {
  // In which order terms were elected does not matter for anything to come.
  return `${committed} ${committedBy} ${elected.split('').toSorted().join('')} ${cuts}`;
}
