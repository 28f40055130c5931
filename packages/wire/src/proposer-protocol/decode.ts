import type { Lsn, SystemId, TenantId, TimelineId } from '@zenith/base';
import {
  isConfiguration,
  isTermHistory,
  MEMBERS_MAX,
  TERM_HISTORY_LENGTH_MAX,
  type AcceptorMessage,
  type AppendReply,
  type AppendRequest,
  type Configuration,
  type Elected,
  type Greeting,
  type GreetingReply,
  type NodeId,
  type ProposerMessage,
  type TermEntry,
  type TermHistory,
  type VoteReply,
  type VoteRequest,
} from '@zenith/consensus';
import { APPEND_WAL_LENGTH_MAX, MessageKind, PROPOSER_PROTOCOL_VERSION } from './layout.ts';
import { MessageReader } from './reader.ts';

/**
 * Decodes what a proposer sent: `view[offset, offset + length)`, only borrowed. Nothing of it is kept; the WAL of an AppendRequest is not copied: it lies at
 * `offset + APPEND_HEADER_LENGTH` and is `endLsn - beginLsn` bytes long.
 * @throws CorruptionError for anything but a whole, well-formed message of a known version
 */
export function decodeProposerMessage(view: DataView, offset: number, length: number): ProposerMessage {
  const { reader, kind } = open(view, offset, length);
  switch (kind) {
    case MessageKind.greeting:
      return finished(reader, readGreeting(reader));
    case MessageKind.voteRequest:
      return finished(reader, readVoteRequest(reader));
    case MessageKind.elected:
      return finished(reader, readElected(reader));
    case MessageKind.appendRequest:
      return readAppendRequest(reader);
    default:
      throw reader.corrupt(`a proposer sends no message of kind ${kind}`);
  }
}

/** Decodes what an acceptor sent, as {@link decodeProposerMessage}. @throws CorruptionError */
export function decodeAcceptorMessage(view: DataView, offset: number, length: number): AcceptorMessage {
  const { reader, kind } = open(view, offset, length);
  switch (kind) {
    case MessageKind.greetingReply:
      return finished(reader, readGreetingReply(reader));
    case MessageKind.voteReply:
      return finished(reader, readVoteReply(reader));
    case MessageKind.appendReply:
      return finished(reader, readAppendReply(reader));
    default:
      throw reader.corrupt(`an acceptor sends no message of kind ${kind}`);
  }
}

function open(
  view: DataView,
  offset: number,
  length: number,
): { readonly reader: MessageReader; readonly kind: number } {
  const reader = new MessageReader(view, offset, length);
  const version = reader.u8();
  if (version !== PROPOSER_PROTOCOL_VERSION)
    throw reader.corrupt(
      `version ${version} of the proposer protocol is not supported: expected ${PROPOSER_PROTOCOL_VERSION}`,
    );
  return { reader, kind: reader.u8() };
}

function finished<T>(reader: MessageReader, message: T): T {
  reader.finish();
  return message;
}

function readGreeting(reader: MessageReader): Greeting {
  reader.skip(2);
  const pgMajor = reader.u32();
  const segmentSize = reader.u32();
  reader.skip(4);
  const systemId = reader.u64Bits().toString() as SystemId;
  const timelineStartLsn = reader.lsn('timelineStartLsn');
  const tenant = reader.id() as TenantId;
  const timeline = reader.id() as TimelineId;
  return {
    type: 'greeting',
    identity: { tenant, timeline, pgMajor, systemId, segmentSize, timelineStartLsn },
    configuration: readConfiguration(reader),
  };
}

function readGreetingReply(reader: MessageReader): GreetingReply {
  reader.skip(6);
  const node = reader.u64('node') as NodeId;
  const term = reader.u64('term');
  return { type: 'greetingReply', node, configuration: readConfiguration(reader), term };
}

function readVoteRequest(reader: MessageReader): VoteRequest {
  reader.skip(6);
  return { type: 'voteRequest', generation: reader.u64('generation'), term: reader.u64('term') };
}

