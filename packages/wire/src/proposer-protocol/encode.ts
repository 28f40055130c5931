import { unreachable, writeLsn, type Lsn } from '@zenith/base';
import type { AcceptorMessage, AppendRequest, Configuration, ProposerMessage, TermHistory } from '@zenith/consensus';
import { APPEND_HEADER_LENGTH, MessageKind, PROPOSER_PROTOCOL_VERSION } from './layout.ts';

/**
 * Encodes what a proposer sends. A new buffer, owned by the caller. Of an AppendRequest these are the {@link APPEND_HEADER_LENGTH} bytes that go before the WAL
 * `[beginLsn, endLsn)`, which the caller sends behind them in the same CopyData message.
 */
export function encodeProposerMessage(message: ProposerMessage): Uint8Array {
  switch (message.type) {
    case 'greeting': {
      const { identity, configuration } = message;
      const { bytes, view } = allocate(MessageKind.greeting, 64 + configurationLength(configuration));
      view.setUint32(4, identity.pgMajor, true);
      view.setUint32(8, identity.segmentSize, true);
      view.setBigUint64(16, BigInt(identity.systemId), true);
      writeLsn(view, 24, identity.timelineStartLsn);
      bytes.set(Buffer.from(identity.tenant, 'hex'), 32);
      bytes.set(Buffer.from(identity.timeline, 'hex'), 48);
      writeConfiguration(view, 64, configuration);
      return bytes;
    }
    case 'voteRequest':
      return allocateInTerm(MessageKind.voteRequest, 24, message).bytes;
    case 'elected': {
      const { bytes, view } = allocateInTerm(MessageKind.elected, 32 + historyLength(message.history), message);
      writeLsn(view, 24, message.startLsn);
      writeHistory(view, 32, message.history);
      return bytes;
    }
    case 'appendRequest':
      return encodeAppendHeader(message);
    default:
      return unreachable(message);
  }
}

/** Encodes what an acceptor sends. A new buffer, owned by the caller. */
export function encodeAcceptorMessage(message: AcceptorMessage): Uint8Array {
  switch (message.type) {
    case 'greetingReply': {
      const { bytes, view } = allocate(MessageKind.greetingReply, 24 + configurationLength(message.configuration));
      writeU64(view, 8, message.node);
      writeU64(view, 16, message.term);
      writeConfiguration(view, 24, message.configuration);
      return bytes;
    }
    case 'voteReply': {
      const { bytes, view } = allocateInTerm(MessageKind.voteReply, 48 + historyLength(message.history), message);
      bytes[2] = message.granted ? 1 : 0;
      writeLsn(view, 24, message.flushLsn);
      writeLsn(view, 32, message.commitLsn);
      writeLsn(view, 40, message.peerHorizonLsn);
      writeHistory(view, 48, message.history);
      return bytes;
    }
    case 'appendReply': {
      const { bytes, view } = allocateInTerm(MessageKind.appendReply, 56, message);
      writeLsn(view, 24, message.writeLsn);
      writeLsn(view, 32, message.flushLsn);
      writeLsn(view, 40, message.commitLsn);
      writeLsn(view, 48, message.remoteConsistentLsn);
      return bytes;
    }
    default:
      return unreachable(message);
  }
}

function encodeAppendHeader(request: AppendRequest): Uint8Array {
  const { bytes, view } = allocateInTerm(MessageKind.appendRequest, APPEND_HEADER_LENGTH, request);
  bytes[2] = request.probe ? 1 : 0;
  view.setUint32(4, request.endLsn - request.beginLsn, true);
  writeLsn(view, 24, request.beginLsn);
  writeLsn(view, 32, request.commitLsn);
  writeLsn(view, 40, request.peerHorizonLsn);
  return bytes;
}

interface Buffers {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

function allocate(kind: number, length: number): Buffers {
  const bytes = new Uint8Array(length);
  bytes[0] = PROPOSER_PROTOCOL_VERSION;
  bytes[1] = kind;
  return { bytes, view: new DataView(bytes.buffer) };
}

function allocateInTerm(
  kind: number,
  length: number,
  message: { readonly generation: number; readonly term: number },
): Buffers {
  const buffers = allocate(kind, length);
  writeU64(buffers.view, 8, message.generation);
  writeU64(buffers.view, 16, message.term);
  return buffers;
}

function writeU64(view: DataView, offset: number, value: number): void {
  writeLsn(view, offset, value as Lsn);
}

function configurationLength({ members, newMembers }: Configuration): number {
  return 16 + 8 * (members.length + (newMembers?.length ?? 0));
}

function writeConfiguration(view: DataView, offset: number, { generation, members, newMembers }: Configuration): void {
  writeU64(view, offset, generation);
  view.setUint32(offset + 8, members.length, true);
  view.setUint32(offset + 12, newMembers?.length ?? 0, true);
  [...members, ...(newMembers ?? [])].forEach((member, i) => writeU64(view, offset + 16 + 8 * i, member));
}

function historyLength(history: TermHistory): number {
  return 8 + 16 * history.length;
}

function writeHistory(view: DataView, offset: number, history: TermHistory): void {
  view.setUint32(offset, history.length, true);
  history.forEach(({ term, startLsn }, i) => {
    writeU64(view, offset + 8 + 16 * i, term);
    writeLsn(view, offset + 16 + 16 * i, startLsn);
  });
}
