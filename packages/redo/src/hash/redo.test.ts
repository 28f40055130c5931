import {
  RM_HASH_ID,
  allocatePage,
  pageLsn,
  setPageLsn,
  type Page,
  type PgMajor,
  type RecordSpec,
} from '@zenith/pg-format';
import { lsn } from '@zenith/base';
import { describe, expect, it } from 'vitest';
import { redoBlock } from '../index.ts';
import { END_LSN, block, pack, record, u16, u32, u8 } from '../record-builder.test-support.ts';
import { HASH_GALLERY } from './gallery.test-support.ts';
import { LH_BUCKET_PAGE, hashOpaque, initHashPage } from './page.ts';
import { bucketsUpTo, splitpointOf } from './splitpoint.ts';

function itemPage(name: string): Page {
  const found = HASH_GALLERY.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(name);
  const page = allocatePage();
  page.bytes.set(found.page);
  return page;
}

function redo(major: PgMajor, spec: Omit<RecordSpec, 'rmid'>, index: number, page: Page): Page {
  redoBlock(major, record(major, { rmid: RM_HASH_ID, ...spec }), index, page);
  return page;
}

/** maxbucket, highmask, lowmask, ovflpoint of a meta page. */
const buckets = (page: Page): number[] => [24, 28, 32, 36].map((at) => page.view.getUint32(24 + at, true));

describe('hash', () => {
  it('begins an index with the buckets that its tuples need, rounded up to a splitpoint', () => {
    const meta = (count: number): number[] => {
      const mainData = pack(new Uint8Array(new Float64Array([count]).buffer), u32(450), u16(100));
      return buckets(redo(18, { info: 0x00, mainData, blocks: [block(0, 0, { willInit: true })] }, 0, allocatePage()));
    };
    expect(meta(0)).toEqual([1, 3, 1, 1]);
    expect(meta(200)).toEqual([1, 3, 1, 1]);
    expect(meta(201)).toEqual([1, 3, 1, 1]);
    expect(meta(300)).toEqual([3, 7, 3, 2]);
    expect(meta(51_200)).toEqual([511, 1023, 511, 9]);
    // From 512 on buckets double in four phases.
    expect(meta(51_300)).toEqual([639, 1023, 511, 10]);
    expect(meta(102_400)).toEqual([1023, 2047, 1023, 13]);
    expect(meta(1e300)).toEqual([0x3fffffff, 0x7fffffff, 0x3fffffff, 93]);
  });

  it('finds for every number of buckets the first splitpoint with as many', () => {
    for (let count = 1; count <= 5000; count++) {
      const splitpoint = splitpointOf(count);
      expect(bucketsUpTo(splitpoint)).toBeGreaterThanOrEqual(count);
      if (splitpoint > 0) expect(bucketsUpTo(splitpoint - 1)).toBeLessThan(count);
    }
  });

  it('leaves pages that are only locked alone, their LSN too', () => {
    const page = allocatePage();
    initHashPage(page, 3, 1, LH_BUCKET_PAGE);
    setPageLsn(page, lsn(55));
    const before = page.bytes.slice();
    const blocks = [block(0, 1), block(1, 2, { data: pack(u16(1)) }), block(2, 3)];
    redo(18, { info: 0x70, mainData: pack(u16(0), u8(0)), blocks }, 0, page);
    redo(18, { info: 0x90, mainData: pack(u8(1), u8(0)), blocks }, 0, page);
    redo(18, { info: 0x80, mainData: pack(u32(1), u32(2), u16(0), u8(0), u8(0)), blocks }, 0, page);
    expect(Buffer.compare(page.bytes, before)).toBe(0);
  });

  it('gives a page that a squeeze moves nothing to a new LSN as 15 and 16 do, and none as 17 and 18', () => {
    const lsns = ([15, 16, 17, 18] as const).map((major) => {
      const page = itemPage('hash squeeze, block 1');
      setPageLsn(page, lsn(55));
      const mainData = pack(u32(1), u32(2), u16(0), u8(1), u8(0));
      return pageLsn(redo(major, { info: 0x80, mainData, blocks: [block(1, 2), block(2, 9)] }, 1, page));
    });
    expect(lsns).toEqual([END_LSN, END_LSN, lsn(55), lsn(55)]);
  });

  it('sets the flags of split buckets also when the record has an image', () => {
    const image = { bytes: itemPage('hash split, block 0').bytes, apply: true, holeOffset: 0, holeLength: 0 };
    const flag = (page: Page): number => page.view.getUint16(hashOpaque(page) + 12, true);
    const complete = { info: 0x60, mainData: pack(u16(0x42), u16(0x02)) };
    expect(flag(redo(18, { ...complete, blocks: [block(0, 1, { image }), block(1, 5)] }, 0, allocatePage()))).toBe(
      0x42,
    );
    expect(flag(redo(18, { ...complete, blocks: [block(0, 1), block(1, 5, { image })] }, 1, allocatePage()))).toBe(
      0x02,
    );
    const allocate = { info: 0x40, mainData: pack(u32(4), u16(0x22), u16(0x12), u8(0)) };
    const old = redo(
      18,
      { ...allocate, blocks: [block(0, 1, { image }), block(1, 5), block(2, 0)] },
      0,
      allocatePage(),
    );
    expect(flag(old)).toBe(0x22);
    expect(old.view.getUint32(hashOpaque(old), true)).toBe(4);
  });

  it('refuses a split-page record without its image', () => {
    expect(() => redo(18, { info: 0x50, blocks: [block(0, 5)] }, 0, allocatePage())).toThrow(
      /HASH\/SPLIT_PAGE.*without the image/,
    );
  });

  it('refuses a page of another kind and a bit or bitmap that is not there', () => {
    const insert = { info: 0x20, mainData: pack(u16(1)), blocks: [block(0, 2), block(1, 0)] };
    expect(() => redo(18, insert, 1, itemPage('hash insert, block 0'))).toThrow(/not a meta page/);
    expect(() => redo(18, insert, 0, allocatePage())).toThrow(/corrupted page pointers/);
    const squeeze = { info: 0x80, mainData: pack(u32(1), u32(2), u16(0), u8(0), u8(0)) };
    const bit = (n: number): RecordSpec['blocks'] => [block(5, 3, { data: pack(u32(n)) })];
    redo(18, { ...squeeze, blocks: bit(32_767) ?? [] }, 5, itemPage('hash squeeze, block 5'));
    expect(() => redo(18, { ...squeeze, blocks: bit(32_768) ?? [] }, 5, itemPage('hash squeeze, block 5'))).toThrow(
      /bit 32768 of a bitmap of 4096 bytes/,
    );
  });
});
