import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CorruptionError, INVALID_LSN } from '@zenith/base';
import { decodeRecord } from './decode-record.ts';
import { encodeRecord } from './encode-record.ts';
import { WalRecord } from './record.ts';
import { RM_XACT_ID } from './resource-managers.ts';
import {
  XACT_XINFO_HAS_DBINFO,
  XACT_XINFO_HAS_DROPPED_STATS,
  XACT_XINFO_HAS_GID,
  XACT_XINFO_HAS_INVALS,
  XACT_XINFO_HAS_ORIGIN,
  XACT_XINFO_HAS_RELFILELOCATORS,
  XACT_XINFO_HAS_SUBXACTS,
  XACT_XINFO_HAS_TWOPHASE,
  XLOG_XACT_COMMIT,
  XLOG_XACT_HAS_INFO,
  XactRecord,
  parseAbort,
  parseCommit,
  parsePrepare,
} from './xact.ts';

function recordOf(info: number, mainData: Uint8Array): WalRecord {
  const bytes = encodeRecord({ rmid: RM_XACT_ID, info, mainData }, INVALID_LSN);
  const record = new WalRecord();
  decodeRecord(18, bytes, new DataView(bytes.buffer), 0, INVALID_LSN, INVALID_LSN, record);
  return record;
}

const u32 = (...values: number[]): number[] =>
  values.flatMap((value) => [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24]);

const parts = fc.record(
  {
    db: fc.tuple(fc.nat(0xffffffff), fc.nat(0xffffffff)),
    subxacts: fc.array(fc.nat(0xffffffff), { maxLength: 5 }),
    rels: fc.array(fc.tuple(fc.nat(0xffffffff), fc.nat(0xffffffff), fc.nat(0xffffffff)), { maxLength: 4 }),
    statCount: fc.nat(3),
    invalCount: fc.nat(3),
    twoPhase: fc.record({
      xid: fc.nat(0xffffffff),
      gid: fc.option(fc.string({ unit: 'grapheme-ascii', maxLength: 20 }), { nil: undefined }),
    }),
    origin: fc.nat(0xffffffff),
  },
  { requiredKeys: [] },
);

describe('parseCommit', () => {
  test.each([
    [17, 12],
    [18, 16],
  ] as const)('of PostgreSQL %i finds every part wherever the parts before it end', (major, statLength) => {
    fc.assert(
      fc.property(parts, ({ db, subxacts, rels, statCount, invalCount, twoPhase, origin }) => {
        const xinfo =
          (db === undefined ? 0 : XACT_XINFO_HAS_DBINFO) |
          (subxacts === undefined ? 0 : XACT_XINFO_HAS_SUBXACTS) |
          (rels === undefined ? 0 : XACT_XINFO_HAS_RELFILELOCATORS) |
          (statCount === undefined ? 0 : XACT_XINFO_HAS_DROPPED_STATS) |
          (invalCount === undefined ? 0 : XACT_XINFO_HAS_INVALS) |
          (twoPhase === undefined ? 0 : XACT_XINFO_HAS_TWOPHASE) |
          (twoPhase?.gid === undefined ? 0 : XACT_XINFO_HAS_GID) |
          (origin === undefined ? 0 : XACT_XINFO_HAS_ORIGIN);
        const bytes = [...u32(77, 0), ...u32(xinfo)];
        if (db !== undefined) bytes.push(...u32(...db));
        if (subxacts !== undefined) bytes.push(...u32(subxacts.length, ...subxacts));
        if (rels !== undefined) bytes.push(...u32(rels.length, ...rels.flat()));
        if (statCount !== undefined)
          bytes.push(...u32(statCount), ...Array.from({ length: statCount * statLength }, () => 0xee));
        if (invalCount !== undefined)
          bytes.push(...u32(invalCount), ...Array.from({ length: invalCount * 16 }, () => 0xdd));
        if (twoPhase !== undefined) bytes.push(...u32(twoPhase.xid));
        if (twoPhase?.gid !== undefined) bytes.push(...Buffer.from(`${twoPhase.gid}\0`));
        if (origin !== undefined) bytes.push(...u32(origin, 1), ...u32(88, 0));

        const record = recordOf(XLOG_XACT_COMMIT | XLOG_XACT_HAS_INFO, Uint8Array.from(bytes));
        const xact = new XactRecord();
        parseCommit(major, record, xact);
        const words = (count: number, offset: number): number[] =>
          Array.from({ length: count }, (_, i) => xact.view.getUint32(offset + 4 * i, true));
        expect(words(1, xact.timeOffset)).toEqual([77]);
        expect([xact.db, xact.spc]).toEqual(db ?? [0, 0]);
        expect(words(xact.subxactCount, xact.subxactsOffset)).toEqual(subxacts ?? []);
        expect(words(xact.relCount * 3, xact.relsOffset)).toEqual((rels ?? []).flat());
        expect(xact.twoPhaseXid).toBe(twoPhase?.xid ?? 0);
        expect(Buffer.from(record.bytes.slice(xact.gidOffset, xact.gidOffset + xact.gidLength)).toString()).toBe(
          twoPhase?.gid === undefined ? '' : `${twoPhase.gid}\0`,
        );
        expect([xact.hasOrigin, xact.originLsn]).toEqual(origin === undefined ? [false, 0] : [true, origin + 2 ** 32]);
        if (origin !== undefined) expect(words(1, xact.originTimeOffset)).toEqual([88]);
      }),
    );
  });
});

test('damaged transaction records are parsed inside of their bounds or refused, never anything else', () => {
  const anything = fc.oneof(
    fc.uint8Array({ minLength: 1, maxLength: 200 }),
    fc
      .tuple(fc.nat(0x1ff), fc.array(fc.oneof(fc.nat(4), fc.nat(0xffffffff)), { maxLength: 40 }))
      .map(([xinfo, words]) => Uint8Array.from(u32(0, 0, xinfo, ...words))),
    fc
      .array(fc.oneof(fc.nat(4), fc.nat(0xffffffff)), { minLength: 16, maxLength: 40 })
      .map((words) => Uint8Array.from(u32(0x57f94534, (words.length + 2) * 4 + 4, ...words))),
  );
  fc.assert(
    fc.property(anything, fc.nat(255), fc.constantFrom(parseCommit, parseAbort, parsePrepare), (bytes, info, parse) => {
      const record = recordOf(info, bytes);
      const xact = new XactRecord();
      try {
        parse(18, record, xact);
      } catch (error) {
        expect(error).toBeInstanceOf(CorruptionError);
        return;
      }
      const end = record.mainDataOffset + record.mainDataLength;
      expect(xact.subxactsOffset + 4 * xact.subxactCount).toBeLessThanOrEqual(end);
      expect(xact.relsOffset + 12 * xact.relCount).toBeLessThanOrEqual(end);
      expect(xact.abortRelsOffset + 12 * xact.abortRelCount).toBeLessThanOrEqual(end);
      expect(xact.gidOffset + xact.gidLength).toBeLessThanOrEqual(end);
    }),
    { numRuns: 2000 },
  );
});
