import {
  RM_GIST_ID,
  allocatePage,
  pageIndexMultiDelete,
  pageLsn,
  pageMaxOffset,
  type Page,
  type RecordSpec,
} from '@zenith/pg-format';
import { describe, expect, it } from 'vitest';
import { firstDifference, redoBlock } from '../index.ts';
import { END_LSN, block, pack, record, u16, u32, u8 } from '../record-builder.test-support.ts';
import { GIST_GALLERY } from './gallery.test-support.ts';
import { F_FOLLOW_RIGHT, F_HAS_GARBAGE, F_LEAF, changeGistFlags, gistFlags, gistOpaque, initGistPage } from './page.ts';

const nsn = (page: Page): string =>
  [0, 4].map((at) => page.view.getUint32(gistOpaque(page) + at, true).toString(16)).join('/');
const flags = (page: Page): number => gistFlags(page, gistOpaque(page));

function pageOf(bytes: Uint8Array): Page {
  const page = allocatePage();
  page.bytes.set(bytes);
  return page;
}

function item(name: string): { readonly spec: RecordSpec; readonly page: Page } {
  const found = GIST_GALLERY.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(name);
  return { spec: found.spec, page: pageOf(found.page) };
}

/** The left half of a split, whose sibling has no downlink yet. */
function leftHalf(): Page {
  const page = allocatePage();
  changeGistFlags(page, initGistPage(page, F_LEAF), F_FOLLOW_RIGHT, 0);
  return page;
}

describe('GiST', () => {
  it('gives the left half of a split the sequence number of the record with its downlink', () => {
    const { spec } = item('gist insert that completes a split, block 1');
    const page = leftHalf();
    redoBlock(18, record(18, spec), 1, page);
    expect(nsn(page)).toBe('1/23456788');
    expect(flags(page)).toBe(F_LEAF);
  });

  it('gives it to the page also when the record has an image of it, which is older', () => {
    const { spec } = item('gist insert that completes a split, block 1');
    const image = { bytes: leftHalf().bytes, apply: true, holeOffset: 0, holeLength: 0 };
    const [first, second] = spec.blocks ?? [];
    for (const index of [0, 1] as const) {
      const blocks = [first, second].map((part, i) => ({
        ...(part as NonNullable<typeof part>),
        ...(i === index ? { image } : {}),
      }));
      const page = allocatePage();
      redoBlock(18, record(18, { ...spec, blocks }), index, page);
      expect(pageLsn(page)).toBe(END_LSN);
      expect(flags(page)).toBe(index === 1 ? F_LEAF : F_LEAF | F_FOLLOW_RIGHT);
      expect(nsn(page)).toBe(index === 1 ? '1/23456788' : '0/0');
    }
  });

  it('links the pages of a split from left to right, all but the last to be followed', () => {
    const { spec } = item('gist split, block 1');
    const links = [1, 2, 3].map((index) => {
      const page = allocatePage();
      redoBlock(18, record(18, spec), index, page);
      expect(nsn(page)).toBe('1/1234');
      return [page.view.getUint32(gistOpaque(page) + 8, true), flags(page), pageMaxOffset(page)];
    });
    expect(links).toEqual([
      [8, F_LEAF | F_FOLLOW_RIGHT, 2],
      [9, F_LEAF | F_FOLLOW_RIGHT, 1],
      [44, F_LEAF, 2],
    ]);
  });

  it('makes the first page of a split of the root the inner root of the others', () => {
    const { spec } = item('gist split of the root, block 1');
    const pages = [1, 2, 3].map((index) => {
      const page = allocatePage();
      redoBlock(18, record(18, spec), index, page);
      return [page.view.getUint32(gistOpaque(page) + 8, true), flags(page)];
    });
    expect(pages).toEqual([
      [0xffffffff, 0],
      [9, F_LEAF],
      [44, F_LEAF],
    ]);
  });

  it('reads deletions as 15 and as 16 and later write them', () => {
    const { page } = item('gist vacuum, block 0');
    const expected = pageOf(page.bytes);
    const offsets = pack(u16(2), u16(3), u16(6));
    pageIndexMultiDelete(expected, new DataView(offsets.buffer), 0, 3);
    changeGistFlags(expected, gistOpaque(expected), 0, F_HAS_GARBAGE);
    for (const major of [15, 16, 17, 18] as const) {
      const mainData = major === 15 ? pack(u32(700), u16(3), offsets) : pack(u32(700), u16(3), u8(1), u8(0), offsets);
      const redone = pageOf(page.bytes);
      redoBlock(major, record(major, { rmid: RM_GIST_ID, info: 0x10, mainData, blocks: [block(0, 3)] }), 0, redone);
      redone.bytes.fill(0, 0, 8);
      expected.bytes.fill(0, 0, 8);
      expect(firstDifference(expected, redone)).toBeUndefined();
    }
  });

  it('does not delete a page with tuples', () => {
    const { spec, page } = item('gist page deletion, block 1');
    expect(() => redoBlock(18, record(18, spec), 0, page)).toThrow(/GIST\/PAGE_DELETE downlink 4.*has tuples/);
  });
});
