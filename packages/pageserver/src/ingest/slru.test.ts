import { CorruptionError } from '@zenith/base';
import {
  CLOG_XACTS_PER_PAGE,
  RM_CLOG_ID,
  RM_COMMIT_TS_ID,
  RM_MULTIXACT_ID,
  RM_XACT_ID,
  RM_XLOG_ID,
} from '@zenith/pg-format';
import { afterEach, describe, expect, it } from 'vitest';
import { ObjectKind, SlruKind } from '../key-space/object.ts';
import { Head, data } from './head.test-support.ts';

const COMMIT = 0x00,
  COMMIT_WITH_INFO = 0x80,
  ABORT = 0x20,
  HAS_SUBXACTS = 2;
const ZERO = 0x00,
  CLOG_TRUNCATE = 0x10;
const ZERO_OFF = 0x00,
  ZERO_MEM = 0x10,
  CREATE_ID = 0x20,
  TRUNCATE_ID = 0x30;

let head: Head;
afterEach(() => head.close());

function pageHistory(slru: SlruKind, page: number): string[] {
  return head.history(ObjectKind.slru, slru, 0, Math.floor(page / 32), 0, page % 32);
}

async function zero(rmid: number, page: number, info = ZERO): Promise<void> {
  await head.add({ rmid, info, mainData: data([8, page]) });
}

describe('the commit log', () => {
  it('gets one operation per page that a transaction and its subtransactions lie on', async () => {
    const first = CLOG_XACTS_PER_PAGE - 2;
    head = await Head.create({ nextXid: BigInt(first) });
    await zero(RM_CLOG_ID, 0);
    await zero(RM_CLOG_ID, 1);
    await head.add({
      rmid: RM_XACT_ID,
      info: COMMIT_WITH_INFO,
      xid: first,
      mainData: data([8, 0], [4, HAS_SUBXACTS], [4, 3], [4, first + 1], [4, first + 2], [4, first + 3]),
    });
    expect(pageHistory(SlruKind.clog, 0)).toEqual(['operation 0301fe7fff7f']);
    expect(pageHistory(SlruKind.clog, 1)).toEqual(['operation 030100000100']);
    expect(head.counters().nextXid).toBe(BigInt(first + 4));
  });

  it('records aborts, also on a page that nobody has made', async () => {
    head = await Head.create();
    await head.add({ rmid: RM_XACT_ID, info: ABORT, xid: 1000, mainData: data([8, 0]) });
    expect(head.segment(SlruKind.clog, 0)).toBe(1);
    expect(pageHistory(SlruKind.clog, 0)).toEqual([]); // applied already: the page is stored as it is then
    await head.add({ rmid: RM_XACT_ID, info: COMMIT, xid: 1001, mainData: data([8, 0]) });
    expect(pageHistory(SlruKind.clog, 0)).toEqual(['operation 0301e903']);
  });

  it('loses whole segments that lie before a truncation, and the oldest xid follows', async () => {
    head = await Head.create({ nextXid: BigInt(70 * CLOG_XACTS_PER_PAGE) });
    for (const page of [0, 31, 32, 64, 70]) await zero(RM_CLOG_ID, page);
    await head.add({
      rmid: RM_CLOG_ID,
      info: CLOG_TRUNCATE,
      mainData: data([8, 65], [4, 65 * CLOG_XACTS_PER_PAGE + 7], [4, 99]),
    });
    expect([0, 1, 2].map((segment) => head.segment(SlruKind.clog, segment))).toEqual([undefined, undefined, 7]);
    expect(head.counters()).toMatchObject({ oldestXid: 65 * CLOG_XACTS_PER_PAGE + 7, oldestXidDb: 99 });
  });

  it('keeps the segments after a wraparound when those before it are truncated', async () => {
    const last = 0x1_0000_0000 / CLOG_XACTS_PER_PAGE - 1;
    head = await Head.create({ nextXid: 0x1_0000_2000n, oldestXid: 0xff00_0000 });
    await zero(RM_CLOG_ID, last - 40);
    await zero(RM_CLOG_ID, last);
    await zero(RM_CLOG_ID, 0);
    await head.add({ rmid: RM_CLOG_ID, info: CLOG_TRUNCATE, mainData: data([8, last], [4, 0xffff_8000], [4, 1]) });
    expect(head.segment(SlruKind.clog, Math.floor((last - 40) / 32))).toBeUndefined();
    expect(head.segment(SlruKind.clog, Math.floor(last / 32))).toBe(32);
    expect(head.segment(SlruKind.clog, 0)).toBe(1);
  });

  it('reads page numbers of 4 bytes from WAL before 17', async () => {
    head = await Head.create({}, { major: 15 });
    await head.add({ rmid: RM_CLOG_ID, info: ZERO, mainData: data([4, 3]) });
    expect(head.segment(SlruKind.clog, 0)).toBe(4);
    await expect(head.add({ rmid: RM_CLOG_ID, info: CLOG_TRUNCATE, mainData: data([4, 3]) })).rejects.toThrow(
      CorruptionError,
    );
  });
});

