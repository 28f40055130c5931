import { CorruptionError } from '@zenith/base';
import { allocatePage, itemPointerBlock, itemPointerOffset } from '@zenith/pg-format';
import { describe, expect, it } from 'vitest';
import { BRIN_PAGETYPE_REGULAR, BRIN_PAGETYPE_REVMAP, initBrinPage } from './page.ts';
import { setRevmapEntry } from './revmap.ts';

function mapPage(): ReturnType<typeof allocatePage> {
  const page = allocatePage();
  initBrinPage(page, BRIN_PAGETYPE_REVMAP);
  return page;
}

describe('the map from heap ranges to BRIN tuples', () => {
  it('has 1360 entries a page, and the last heap block there can be has one', () => {
    for (const [heapBlock, pagesPerRange, index] of [
      [0, 128, 0],
      [127, 128, 0],
      [128, 128, 1],
      [1359, 1, 1359],
      [1360, 1, 0],
      [0xfffffffe, 1, 0xfffffffe % 1360],
      [0xfffffffe, 131072, Math.floor(0xfffffffe / 131072) % 1360],
    ] as const) {
      const page = mapPage();
      setRevmapEntry(page, pagesPerRange, heapBlock, 0x12345678, 9);
      const at = 24 + index * 6;
      expect(itemPointerBlock(page.view, at)).toBe(0x12345678);
      expect(itemPointerOffset(page.view, at)).toBe(9);
      page.bytes.fill(0, at, at + 6);
      expect(Buffer.compare(page.bytes, mapPage().bytes)).toBe(0);
    }
  });

  it('is not written to on a page of another type, nor for ranges of no pages', () => {
    const regular = allocatePage();
    initBrinPage(regular, BRIN_PAGETYPE_REGULAR);
    expect(() => setRevmapEntry(regular, 128, 0, 1, 1)).toThrow(/type 0xf093, expected 0xf092/);
    expect(() => setRevmapEntry(mapPage(), 0, 0, 1, 1)).toThrow(CorruptionError);
  });
});
