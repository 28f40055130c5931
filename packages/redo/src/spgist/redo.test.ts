import { RM_SPGIST_ID, allocatePage, linePointer, lpOffset, pageMaxOffset, type Page } from '@zenith/pg-format';
import { describe, expect, it } from 'vitest';
import { redoBlock } from '../index.ts';
import { block, pack, record, u16, u32, u8 } from '../record-builder.test-support.ts';
import { SPGIST_GALLERY } from './gallery.test-support.ts';
import { spgistOpaque } from './page.ts';
import { SPGIST_DEAD, SPGIST_LIVE, SPGIST_PLACEHOLDER, SPGIST_REDIRECT, tupleState } from './tuples.ts';

function redone(name: string, index: number): Page {
  const found = SPGIST_GALLERY.find((candidate) => candidate.name === `${name}, block ${index}`);
  if (found === undefined) throw new Error(name);
  const page = allocatePage();
  page.bytes.set(found.page);
  redoBlock(18, record(18, found.spec), index, page);
  return page;
}

const tupleAt = (page: Page, offsetNumber: number): number => lpOffset(linePointer(page, offsetNumber));
const states = (page: Page): number[] =>
  Array.from({ length: pageMaxOffset(page) }, (_, i) => tupleState(page.view, tupleAt(page, i + 1)));
/** Redirections and placeholders as the page counts them. */
const counts = (page: Page): number[] => [2, 4].map((at) => page.view.getUint16(spgistOpaque(page) + at, true));
/** Block, offset number and xid of a dead tuple. */
const target = (page: Page, offsetNumber: number): number[] => {
  const at = tupleAt(page, offsetNumber);
  return [page.view.getUint16(at + 8, true), page.view.getUint16(at + 10, true), page.view.getUint32(at + 12, true)];
};
const [L, R, D, P] = [SPGIST_LIVE, SPGIST_REDIRECT, SPGIST_DEAD, SPGIST_PLACEHOLDER];

describe('SP-GiST', () => {
  it('leaves a redirection in the first place that a moved chain had and placeholders in the others', () => {
    const page = redone('spgist move', 0);
    expect(states(page)).toEqual([L, R, L, P, L, P, D, R, P, P]);
    expect(target(page, 2)).toEqual([6, 4, 900]);
    expect(target(page, 4)).toEqual([0xffff, 0, 0]);
    expect(counts(page)).toEqual([2, 4]);
    expect(states(redone('spgist move', 1))).toEqual([L, L, L, L]);
  });

  it('leaves placeholders only while an index is built', () => {
    const page = redone('spgist move in a build', 0);
    expect(states(page)).toEqual([L, P, L, P, L, P, D, R, P, P]);
    expect(counts(page)).toEqual([1, 5]);
  });

  it('updates the downlink of the node that leads to the tuples', () => {
    const page = redone('spgist move', 2);
    const node = tupleAt(page, 1) + 16 + 16;
    expect([0, 2, 4].map((at) => page.view.getUint16(node + at, true))).toEqual([0, 6, 4]);
  });

  it('puts a tuple in the place of a placeholder and links it behind the head of its chain', () => {
    const page = redone('spgist leaf in a chain', 0);
    expect(states(page)).toEqual([L, L, L, L, L, L, D, R, L, P]);
    expect(page.view.getUint16(tupleAt(page, 1) + 4, true) & 0x3fff).toBe(9);
    expect(counts(page)).toEqual([1, 1]);
  });

  it('changes places of a dead head and the first live tuple of its chain', () => {
    const page = redone('spgist vacuum of a leaf', 0);
    expect(states(page)).toEqual([L, D, P, L, L, P, D, R, P, P]);
    expect(page.view.getUint32(tupleAt(page, 1) + 12, true)).toBe(3);
    expect(page.view.getUint16(tupleAt(page, 1) + 4, true) & 0x3fff).toBe(5);
  });

  it('reads vacuumed redirections as 15 and as 16 and later write them', () => {
    const source = SPGIST_GALLERY.find((candidate) => candidate.name === 'spgist vacuum of redirections, block 0');
    for (const major of [15, 16, 17, 18] as const) {
      const page = allocatePage();
      page.bytes.set(source?.page ?? []);
      const middle = major === 15 ? [] : [u8(1), u8(0)];
      const mainData = pack(u16(1), u16(0), u32(900), ...middle, u16(8));
      redoBlock(major, record(major, { rmid: RM_SPGIST_ID, info: 0x80, mainData, blocks: [block(0, 5)] }), 0, page);
      expect(states(page)).toEqual([L, L, L, L, L, L, D, P, P, P]);
      expect(target(page, 8)).toEqual([0xffff, 0, 900]);
      expect(counts(page)).toEqual([0, 3]);
    }
  });

  it('removes placeholders at the end of a page', () => {
    const page = redone('spgist vacuum of redirections', 0);
    expect(states(page)).toEqual([L, L, L, L, L, L, D]);
    expect(counts(page)).toEqual([0, 0]);
  });

  it('refuses to replace what is no placeholder, and a redirection that is none', () => {
    const page = allocatePage();
    page.bytes.set(
      SPGIST_GALLERY.find((candidate) => candidate.name === 'spgist leaf in a chain, block 0')?.page ?? [],
    );
    const redo = (info: number, mainData: Uint8Array): void =>
      redoBlock(18, record(18, { rmid: RM_SPGIST_ID, info, mainData, blocks: [block(0, 5)] }), 0, page);
    const tuple = pack(u32(16 << 2), new Uint8Array(12));
    expect(() => redo(0x10, pack(u16(0), u16(3), u16(0), u16(0), u16(0), tuple))).toThrow(
      /tuple 3 is not a placeholder/,
    );
    expect(() => redo(0x80, pack(u16(1), u16(0), u32(900), u16(0), u16(2)))).toThrow(/tuple 2 is not a redirection/);
  });
});
