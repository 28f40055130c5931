import { CorruptionError, lsn, type SystemId, type TenantId, type TimelineId } from '@zenith/base';
import {
  nodeId,
  type AcceptorMessage,
  type Configuration,
  type ProposerMessage,
  type TermHistory,
} from '@zenith/consensus';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeAcceptorMessage, decodeProposerMessage } from './decode.ts';
import { encodeAcceptorMessage, encodeProposerMessage } from './encode.ts';
import { APPEND_HEADER_LENGTH, APPEND_WAL_LENGTH_MAX } from './layout.ts';

const hex = (length: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'.split('')), minLength: length, maxLength: length });
const u64 = fc.maxSafeNat();
const anLsn = fc.maxSafeNat().map(lsn);
const members = fc
  .uniqueArray(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), { minLength: 1, maxLength: 16 })
  .map((ids) => ids.map(nodeId));
const configuration: fc.Arbitrary<Configuration> = fc.record({
  generation: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  members,
  newMembers: fc.option(members),
});
const history: fc.Arbitrary<TermHistory> = fc
  .uniqueArray(fc.tuple(fc.maxSafeNat(), fc.maxSafeNat()), { minLength: 1, maxLength: 20, selector: ([term]) => term })
  .map((pairs) => {
    const terms = pairs.map(([term]) => term).toSorted((a, b) => a - b);
    const lsns = pairs.map(([, start]) => start).toSorted((a, b) => a - b);
    return terms.map((term, i) => ({ term, startLsn: lsn(lsns[i] as number) }));
  });

const identity = fc.record({
  tenant: hex(32).map((id) => id as TenantId),
  timeline: hex(32).map((id) => id as TimelineId),
  pgMajor: fc.nat({ max: 99 }),
  systemId: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map((id) => id.toString() as SystemId),
  segmentSize: fc.constantFrom(1 << 20, 1 << 24, 1 << 30),
  timelineStartLsn: anLsn,
});

const proposerMessage: fc.Arbitrary<ProposerMessage> = fc.oneof(
  fc.record({ type: fc.constant('greeting' as const), identity, configuration }),
  fc.record({ type: fc.constant('voteRequest' as const), generation: u64, term: u64 }),
  fc.record({ type: fc.constant('elected' as const), generation: u64, term: u64, startLsn: anLsn, history }),
  fc
    .record({
      type: fc.constant('appendRequest' as const),
      generation: u64,
      term: u64,
      beginLsn: fc.nat({ max: 2 ** 52 }).map(lsn),
      commitLsn: anLsn,
      peerHorizonLsn: anLsn,
      probe: fc.boolean(),
      length: fc.nat({ max: 100 }),
    })
    .map(({ length, ...message }) => ({ ...message, endLsn: lsn(message.beginLsn + length) })),
);

const acceptorMessage: fc.Arbitrary<AcceptorMessage> = fc.oneof(
  fc.record({
    type: fc.constant('greetingReply' as const),
    node: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }).map(nodeId),
    configuration,
    term: u64,
  }),
  fc.record({
    type: fc.constant('voteReply' as const),
    generation: u64,
    term: u64,
    granted: fc.boolean(),
    flushLsn: anLsn,
    commitLsn: anLsn,
    peerHorizonLsn: anLsn,
    history,
  }),
  fc.record({
    type: fc.constant('appendReply' as const),
    generation: u64,
    term: u64,
    writeLsn: anLsn,
    flushLsn: anLsn,
    commitLsn: anLsn,
    remoteConsistentLsn: anLsn,
  }),
);

/** The message with its WAL, somewhere in a larger buffer. */
function encoded(message: ProposerMessage, before: number): { readonly view: DataView; readonly length: number } {
  const head = encodeProposerMessage(message);
  const wal = message.type === 'appendRequest' ? message.endLsn - message.beginLsn : 0;
  const bytes = new Uint8Array(before + head.length + wal + 7).fill(0xee);
  bytes.set(head, before);
  return { view: new DataView(bytes.buffer), length: head.length + wal };
}

describe('the proposer protocol', () => {
  test('gives back what a proposer sent, wherever it lies in a buffer', () => {
    fc.assert(
      fc.property(proposerMessage, fc.nat({ max: 9 }), (message, before) => {
        const { view, length } = encoded(message, before);
        expect(decodeProposerMessage(view, before, length)).toEqual(message);
      }),
    );
  });

  test('gives back what an acceptor sent', () => {
    fc.assert(
      fc.property(acceptorMessage, (message) => {
        const bytes = encodeAcceptorMessage(message);
        expect(decodeAcceptorMessage(new DataView(bytes.buffer), 0, bytes.length)).toEqual(message);
      }),
    );
  });

  test('refuses a message that is cut short or continued', () => {
    fc.assert(
      fc.property(proposerMessage, fc.nat(), (message, cut) => {
        const { view, length } = encoded(message, 0);
        expect(() => decodeProposerMessage(view, 0, cut % length)).toThrow(CorruptionError);
        expect(() => decodeProposerMessage(view, 0, length + 1)).toThrow(CorruptionError);
      }),
    );
  });

  test('answers any bytes with a message or a CorruptionError, and with nothing else', () => {
    const bytes = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(bytes, fc.constantFrom(1, 2, 3, 4, 5, 6, 7, 8), (noise, kind) => {
        const message = Uint8Array.from([1, kind, ...noise]);
        for (const decode of [decodeProposerMessage, decodeAcceptorMessage]) {
          try {
            expect(decode(new DataView(message.buffer), 0, message.length).type).toMatch(/^[a-zA-Z]+$/);
          } catch (error) {
            expect(error).toBeInstanceOf(CorruptionError);
          }
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('names a version it does not speak', () => {
    const bytes = encodeProposerMessage({ type: 'voteRequest', generation: 1, term: 1 });
    bytes[0] = 2;
    expect(() => decodeProposerMessage(new DataView(bytes.buffer), 0, bytes.length)).toThrow(
      'version 2 of the proposer protocol is not supported: expected 1',
    );
  });

  test('refuses an append beyond the bound and counts that cannot be, before it allocates', () => {
    const head = encodeProposerMessage({
      type: 'appendRequest',
      generation: 1,
      term: 1,
      beginLsn: lsn(8),
      endLsn: lsn(8),
      commitLsn: lsn(0),
      peerHorizonLsn: lsn(0),
      probe: false,
    });
    const view = new DataView(head.buffer);
    view.setUint32(4, APPEND_WAL_LENGTH_MAX + 1, true);
    expect(() => decodeProposerMessage(view, 0, APPEND_HEADER_LENGTH)).toThrow(/at most/);
    const elected = encodeProposerMessage({
      type: 'elected',
      generation: 1,
      term: 1,
      startLsn: lsn(8),
      history: [{ term: 1, startLsn: lsn(8) }],
    });
    const electedView = new DataView(elected.buffer);
    electedView.setUint32(32, 0xffff_ffff, true);
    expect(() => decodeProposerMessage(electedView, 0, elected.length)).toThrow(/at most 65536/);
    electedView.setUint32(32, 60_000, true);
    expect(() => decodeProposerMessage(electedView, 0, elected.length)).toThrow(/does not fit/);
  });
});
