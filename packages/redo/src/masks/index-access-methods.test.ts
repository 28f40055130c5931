import {
  RM_BRIN_ID,
  RM_GIN_ID,
  RM_GIST_ID,
  RM_HASH_ID,
  RM_SPGIST_ID,
  allocatePage,
  initPage,
  packLinePointer,
  setLinePointer,
  setPageLower,
  setPageUpper,
  type Page,
} from '@zenith/pg-format';
import { describe, expect, it } from 'vitest';
import { firstDifference, maskPage } from '../index.ts';

const LP_DEAD = 3;

/** A page with one item, garbage in its hole and the given last 16 bytes. */
function page(specialSize: number, special: readonly number[]): Page {
  const made = allocatePage();
  initPage(made, specialSize);
  made.bytes.set(special, 8192 - specialSize);
  setLinePointer(made, 1, packLinePointer(8000, 1, 16));
  setPageLower(made, 28);
  setPageUpper(made, 8000);
  made.bytes.fill(0x77, 28, 60);
  return made;
}

/** Where two pages that differ by `change` differ once masked. */
function difference(rmid: number, make: () => Page, change: (changed: Page) => void): number | undefined {
  const one = make();
  const other = make();
  change(other);
  for (const masked of [one, other]) expect(maskPage(18, rmid, masked, 3)).toBe(true);
  return firstDifference(one, other)?.offset;
}

const kill = (changed: Page): void => setLinePointer(changed, 1, packLinePointer(8000, LP_DEAD, 16));
const fillHole = (changed: Page): void => {
  changed.bytes.fill(0x99, 30, 60);
};
const data = (changed: Page): void => changed.view.setUint8(8005, 1);

describe('masks of index access methods', () => {
  it('overlook the hole and find changed data', () => {
    const pages: [number, () => Page][] = [
      [RM_GIN_ID, () => page(8, [0, 0, 0, 0, 0, 0, 2, 0])],
      [RM_GIST_ID, () => page(16, [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0, 1, 0, 0x81, 0xff])],
      [RM_HASH_ID, () => page(16, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0x80, 0xff])],
      [RM_SPGIST_ID, () => page(8, [4, 0, 0, 0, 0, 0, 0x82, 0xff])],
      [RM_BRIN_ID, () => page(8, [0, 0, 0, 0, 0, 0, 0x93, 0xf0])],
    ];
    for (const [rmid, make] of pages) {
      expect(difference(rmid, make, fillHole)).toBeUndefined();
      expect(difference(rmid, make, data)).toBe(8005);
    }
  });

  it('overlook killed items where scans kill them without WAL', () => {
    expect(
      difference(RM_GIST_ID, () => page(16, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x81, 0xff]), kill),
    ).toBeUndefined();
    expect(
      difference(RM_GIST_ID, () => page(16, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x81, 0xff]), kill),
    ).toBeDefined();
    expect(
      difference(RM_HASH_ID, () => page(16, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x80, 0xff]), kill),
    ).toBeUndefined();
    expect(difference(RM_SPGIST_ID, () => page(8, [4, 0, 0, 0, 0, 0, 0x82, 0xff]), kill)).toBeDefined();
  });

  it("overlook GiST's sequence number and flags that redo does not know", () => {
    const leaf = (): Page => page(16, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x81, 0xff]);
    expect(difference(RM_GIST_ID, leaf, (changed) => changed.view.setUint32(8176, 55, true))).toBeUndefined();
    expect(difference(RM_GIST_ID, leaf, (changed) => changed.view.setUint16(8188, 0x19, true))).toBeUndefined();
    expect(difference(RM_GIST_ID, leaf, (changed) => changed.view.setUint32(8184, 55, true))).toBe(8184);
  });

  it('leave nothing of deleted and unused pages', () => {
    expect(difference(RM_GIN_ID, () => page(8, [0, 0, 0, 0, 0, 0, 4, 0]), data)).toBeUndefined();
    expect(
      difference(RM_HASH_ID, () => page(16, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0xff]), data),
    ).toBeUndefined();
  });

  it('keep the hole of a BRIN revmap page, which holds the map', () => {
    const revmap = (): Page => page(8, [0, 0, 0, 0, 0, 0, 0x92, 0xf0]);
    expect(difference(RM_BRIN_ID, revmap, fillHole)).toBe(30);
    expect(difference(RM_BRIN_ID, revmap, (changed) => changed.view.setUint16(8188, 1, true))).toBeUndefined();
  });
});
