import { RM_GIN_ID, allocatePage, pageLower, pagePruneXid, type Page, type RecordSpec } from '@zenith/pg-format';
import { describe, expect, it } from 'vitest';
import { redoBlock } from '../index.ts';
import { block, pack, record, u16, u32 } from '../record-builder.test-support.ts';
import { GIN_COMPRESSED, GIN_DATA, GIN_DELETED, GIN_LEAF, ginFlags, ginMaxOff, initGinPage } from './page.ts';

const OPAQUE = 8184;

function redo(page: Page, spec: RecordSpec, blockIndex: number): Page {
  redoBlock(18, record(18, spec), blockIndex, page);
  return page;
}

/** Children of an inner page, from its bytes. */
function children(page: Page): number[] {
  return Array.from({ length: ginMaxOff(page, OPAQUE) }, (_, i) => page.view.getUint16(32 + i * 10 + 2, true));
}

function innerPage(...items: readonly number[]): Page {
  const page = allocatePage();
  initGinPage(page, GIN_DATA);
  page.bytes.set(pack(...items.map((n) => pack(u16(0), u16(n), u16(0), u16(n * 100), u16(1)))), 32);
  page.view.setUint16(OPAQUE + 4, items.length, true);
  page.view.setUint16(12, 32 + items.length * 10, true);
  return page;
}

const insertItem = (offsetNumber: number): RecordSpec => ({
  rmid: RM_GIN_ID,
  info: 0x20,
  mainData: pack(u16(1), pack(u16(0), u16(3)), pack(u16(0), u16(77))),
  blocks: [block(0, 5, { data: pack(u16(offsetNumber), u16(0), u16(3), u16(0), u16(250), u16(1)) }), block(1, 3)],
});
const deletePage = (parentOffset: number): RecordSpec => ({
  rmid: RM_GIN_ID,
  info: 0x50,
  mainData: pack(u16(parentOffset), u16(0), u32(4), u32(777)),
  blocks: [block(0, 3), block(1, 5), block(2, 2)],
});

describe('redo of posting trees', () => {
  it('puts the left half before what was the whole page and is now the right half', () => {
    const page = redo(innerPage(2, 3, 4), insertItem(2), 0);
    expect(children(page)).toEqual([2, 3, 77, 4]);
    expect(pageLower(page)).toBe(72);
  });

  it('refuses a posting item next to none, and one too many for the page', () => {
    expect(() => redo(innerPage(2, 3, 4), insertItem(4), 0)).toThrow(/posting item 4 of 3/);
    expect(() => redo(innerPage(2, 3, 4), insertItem(0), 0)).toThrow(/posting item 0 of 3/);
    const most = Array.from({ length: 815 }, (_, i) => i + 1);
    expect(ginMaxOff(redo(innerPage(...most.slice(1)), insertItem(1), 0), OPAQUE)).toBe(815);
    expect(() => redo(innerPage(...most), insertItem(1), 0)).toThrow(/no room for a posting item after 815/);
  });

  it('marks a deleted page with the transaction after which it can be used again, and keeps all else', () => {
    const page = allocatePage();
    initGinPage(page, GIN_DATA | GIN_LEAF | GIN_COMPRESSED);
    page.view.setUint32(OPAQUE, 44, true);
    const before = page.bytes.slice();
    redo(page, deletePage(2), 0);
    expect(pagePruneXid(page)).toBe(777);
    expect(ginFlags(page, OPAQUE)).toBe(GIN_DATA | GIN_LEAF | GIN_COMPRESSED | GIN_DELETED);
    expect(Buffer.compare(page.bytes.subarray(24, OPAQUE + 6), before.subarray(24, OPAQUE + 6))).toBe(0);
  });

  it('takes a deleted page out of its parent and out of the chain', () => {
    expect(children(redo(innerPage(2, 3, 4), deletePage(2), 1))).toEqual([2, 4]);
    expect(children(redo(innerPage(2, 3, 4), deletePage(3), 1))).toEqual([2, 3]);
    expect(() => redo(innerPage(2, 3, 4), deletePage(4), 1)).toThrow(/posting item 4 of 3/);
    expect(redo(innerPage(2), deletePage(2), 2).view.getUint32(OPAQUE, true)).toBe(4);
  });
});
