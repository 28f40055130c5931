import { CorruptionError } from '@zenith/base';
import {
  HEAPBLOCKS_PER_VISIBILITYMAP_PAGE,
  RM_BTREE_ID,
  RM_HEAP2_ID,
  RM_HEAP_ID,
  allocatePage,
  type RecordSpec,
} from '@zenith/pg-format';
import { lsn } from '@zenith/base';
import { describe, expect, it } from 'vitest';
import {
  VisibilityMapClears,
  applyOperation,
  encodeVisibilityMapClears,
  impliedVisibilityMapClears,
  visibilityMapBits,
} from '../index.ts';
import { block, pack, record, u16, u32, u8 } from '../record-builder.test-support.ts';

const BOTH = 3;
const FROZEN = 2;

function clearsOf(spec: RecordSpec): [number, number][] {
  const clears = new VisibilityMapClears();
  clears.add(99, BOTH); // what was there before is forgotten
  impliedVisibilityMapClears(record(18, spec), clears);
  return Array.from({ length: clears.count }, (_, i) => [
    clears.heapBlocks.at(i) as number,
    clears.flags.at(i) as number,
  ]);
}

const update = (flags: number): Uint8Array => pack(u32(1), u16(2), u8(0), u8(flags), u32(0), u16(3));
const lock = (flags: number): Uint8Array => pack(u32(1), u16(2), u8(0), u8(flags));

describe('impliedVisibilityMapClears', () => {
  it('finds nothing in records without the flag, or of other resource managers', () => {
    expect(clearsOf({ rmid: RM_HEAP_ID, info: 0x00, mainData: pack(u16(1), u8(0xfe)), blocks: [block(0, 7)] })).toEqual(
      [],
    );
    expect(clearsOf({ rmid: RM_HEAP_ID, info: 0x50, mainData: pack(u16(1)), blocks: [block(0, 7)] })).toEqual([]);
    expect(
      clearsOf({
        rmid: RM_HEAP2_ID,
        info: 0x40,
        mainData: pack(u32(1), u8(3)),
        blocks: [block(0, 0, { fork: 2 }), block(1, 7)],
      }),
    ).toEqual([]);
    expect(
      clearsOf({ rmid: RM_BTREE_ID, info: 0x00, mainData: pack(u16(1), u8(0xff)), blocks: [block(0, 7)] }),
    ).toEqual([]);
  });

  it('clears both bits for inserts, deletes and multi-inserts', () => {
    expect(clearsOf({ rmid: RM_HEAP_ID, info: 0x80, mainData: pack(u16(1), u8(0x01)), blocks: [block(0, 7)] })).toEqual(
      [[7, BOTH]],
    );
    expect(clearsOf({ rmid: RM_HEAP_ID, info: 0x10, mainData: lock(0x01), blocks: [block(0, 7)] })).toEqual([
      [7, BOTH],
    ]);
    expect(
      clearsOf({ rmid: RM_HEAP2_ID, info: 0x50, mainData: pack(u8(0x01), u8(0), u16(0)), blocks: [block(0, 7)] }),
    ).toEqual([[7, BOTH]]);
  });

  it('clears only the frozen bit for locks', () => {
    expect(clearsOf({ rmid: RM_HEAP_ID, info: 0x60, mainData: lock(0x01), blocks: [block(0, 7)] })).toEqual([
      [7, FROZEN],
    ]);
    expect(clearsOf({ rmid: RM_HEAP2_ID, info: 0x60, mainData: lock(0x01), blocks: [block(0, 7)] })).toEqual([
      [7, FROZEN],
    ]);
  });

  it('tells the old from the new page of an update', () => {
    const across = [block(0, 9), block(1, 7)];
    expect(clearsOf({ rmid: RM_HEAP_ID, info: 0x20, mainData: update(0x01), blocks: across })).toEqual([[7, BOTH]]);
    expect(clearsOf({ rmid: RM_HEAP_ID, info: 0x20, mainData: update(0x02), blocks: across })).toEqual([[9, BOTH]]);
    expect(clearsOf({ rmid: RM_HEAP_ID, info: 0x20, mainData: update(0x03), blocks: across })).toEqual([
      [7, BOTH],
      [9, BOTH],
    ]);
    expect(clearsOf({ rmid: RM_HEAP_ID, info: 0x40, mainData: update(0x03), blocks: [block(0, 9)] })).toEqual([
      [9, BOTH],
    ]);
  });

  it('refuses a record that lacks its flags or its block', () => {
    expect(() => clearsOf({ rmid: RM_HEAP_ID, info: 0x10, mainData: pack(u32(1)), blocks: [block(0, 7)] })).toThrow(
      CorruptionError,
    );
    expect(() => clearsOf({ rmid: RM_HEAP_ID, info: 0x10, mainData: lock(0x01) })).toThrow(CorruptionError);
  });
});

describe('encodeVisibilityMapClears', () => {
  it('puts the clears of one map page into one operation', () => {
    const clears = new VisibilityMapClears();
    clears.add(4, BOTH);
    clears.add(HEAPBLOCKS_PER_VISIBILITYMAP_PAGE + 5, BOTH);
    const out = new DataView(new ArrayBuffer(32));
    for (const [mapBlock, cleared, kept] of [
      [0, 4, 5],
      [1, 5, 4],
    ] as const) {
      const page = allocatePage();
      page.bytes.fill(0xff);
      applyOperation(out, 0, encodeVisibilityMapClears(out, 0, clears, mapBlock), page, lsn(1));
      expect([visibilityMapBits(page, cleared), visibilityMapBits(page, kept)]).toEqual([0, 3]);
    }
  });
});
