import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  CLOG,
  COMMIT_TS,
  MULTIXACT_MEMBERS,
  MULTIXACT_OFFSETS,
  clogByte,
  clogShift,
  commitTsByte,
  multixactFlagsByte,
  multixactMemberByte,
  multixactOffsetByte,
  parseSlruFileName,
  slruFileName,
  slruPage,
  slruPageInSegment,
  slruSegment,
  slruSegmentIsTruncated,
  slruSegmentMax,
} from './slru.ts';

describe('entries', () => {
  test('of different ids never share a place, and lie inside of their page', () => {
    const places: [string, (id: number) => number, (id: number) => number, number][] = [
      ['clog', (id) => slruPage(CLOG, id), (id) => clogByte(id) * 8 + clogShift(id), 2],
      ['offsets', (id) => slruPage(MULTIXACT_OFFSETS, id), (id) => multixactOffsetByte(id) * 8, 32],
      ['flags', (id) => slruPage(MULTIXACT_MEMBERS, id), (id) => multixactFlagsByte(id) * 8, 8],
      ['members', (id) => slruPage(MULTIXACT_MEMBERS, id), (id) => multixactMemberByte(id) * 8, 32],
      ['commit_ts', (id) => slruPage(COMMIT_TS, id), (id) => commitTsByte(id) * 8, 80],
    ];
    for (const [, page, bit, width] of places) {
      fc.assert(
        fc.property(fc.nat(0xffffffff), fc.nat(5000), (id, distance) => {
          const other = (id + distance) >>> 0;
          expect(bit(id) + width).toBeLessThanOrEqual(8192 * 8);
          if (other === id || page(other) !== page(id)) return;
          expect(Math.abs(bit(other) - bit(id))).toBeGreaterThanOrEqual(width);
        }),
      );
    }
  });

  test('have the places PostgreSQL gives them', () => {
    expect([slruPage(CLOG, 32768), clogByte(32768 + 5), clogShift(32768 + 5)]).toEqual([1, 1, 2]);
    expect([slruPage(MULTIXACT_OFFSETS, 2049), multixactOffsetByte(2049)]).toEqual([1, 4]);
    expect([slruPage(MULTIXACT_MEMBERS, 1636), multixactFlagsByte(1636), multixactMemberByte(1636)]).toEqual([1, 0, 4]);
    expect([multixactFlagsByte(1635), multixactMemberByte(1635)]).toEqual([408 * 20 + 3, 408 * 20 + 16]);
    expect([slruPage(COMMIT_TS, 820), commitTsByte(820)]).toEqual([1, 10]);
    expect([slruSegment(33), slruPageInSegment(33)]).toEqual([1, 1]);
    expect([slruSegmentMax(CLOG), slruSegmentMax(MULTIXACT_OFFSETS), slruSegmentMax(MULTIXACT_MEMBERS)]).toEqual([
      0xfff, 0xffff, 0x14078,
    ]);
  });
});

describe('truncation', () => {
  // PG: SlruPagePrecedesUnitTests(), slru.c: for a cutoff in the middle of a segment, the segment itself stays, the ones before go.
  test.each([
    ['clog', CLOG],
    ['offsets', MULTIXACT_OFFSETS],
    ['members', MULTIXACT_MEMBERS],
    ['commit_ts', COMMIT_TS],
  ])('of %s removes whole segments before the cutoff only', (_, slru) => {
    expect(slruSegmentIsTruncated(slru, 2, 3 * 32)).toBe(true);
    expect(slruSegmentIsTruncated(slru, 3, 3 * 32)).toBe(false);
    expect(slruSegmentIsTruncated(slru, 3, 3 * 32 + 31)).toBe(false);
    expect(slruSegmentIsTruncated(slru, 4, 3 * 32 + 31)).toBe(false);
    // Half a circle away is not before.
    const far = Math.floor(slruSegmentMax(slru) / 2) + 3;
    expect(slruSegmentIsTruncated(slru, far + 3, 3 * 32)).toBe(true);
    expect(slruSegmentIsTruncated(slru, 3, (far + 3) * 32)).toBe(false);
  });

  test('goes round the end of the circle', () => {
    const last = slruSegmentMax(CLOG);
    expect(slruSegmentIsTruncated(CLOG, last, 5 * 32)).toBe(true);
    expect(slruSegmentIsTruncated(CLOG, 5, last * 32)).toBe(false);
  });
});

describe('segment names', () => {
  test('have at least four digits', () => {
    expect([slruFileName(0), slruFileName(0xabc), slruFileName(0x14078)]).toEqual(['0000', '0ABC', '14078']);
    for (const segment of [0, 1, 0xabc, 0xffff, 0x14078, 0x100000])
      expect(parseSlruFileName(slruFileName(segment))).toBe(segment);
    for (const name of ['', '000', '00000', 'abcd', '0000.old', '1234567', 'G000'])
      expect(parseSlruFileName(name)).toBeUndefined();
  });
});
