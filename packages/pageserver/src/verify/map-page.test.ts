import { INVALID_LSN, lsn } from '@zenith/base';
import {
  BLCKSZ,
  RM_HEAP2_ID,
  RM_XLOG_ID,
  SIZE_OF_PAGE_HEADER,
  VISIBILITYMAP_FORKNUM,
  XLOG_FPI,
  allocatePage,
  encodeRecord,
  initPage,
  setPageChecksum,
  setPageLsn,
  type Page,
  type RecordSpec,
} from '@zenith/pg-format';
import { appendVisibilityMapClear, startVisibilityMapClear } from '@zenith/redo';
import { describe, expect, test } from 'vitest';
import { ValueKind } from '../key-space/value.ts';
import type { HistoryValue } from '../timeline/page-history.ts';
import { postgresRedo } from '../timeline/redo.ts';
import { compareMapPage, mapPageAtMost } from './map-page.ts';

const MAP = { spc: 1663, db: 5, rel: 16384, fork: VISIBILITYMAP_FORKNUM, block: 0 };
const XLOG_HEAP2_VISIBLE = 0x40;

/** A map page at `at` with these bytes of bits. */
function map(at: number, ...bits: readonly number[]): Page {
  const page = allocatePage();
  initPage(page);
  setPageLsn(page, lsn(at));
  page.bytes.set(bits, SIZE_OF_PAGE_HEADER);
  return page;
}

const noneMissing = (): undefined => undefined;

describe('a map page', () => {
  test('with the same LSN and bits is the same, whatever its checksum', () => {
    const expected = map(100, 0xff, 0x03);
    setPageChecksum(expected, 7);
    expect(compareMapPage(expected, map(100, 0xff, 0x03), noneMissing)).toEqual({ isBehind: false });
  });

  test('that was never initialised is one without bits or LSN', () => {
    expect(compareMapPage(allocatePage(), map(0), noneMissing)).toEqual({ isBehind: false });
    expect(compareMapPage(map(0), allocatePage(), noneMissing)).toEqual({ isBehind: false });
    expect(compareMapPage(map(100), allocatePage(), noneMissing).difference?.offset).toBe(4);
    const broken = allocatePage();
    broken.bytes[5000] = 1;
    expect(compareMapPage(map(0), broken, noneMissing).difference).toBeDefined();
  });

  test('with another LSN differs, even when the same bits could be missing', () => {
    expect(compareMapPage(map(101, 1), map(100, 1), noneMissing).difference?.offset).toBe(4);
    expect(compareMapPage(map(101, 1), map(100, 0), () => map(100, 0xff)).difference?.offset).toBe(4);
  });

  test('with another header differs', () => {
    const expected = map(100);
    expected.bytes[10] = 1; // pd_flags
    expect(compareMapPage(expected, map(100), noneMissing).difference?.offset).toBe(10);
  });

  test('with a bit that PostgreSQL does not have differs', () => {
    expect(compareMapPage(map(100, 0x01), map(100, 0x03), noneMissing).difference).toEqual({
      offset: 24,
      expected: 1,
      actual: 3,
    });
    expect(compareMapPage(map(100, 0x01, 0), map(100, 0, 1), () => map(100, 0xff, 0xff)).difference?.offset).toBe(25);
  });

  test('without a bit that PostgreSQL has differs, unless that very bit may be missing', () => {
    const [expected, actual] = [map(100, 0x0f, 0x0f), map(100, 0x03, 0x0f)];
    expect(compareMapPage(expected, actual, noneMissing).difference).toEqual({ offset: 24, expected: 15, actual: 3 });
    expect(compareMapPage(expected, actual, () => map(100, 0x0f, 0x0f))).toEqual({ isBehind: true });
    expect(compareMapPage(expected, actual, () => map(100, 0x07, 0xff)).difference?.offset).toBe(24);
  });
});

function stored(kind: ValueKind, at: number, blockId: number, spec: RecordSpec): HistoryValue {
  return { lsn: lsn(at), kind, bytes: Uint8Array.of(blockId, ...encodeRecord(spec, INVALID_LSN)) };
}