function readVoteReply(reader: MessageReader): VoteReply {
  const granted = reader.u8() !== 0;
  reader.skip(5);
  return {
    type: 'voteReply',
    granted,
    generation: reader.u64('generation'),
    term: reader.u64('term'),
    flushLsn: reader.lsn('flushLsn'),
    commitLsn: reader.lsn('commitLsn'),
    peerHorizonLsn: reader.lsn('peerHorizonLsn'),
    history: readHistory(reader),
  };
}

function readElected(reader: MessageReader): Elected {
  reader.skip(6);
  return {
    type: 'elected',
    generation: reader.u64('generation'),
    term: reader.u64('term'),
    startLsn: reader.lsn('startLsn'),
    history: readHistory(reader),
  };
}

function readAppendRequest(reader: MessageReader): AppendRequest {
  const flags = reader.u8();
  reader.skip(1);
  const walLength = reader.u32();
  const generation = reader.u64('generation');
  const term = reader.u64('term');
  const beginLsn = reader.lsn('beginLsn');
  const commitLsn = reader.lsn('commitLsn');
  const peerHorizonLsn = reader.lsn('peerHorizonLsn');
  if (walLength > APPEND_WAL_LENGTH_MAX)
    throw reader.corrupt(`an append of ${walLength} bytes, at most ${APPEND_WAL_LENGTH_MAX} are allowed`);
  if (walLength !== reader.remaining)
    throw reader.corrupt(`an append announces ${walLength} bytes of WAL and brings ${reader.remaining}`);
  const end = beginLsn + walLength;
  if (!Number.isSafeInteger(end)) throw reader.corrupt('the WAL ends beyond 2^53');
  return {
    type: 'appendRequest',
    generation,
    term,
    beginLsn,
    endLsn: end as Lsn,
    commitLsn,
    peerHorizonLsn,
    probe: (flags & 1) !== 0,
  };
}

function readAppendReply(reader: MessageReader): AppendReply {
  reader.skip(6);
  return {
    type: 'appendReply',
    generation: reader.u64('generation'),
    term: reader.u64('term'),
    writeLsn: reader.lsn('writeLsn'),
    flushLsn: reader.lsn('flushLsn'),
    commitLsn: reader.lsn('commitLsn'),
    remoteConsistentLsn: reader.lsn('remoteConsistentLsn'),
  };
}

function readConfiguration(reader: MessageReader): Configuration {
  const generation = reader.u64('generation');
  const memberCount = reader.u32();
  const newMemberCount = reader.u32();
  const total = memberCount + newMemberCount;
  if (memberCount > MEMBERS_MAX || newMemberCount > MEMBERS_MAX)
    throw reader.corrupt(`a configuration of ${total} members, at most ${MEMBERS_MAX} a set are allowed`);
  const readMembers = (count: number): readonly NodeId[] =>
    Array.from({ length: count }, () => reader.u64('member') as NodeId);
  const members = readMembers(memberCount);
  const configuration = { generation, members, newMembers: newMemberCount === 0 ? null : readMembers(newMemberCount) };
  if (!isConfiguration(configuration)) throw reader.corrupt('the configuration is empty, or names a member twice');
  return configuration;
}

function readHistory(reader: MessageReader): TermHistory {
  const count = reader.u32();
  reader.skip(4);
  if (count > TERM_HISTORY_LENGTH_MAX)
    throw reader.corrupt(`a history of ${count} terms, at most ${TERM_HISTORY_LENGTH_MAX} are allowed`);
  if (count * 16 > reader.remaining) throw reader.corrupt(`a history of ${count} terms does not fit into the message`);
  const history = Array.from({ length: count }, (): TermEntry => ({
    term: reader.u64('term'),
    startLsn: reader.lsn('startLsn'),
  }));
  if (!isTermHistory(history)) throw reader.corrupt('the term history is empty or out of order');
  return history;
}
