import { CorruptionError, type ZenithError } from '@zenith/base';
import {
  BLCKSZ,
  RM_BTREE_ID,
  RM_CLOG_ID,
  RM_GIN_ID,
  RM_HEAP2_ID,
  RM_HEAP_ID,
  RM_XLOG_ID,
  allocatePage,
  heapXmin,
  initPage,
  lpOffset,
  normalLinePointer,
  pageLsn,
  type BlockSpec,
  type RecordSpec,
} from '@zenith/pg-format';
import { describe, expect, it } from 'vitest';
import { GALLERY } from './gallery.test-support.ts';
import { RedoError, describeRecord, redoBlock } from './index.ts';
import { END_LSN, block, pack, record, u16, u32, u8 } from './record-builder.test-support.ts';

function caught(action: () => void): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

const image = allocatePage();
initPage(image, 16);
image.bytes.fill(7, 8000);
const withImage: Partial<BlockSpec> = { image: { bytes: image.bytes, apply: true, holeOffset: 0, holeLength: 0 } };

describe('redoBlock', () => {
  it('restores an image whatever the resource manager, and sets the LSN', () => {
    for (const rmid of [RM_XLOG_ID, RM_GIN_ID, 200]) {
      const page = allocatePage();
      page.bytes.fill(0x55);
      redoBlock(18, record(18, { rmid, info: 0xb0, blocks: [block(0, 3, withImage)] }), 0, page);
      expect(Buffer.compare(page.bytes.subarray(8), image.bytes.subarray(8))).toBe(0);
      expect(pageLsn(page)).toBe(END_LSN);
    }
  });

  it('gives an image of a page that was never initialised no LSN', () => {
    const page = allocatePage();
    page.bytes.fill(0x55);
    redoBlock(
      18,
      record(18, {
        rmid: RM_XLOG_ID,
        info: 0xb0,
        blocks: [block(0, 3, { image: { bytes: new Uint8Array(BLCKSZ), apply: true, holeOffset: 0, holeLength: 0 } })],
      }),
      0,
      page,
    );
    expect(page.bytes.every((byte) => byte === 0)).toBe(true);
  });

  it('leaves the page alone for a hint record without its image, and refuses an image record without it', () => {
    const page = allocatePage();
    page.bytes.fill(0x55);
    redoBlock(18, record(18, { rmid: RM_XLOG_ID, info: 0xa0, blocks: [block(0, 3)] }), 0, page);
    expect(page.bytes.every((byte) => byte === 0x55)).toBe(true);
    expect(() => redoBlock(18, record(18, { rmid: RM_XLOG_ID, info: 0xb0, blocks: [block(0, 3)] }), 0, page)).toThrow(
      /XLOG\/FPI.*without the image/,
    );
  });

  it('does not restore an image that only checks redo', () => {
    const page = allocatePage();
    const spec: RecordSpec = {
      rmid: RM_HEAP_ID,
      info: 0x82,
      xid: 77,
      mainData: pack(u16(1), u8(0)),
      blocks: [
        block(0, 0, {
          willInit: true,
          data: pack(u16(1), u16(0x0802), u8(24), u8(0), u32(5)),
          image: { bytes: image.bytes, apply: false, holeOffset: 0, holeLength: 0 },
        }),
      ],
    };
    redoBlock(18, record(18, spec), 0, page);
    expect(heapXmin(page.view, lpOffset(normalLinePointer(page, 1)))).toBe(77);
  });

  it('forgets what was on a page that the record initialises', () => {
    const page = allocatePage();
    page.bytes.fill(0x55);
    const item = GALLERY.find(({ name }) => name === 'heap insert on a new page');
    redoBlock(18, record(18, item?.spec as RecordSpec), 0, page);
    expect(page.bytes.subarray(28, 8000).every((byte) => byte === 0)).toBe(true);
  });

  it('names resource manager, record and block when that version has no such record', () => {
    const error = caught(() =>
      redoBlock(16, record(16, { rmid: RM_XLOG_ID, info: 0xe0, blocks: [block(0, 3)] }), 0, allocatePage()),
    );
    expect(error).toBeInstanceOf(RedoError);
    expect((error as ZenithError).code).toBe('unsupported-record');
    expect(String(error)).toMatch(/block 3 of relation 1663\/5\/16384 fork 0.*XLOG\/0xe0/);
  });

  it('names an unknown resource manager and an unknown kind of record', () => {
    expect(
      String(
        caught(() => redoBlock(18, record(18, { rmid: 200, info: 0x10, blocks: [block(0, 3)] }), 0, allocatePage())),
      ),
    ).toMatch(/custom resource manager 200\/0x10/);
    expect(
      String(
        caught(() =>
          redoBlock(18, record(18, { rmid: RM_BTREE_ID, info: 0xf0, blocks: [block(0, 3)] }), 0, allocatePage()),
        ),
      ),
    ).toMatch(/BTREE\/0xf0/);
  });

  it('refuses a block that the record does not refer to, or cannot', () => {
    const insert = record(18, GALLERY.at(0)?.spec as RecordSpec);
    expect(caught(() => redoBlock(18, insert, 1, allocatePage()))).toBeInstanceOf(CorruptionError);
    expect(caught(() => redoBlock(18, insert, 40, allocatePage()))).toBeInstanceOf(CorruptionError);
    expect(
      String(
        caught(() =>
          redoBlock(18, record(18, { rmid: RM_CLOG_ID, info: 0x00, blocks: [block(0, 3)] }), 0, allocatePage()),
        ),
      ),
    ).toMatch(/CLOG\/ZEROPAGE.*never refers to a page/);
  });

  it('refuses a record for a page that it was not written for, and names both', () => {
    const page = allocatePage();
    initPage(page);
    const error = caught(() =>
      redoBlock(
        18,
        record(18, {
          rmid: RM_HEAP_ID,
          info: 0x10,
          mainData: pack(u32(1), u16(4), u8(0), u8(0)),
          blocks: [block(0, 12)],
        }),
        0,
        page,
      ),
    );
    expect(error).toBeInstanceOf(CorruptionError);
    expect(String(error)).toMatch(
      /HEAP\/DELETE xmax 1 off 4 infobits 0x00 flags 0x00, block 0: relation 1663\/5\/16384 fork 0 block 12: offset number 4.*ends at 1\/23456788/,
    );
  });

  it('does not redo the prune records of 16 and before as those of 17', () => {
    const prune = GALLERY.find(({ name }) => name === 'heap prune and freeze');
    const page = allocatePage();
    page.bytes.set(prune?.page as Uint8Array);
    expect(caught(() => redoBlock(16, record(16, prune?.spec as RecordSpec), 0, page))).toBeInstanceOf(CorruptionError);
    expect(caught(() => redoBlock(17, record(17, prune?.spec as RecordSpec), 0, page))).toBeUndefined();
  });
});

describe('describeRecord', () => {
  it('names the record with its main fields', () => {
    expect(describeRecord(18, record(18, { rmid: RM_HEAP_ID, info: 0x80, mainData: pack(u16(3), u8(8)) }))).toBe(
      'HEAP/INSERT+INIT off 3 flags 0x08',
    );
    expect(describeRecord(18, record(18, { rmid: RM_XLOG_ID, info: 0xe0 }))).toBe('XLOG/CHECKPOINT_REDO');
    expect(describeRecord(16, record(16, { rmid: RM_XLOG_ID, info: 0xe0 }))).toBe('XLOG/0xe0');
  });

  it('never fails', () => {
    expect(describeRecord(18, record(18, { rmid: RM_HEAP2_ID, info: 0x20, mainData: pack(u8(1)) }))).toBe(
      'HEAP2/PRUNE_VACUUM_SCAN (main data of 1 bytes, too short)',
    );
    for (let rmid = 0; rmid <= 255; rmid++) {
      if (rmid > 21 && rmid < 128) continue;
      for (let info = 0; info < 0x100; info += 0x10)
        expect(describeRecord(18, record(18, { rmid, info }))).toMatch(/\S+\/\S+/);
    }
  });
});