describe('multixacts', () => {
  const create = (multi: number, offset: number, xids: readonly number[]): Promise<unknown> =>
    head.add({
      rmid: RM_MULTIXACT_ID,
      info: CREATE_ID,
      xid: 1000,
      mainData: data([4, multi], [4, offset], [4, xids.length], ...xids.map((xid) => data([4, xid], [4, 0]))),
    });

  it('set their own offset and the next, and their members', async () => {
    head = await Head.create();
    await zero(RM_MULTIXACT_ID, 0, ZERO_OFF);
    await zero(RM_MULTIXACT_ID, 0, ZERO_MEM);
    await create(1, 1, [1003, 1001]);
    expect(pageHistory(SlruKind.multixactOffsets, 0)).toEqual(['operation 04010001000000020003000000']);
    expect(pageHistory(SlruKind.multixactMembers, 0)).toEqual(['operation 050100eb03000000e903000000']);
    expect(head.counters()).toMatchObject({ nextMulti: 2, nextMultiOffset: 3, nextXid: 1004n });
  });

  it('spread over pages: the next offset on the next page, members on both', async () => {
    head = await Head.create({ nextMulti: 2047, nextMultiOffset: 1634 });
    for (const page of [0, 1]) await zero(RM_MULTIXACT_ID, page, ZERO_OFF);
    for (const page of [0, 1]) await zero(RM_MULTIXACT_ID, page, ZERO_MEM);
    await create(
      2047,
      1634,
      [1, 2, 3, 4].map((n) => 1000 + n),
    );
    expect(pageHistory(SlruKind.multixactOffsets, 0)).toEqual(['operation 04ff0762060000']);
    expect(pageHistory(SlruKind.multixactOffsets, 1)).toEqual(['operation 04000066060000']);
    expect(pageHistory(SlruKind.multixactMembers, 0)).toHaveLength(1);
    expect(pageHistory(SlruKind.multixactMembers, 1)).toEqual(['operation 050000eb03000000ec03000000']);
  });

  it('of older minor versions, which make the next page of offsets only later, keep its first entry', async () => {
    head = await Head.create({ nextMulti: 2047, nextMultiOffset: 10 });
    await zero(RM_MULTIXACT_ID, 0, ZERO_OFF);
    await zero(RM_MULTIXACT_ID, 0, ZERO_MEM);
    await create(2047, 10, [1001]);
    const before = head.timeline.lastRecordLsn;
    await zero(RM_MULTIXACT_ID, 1, ZERO_OFF);
    const object = head.timeline.find(ObjectKind.slru, SlruKind.multixactOffsets, 0, 0, 0);
    const page = { bytes: new Uint8Array(8192), view: new DataView(new ArrayBuffer(0)) };
    for (const lsn of [before, head.timeline.lastRecordLsn]) {
      head.timeline.readPage(object, 1, lsn, page);
      expect(new DataView(page.bytes.buffer).getUint32(0, true)).toBe(11);
    }
  });

  it('are truncated: segments of members by their numbers, around the end too, segments of offsets by age', async () => {
    head = await Head.create({ nextMulti: 0x0003_0000, oldestMulti: 1 });
    const perSegment = 1636 * 32;
    const lastSegment = Math.floor(0xffff_ffff / perSegment);
    for (const segment of [lastSegment - 1, lastSegment, 0, 1, 2]) await zero(RM_MULTIXACT_ID, segment * 32, ZERO_MEM);
    for (const page of [0, 32, 64]) await zero(RM_MULTIXACT_ID, page, ZERO_OFF);
    await head.add({
      rmid: RM_MULTIXACT_ID,
      info: TRUNCATE_ID,
      mainData: data([4, 5], [4, 1], [4, 0x0002_0000], [4, lastSegment * perSegment], [4, perSegment + 3]),
    });
    expect(
      [lastSegment - 1, lastSegment, 0, 1, 2].map((segment) => head.segment(SlruKind.multixactMembers, segment)),
    ).toEqual([1, undefined, undefined, 1, 1]);
    expect([0, 1, 2].map((segment) => head.segment(SlruKind.multixactOffsets, segment))).toEqual([undefined, 1, 1]);
    expect(head.counters()).toMatchObject({ oldestMulti: 0x0002_0000, oldestMultiDb: 5 });
  });

  it('with more members announced than there are are bad WAL', async () => {
    head = await Head.create();
    await expect(
      head.add({ rmid: RM_MULTIXACT_ID, info: CREATE_ID, mainData: data([4, 1], [4, 1], [4, 0xffff_ffff]) }),
    ).rejects.toThrow(CorruptionError);
  });
});

