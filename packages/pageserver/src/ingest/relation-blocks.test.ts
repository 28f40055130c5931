import { CorruptionError } from '@zenith/base';
import {
  RM_BTREE_ID,
  RM_GIN_ID,
  RM_HEAP2_ID,
  RM_HEAP_ID,
  RM_SMGR_ID,
  RM_XACT_ID,
  RM_XLOG_ID,
  XLOG_FPI,
  XLOG_FPI_FOR_HINT,
  type BlockSpec,
} from '@zenith/pg-format';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Head, data } from './head.test-support.ts';

const INSERT = 0x00,
  UPDATE = 0x20;
const CREATE = 0x10,
  TRUNCATE = 0x20;
const COMMIT_WITH_INFO = 0x80,
  HAS_RELS = 4;

let head: Head;
beforeEach(async () => {
  head = await Head.create();
});
afterEach(() => head.close());

function block(id: number, number: number, more: Partial<BlockSpec> = {}): BlockSpec {
  return { id, spc: 1663, db: 5, rel: 16384, fork: 0, block: number, data: Uint8Array.of(1, 2, 3), ...more };
}

/** xl_heap_insert with flags. */
function insert(flags = 0): Uint8Array {
  return data([2, 1], [1, flags]);
}

describe('blocks of relations', () => {
  it('make their fork grow, with pages of zeroes in the gap', async () => {
    await head.add({
      rmid: RM_HEAP_ID,
      info: INSERT | 0x80,
      xid: 1000,
      blocks: [block(0, 3, { willInit: true })],
      mainData: insert(),
    });
    expect(head.size(16384)).toBe(4);
    for (const gap of [0, 1, 2]) expect(head.blockHistory(16384, gap)).toEqual([]);
    expect(head.blockHistory(16384, 3)).toEqual([`record ${RM_HEAP_ID}/80 block 0`]);
  });

  it('that a record changes beyond the end without initialising them begin as zeroes', async () => {
    await head.add({ rmid: RM_HEAP_ID, info: INSERT, xid: 1000, blocks: [block(0, 1)], mainData: insert() });
    expect(head.size(16384)).toBe(2);
    expect(head.blockHistory(16384, 1)).toEqual([`record ${RM_HEAP_ID}/0 block 0`]);
  });

  it('come to be in any order within one record, and the size is that of the last', async () => {
    await head.add({
      rmid: RM_BTREE_ID,
      info: 0x30,
      blocks: [
        block(0, 7, { willInit: true }),
        block(1, 2),
        block(2, 9, { willInit: true }),
        block(3, 0, { rel: 16385, willInit: true }),
      ],
    });
    expect(head.size(16384)).toBe(10);
    expect(head.size(16385)).toBe(1);
    expect(head.blockHistory(16384, 2)).toEqual([`record ${RM_BTREE_ID}/30 block 1`]);
    expect(head.blockHistory(16384, 8)).toEqual([]);
  });

  it('of free-space maps and hints without an image leave nothing', async () => {
    await head.add({ rmid: RM_XLOG_ID, info: XLOG_FPI_FOR_HINT, blocks: [block(0, 4)] });
    const image = { bytes: new Uint8Array(8192), apply: true, holeOffset: 0, holeLength: 0 };
    await head.add({ rmid: RM_XLOG_ID, info: XLOG_FPI, blocks: [block(0, 0, { fork: 1, image })] });
    expect(head.size(16384)).toBeUndefined();
    expect(head.size(16384, 1)).toBeUndefined();
  });

  it('of a resource manager that redo does not know are kept, and WAL flows on', async () => {
    await head.add({ rmid: RM_GIN_ID, info: 0x20, blocks: [block(0, 0)] });
    await head.add({ rmid: 200, info: 0x10, xid: 1005, blocks: [block(0, 1)] });
    expect(head.blockHistory(16384, 1)).toEqual(['record 200/10 block 0']);
    expect(head.ingest.statistics.recordsByRmid[200]).toBe(1);
    expect(head.counters().nextXid).toBe(1006n);
  });

  it('absurdly far behind the end are bad WAL', async () => {
    await expect(
      head.add({ rmid: RM_HEAP_ID, info: INSERT, blocks: [block(0, 0xf000_0000)], mainData: insert() }),
    ).rejects.toThrow(CorruptionError);
  });

  it('lose their size when the relation is dropped, and a new life begins with nothing of the old', async () => {
    await head.add({
      rmid: RM_HEAP_ID,
      info: INSERT | 0x80,
      xid: 1000,
      blocks: [block(0, 5, { willInit: true })],
      mainData: insert(),
    });
    const before = head.timeline.lastRecordLsn;
    await head.add({
      rmid: RM_XACT_ID,
      info: COMMIT_WITH_INFO,
      xid: 1000,
      mainData: data([8, 0], [4, HAS_RELS], [4, 1], [4, 1663], [4, 5], [4, 16384]),
    });
    expect(head.size(16384)).toBeUndefined();
    expect(head.size(16384, 0, before)).toBe(6);
    head.ingest = head.newIngest();
    await head.add({ rmid: RM_SMGR_ID, info: CREATE, mainData: data([4, 1663], [4, 5], [4, 16384], [4, 0]) });
    expect(head.size(16384)).toBe(0);
    await head.add({ rmid: RM_HEAP_ID, info: INSERT, xid: 1001, blocks: [block(0, 5)], mainData: insert() });
    expect(head.blockHistory(16384, 5)).toEqual([`record ${RM_HEAP_ID}/0 block 0`]);
    expect(head.blockHistory(16384, 4)).toEqual([]);
  });

  it('know their size again after a restart', async () => {
    await head.add({
      rmid: RM_HEAP_ID,
      info: INSERT | 0x80,
      xid: 1000,
      blocks: [block(0, 5, { willInit: true })],
      mainData: insert(),
    });
    head.ingest = head.newIngest();
    await head.add({ rmid: RM_HEAP_ID, info: INSERT, xid: 1001, blocks: [block(0, 2)], mainData: insert() });
    expect(head.size(16384)).toBe(6);
    expect(head.blockHistory(16384, 2)).toEqual([`record ${RM_HEAP_ID}/0 block 0`]);
  });
});