/** What CREATE DATABASE logs of a map page: no more than its header. */
function copied(at: number, info = XLOG_FPI): HistoryValue {
  const image = {
    bytes: map(1).bytes.slice(0, SIZE_OF_PAGE_HEADER),
    apply: true,
    holeOffset: SIZE_OF_PAGE_HEADER,
    holeLength: BLCKSZ - SIZE_OF_PAGE_HEADER,
  };
  return stored(ValueKind.initRecord, at, 0, { rmid: RM_XLOG_ID, info, blocks: [{ id: 0, ...MAP, image }] });
}

/** An image of all of a map page. */
function whole(at: number): HistoryValue {
  const image = { bytes: map(1).bytes, apply: true, holeOffset: 0, holeLength: 0 };
  return stored(ValueKind.initRecord, at, 0, { rmid: RM_XLOG_ID, info: XLOG_FPI, blocks: [{ id: 0, ...MAP, image }] });
}

/** The record that sets both bits of a heap block. */
function set(at: number, heapBlock: number): HistoryValue {
  return stored(ValueKind.record, at, 0, {
    rmid: RM_HEAP2_ID,
    info: XLOG_HEAP2_VISIBLE,
    mainData: Uint8Array.of(0, 0, 0, 0, 3),
    blocks: [
      { id: 0, ...MAP },
      { id: 1, ...MAP, fork: 0, block: heapBlock },
    ],
  });
}

/** What a DELETE implies: the bits of a heap block are cleared. */
function clear(at: number, heapBlock: number): HistoryValue {
  const view = new DataView(new ArrayBuffer(64));
  const end = appendVisibilityMapClear(view, startVisibilityMapClear(view, 0), heapBlock, 3);
  return { lsn: lsn(at), kind: ValueKind.operation, bytes: new Uint8Array(view.buffer.slice(0, end)) };
}

const most = (...newestFirst: readonly HistoryValue[]): number[] | undefined => {
  const page = mapPageAtMost(18, postgresRedo(), newestFirst);
  return page && [...page.bytes.subarray(SIZE_OF_PAGE_HEADER, SIZE_OF_PAGE_HEADER + 3)];
};

describe('bits may be missing', () => {
  test('of every block, where a database was created and logged without them', () => {
    expect(most(copied(100))).toEqual([0xff, 0xff, 0xff]);
    const page = mapPageAtMost(18, postgresRedo(), [copied(100)]);
    expect(page?.bytes.at(-1)).toBe(0xff);
  });

  test('but not of a block of which a later record cleared them', () => {
    expect(most(clear(120, 1), copied(100))).toEqual([0xf3, 0xff, 0xff]);
  });

  test('but not of a block of which a later record set them: the timeline has those', () => {
    const values = [set(130, 1), clear(120, 1), clear(110, 2), copied(100)];
    expect(most(...values)).toEqual([0xcf, 0xff, 0xff]);
    const timeline = map(130, 0x0c);
    const server = map(130, 0x0c, 0x55);
    const atMost = (): Page | undefined => mapPageAtMost(18, postgresRedo(), values);
    expect(compareMapPage(server, timeline, atMost)).toEqual({ isBehind: true });
    expect(compareMapPage(map(130, 0x0c), map(130, 0), () => map(130, 0xcf)).isBehind).toBe(true);
    expect(compareMapPage(map(130, 0x3c), map(130, 0x0c), atMost).difference?.offset).toBe(24); // block 2 was cleared
  });

  test('nowhere else: not behind a whole image, a copy of a database, an import, or an image for another reason', () => {
    expect(most(whole(110), copied(100))).toBeUndefined();
    expect(most(set(120, 1), whole(100))).toBeUndefined();
    expect(most({ lsn: lsn(100), kind: ValueKind.image, bytes: map(1).bytes })).toBeUndefined();
    expect(most({ lsn: lsn(100), kind: ValueKind.zeroPage, bytes: new Uint8Array(0) })).toBeUndefined();
    expect(most(copied(100, 0xa0))).toBeUndefined(); // XLOG_FPI_FOR_HINT
    expect(most(set(120, 1))).toBeUndefined();
  });
});