describe('commit timestamps', () => {
  it('are kept while they are tracked, and gone when they no longer are', async () => {
    head = await Head.create({ oldestCommitTsXid: 1000, newestCommitTsXid: 1000 }, { trackCommitTimestamp: true });
    await zero(RM_COMMIT_TS_ID, 1);
    await head.add({ rmid: RM_XACT_ID, info: COMMIT, xid: 1010, mainData: data([8, 0x1122334455]) });
    expect(pageHistory(SlruKind.commitTs, 1)).toEqual(['operation 0655443322110000000000bf00']);
    expect(head.counters()).toMatchObject({ oldestCommitTsXid: 1000, newestCommitTsXid: 1010 });
    await head.add({
      rmid: RM_XLOG_ID,
      info: 0x60,
      mainData: data([4, 200], [4, 8], [4, 10], [4, 0], [4, 64], [4, 1], [1, 0], [1, 0]),
    });
    expect(head.segment(SlruKind.commitTs, 0)).toBeUndefined();
    expect(head.counters()).toMatchObject({ oldestCommitTsXid: 0, newestCommitTsXid: 0 });
    await head.add({ rmid: RM_XACT_ID, info: COMMIT, xid: 1011, mainData: data([8, 0]) });
    expect(head.segment(SlruKind.commitTs, 0)).toBeUndefined();
  });

  it('begin at the next transaction when they are switched on', async () => {
    head = await Head.create({ nextXid: 5000n });
    await head.add({
      rmid: RM_XLOG_ID,
      info: 0x60,
      mainData: data([4, 300], [4, 8], [4, 10], [4, 20], [4, 64], [4, 2], [1, 0], [1, 1]),
    });
    expect(head.segment(SlruKind.commitTs, 0)).toBe(7);
    expect(head.counters()).toMatchObject({ oldestCommitTsXid: 5000, newestCommitTsXid: 5000 });
    const control = head.small(ObjectKind.controlFile, 0, 0) ?? new Uint8Array(0);
    const view = new DataView(control.buffer);
    expect([172, 180, 192].map((offset) => view.getInt32(offset, true))).toEqual([2, 300, 20]);
  });
});
