import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CorruptionError } from '@zenith/base';
import { PAI_IS_HEAP, PAI_OVERWRITE, addItem } from './add-item.ts';
import {
  PD_HAS_FREE_LINES,
  addPageFlags,
  initPage,
  pageFlags,
  pageLower,
  pageSpecial,
  pageUpper,
  setPageLower,
} from './header.ts';
import { linePointer, lpOffset, setLinePointerUnused } from './line-pointer.ts';
import { BLCKSZ, MAX_HEAP_TUPLES_PER_PAGE, allocatePage, type Page } from './page.ts';
import { itemsOf, text } from './page.test-support.ts';

function emptyPage(special = 0): Page {
  const page = allocatePage();
  page.bytes.fill(0xaa);
  initPage(page, special);
  return page;
}

describe('a new page', () => {
  test('is empty, with its special space aligned', () => {
    const page = emptyPage(13);
    expect([pageLower(page), pageUpper(page), pageSpecial(page)]).toEqual([24, BLCKSZ - 16, BLCKSZ - 16]);
    expect(page.view.getUint16(18, true)).toBe(0x2004);
  });
});

describe('addItem', () => {
  test('keeps the items in the order of their offset numbers, each at a multiple of 8, until the page is full', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.uint8Array({ maxLength: 400 }), fc.nat()), { maxLength: 60 }), (items) => {
        const page = emptyPage(16);
        const model: string[] = [];
        let free = BLCKSZ - 16 - 24;
        for (const [bytes, place] of items) {
          const offsetNumber = 1 + (place % (model.length + 1));
          const needed = ((bytes.length + 7) & ~7) + 4;
          const fits = needed <= free;
          expect(addItem(page, bytes, 0, bytes.length, offsetNumber)).toBe(fits ? offsetNumber : 0);
          if (!fits) continue;
          free -= needed;
          model.splice(offsetNumber - 1, 0, text(bytes));
          expect(lpOffset(linePointer(page, offsetNumber)) % 8).toBe(0);
        }
        expect(itemsOf(page)).toEqual(model);
        expect(pageUpper(page) - pageLower(page)).toBe(free);
      }),
    );
  });

  test('takes the first unused line pointer only while the hint says there is one, and corrects the hint', () => {
    const page = emptyPage();
    const item = Uint8Array.of(1, 2, 3);
    for (let i = 0; i < 3; i++) addItem(page, item, 0, 3, 0, PAI_IS_HEAP);
    setLinePointerUnused(page, 2);
    expect(addItem(page, item, 0, 3, 0, PAI_IS_HEAP)).toBe(4);
    addPageFlags(page, PD_HAS_FREE_LINES);
    expect(addItem(page, item, 0, 3, 0, PAI_IS_HEAP)).toBe(2);
    expect(addItem(page, item, 0, 3, 0, PAI_IS_HEAP)).toBe(5);
    expect(pageFlags(page) & PD_HAS_FREE_LINES).toBe(0);
  });

  test('with PAI_OVERWRITE refuses a place that is taken and one past the end', () => {
    const page = emptyPage();
    const item = Uint8Array.of(1);
    expect(addItem(page, item, 0, 1, 1, PAI_OVERWRITE)).toBe(1);
    expect(addItem(page, item, 0, 1, 1, PAI_OVERWRITE)).toBe(0);
    expect(addItem(page, item, 0, 1, 3, PAI_OVERWRITE)).toBe(0);
    setLinePointerUnused(page, 1);
    expect(addItem(page, item, 0, 1, 1, PAI_OVERWRITE)).toBe(1);
  });

  test('holds no more than 291 items on a heap page', () => {
    const page = emptyPage();
    const item = Uint8Array.of(1);
    for (let i = 1; i <= MAX_HEAP_TUPLES_PER_PAGE; i++) expect(addItem(page, item, 0, 1, 0, PAI_IS_HEAP)).toBe(i);
    expect(addItem(page, item, 0, 1, 0, PAI_IS_HEAP)).toBe(0);
  });

  test('refuses a page whose pointers are corrupt', () => {
    const page = emptyPage();
    setPageLower(page, 20);
    expect(() => addItem(page, Uint8Array.of(1), 0, 1, 0)).toThrow(CorruptionError);
  });
});