describe('the visibility map', () => {
  const visible = (heapBlock: number, mapBlock: number): Promise<unknown> =>
    head.add({
      rmid: RM_HEAP2_ID,
      info: 0x40,
      blocks: [block(0, mapBlock, { fork: 2 }), block(1, heapBlock)],
      mainData: data([4, 0], [1, 3]),
    });

  it('loses the bits that a record implies, once, whatever blocks it names', async () => {
    await visible(10, 0);
    await head.add({
      rmid: RM_HEAP_ID,
      info: UPDATE,
      xid: 1000,
      blocks: [block(0, 11), block(1, 10)],
      mainData: data([4, 1000], [2, 1], [1, 0], [1, 3], [4, 0], [2, 2]),
    });
    const [, operation, ...rest] = head.blockHistory(16384, 0, 2);
    expect(operation).toMatch(/^operation 01/);
    expect(operation?.length).toBe('operation '.length + 2 * (1 + 2 * 5));
    expect(rest).toEqual([]);
  });

  it('is not made by bits that are to be cleared', async () => {
    await head.add({ rmid: RM_HEAP_ID, info: INSERT, xid: 1000, blocks: [block(0, 0)], mainData: insert(1) });
    expect(head.size(16384, 2)).toBeUndefined();
  });

  it('is cut with its heap: bits within a page are cleared, whole pages go', async () => {
    const perPage = 32672;
    await visible(0, 0);
    await visible(perPage + 5, 1);
    const truncate = (blocks: number): Promise<unknown> =>
      head.add({
        rmid: RM_SMGR_ID,
        info: TRUNCATE,
        mainData: data([4, blocks], [4, 1663], [4, 5], [4, 16384], [4, 7]),
      });
    await truncate(perPage + 2);
    expect(head.size(16384, 2)).toBe(2);
    expect(head.size(16384)).toBe(perPage + 2);
    expect(head.blockHistory(16384, 1, 2).at(-1)).toMatch(/^operation 02/);
    await truncate(perPage);
    expect(head.size(16384, 2)).toBe(1);
    expect(head.blockHistory(16384, 0, 2)).toHaveLength(1);
    await truncate(0);
    expect(head.size(16384)).toBe(0);
    expect(head.size(16384, 2)).toBe(0);
  });
});
