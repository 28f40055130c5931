import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CorruptionError } from '@zenith/base';
import { addItem } from './add-item.ts';
import {
  pageIndexMultiDelete,
  pageIndexTupleDelete,
  pageIndexTupleDeleteNoCompact,
  pageIndexTupleOverwrite,
  pageIndexTupleReplace,
  pageRepairFragmentation,
  pageTruncateLinePointerArray,
} from './compactify.ts';
import { PD_HAS_FREE_LINES, initPage, pageFlags, pageLower, pageSpecial, pageUpper } from './header.ts';
import {
  DEAD_LINE_POINTER,
  LP_UNUSED,
  UNUSED_LINE_POINTER,
  linePointer,
  lpFlags,
  lpLength,
  lpOffset,
  packLinePointer,
  pageMaxOffset,
  setLinePointer,
  setLinePointerRedirect,
  setLinePointerUnused,
} from './line-pointer.ts';
import { allocatePage, type Page } from './page.ts';
import { filledPage, itemsOf, text } from './page.test-support.ts';

/** Space the tuples of a page take: what lies between pd_upper and the special space when there are no gaps. */
function tupleSpace(page: Page): number {
  return itemsOf(page).reduce((sum, item) => sum + ((item.length + 7) & ~7), 0);
}

function expectNoGaps(page: Page): void {
  expect(pageSpecial(page) - pageUpper(page)).toBe(tupleSpace(page));
}

/** Line pointers with storage lie on the page in descending order of offset numbers from the back. */
function expectCompactedOrder(page: Page): void {
  let before = pageSpecial(page);
  for (let offsetNumber = 1; offsetNumber <= pageMaxOffset(page); offsetNumber++) {
    const pointer = linePointer(page, offsetNumber);
    if (lpLength(pointer) === 0) continue;
    expect(lpOffset(pointer)).toBe(before - ((lpLength(pointer) + 7) & ~7));
    before = lpOffset(pointer);
  }
}

const bits = fc.array(fc.nat(3), { minLength: 40, maxLength: 40 });

/** The offset numbers whose bit is set, as a record would list them. */
function chosen(page: Page, choice: readonly number[]): { view: DataView; list: number[] } {
  const list = Array.from({ length: pageMaxOffset(page) }, (_, i) => i + 1).filter(
    (offsetNumber) => (choice[offsetNumber - 1] as number) > 1,
  );
  const view = new DataView(new ArrayBuffer(6 + 2 * list.length));
  list.forEach((offsetNumber, i) => view.setUint16(6 + 2 * i, offsetNumber, true));
  return { view, list };
}

describe('pageRepairFragmentation', () => {
  test('keeps every tuple at its offset number, packs them in that order and drops trailing unused line pointers', () => {
    fc.assert(
      fc.property(filledPage, bits, (page, choice) => {
        const model = itemsOf(page);
        model.forEach((_, i) => {
          const kind = choice[i];
          if (kind === 0) return;
          if (kind === 1) setLinePointerUnused(page, i + 1);
          else if (kind === 2) setLinePointer(page, i + 1, DEAD_LINE_POINTER);
          else setLinePointerRedirect(page, i + 1, 1);
          model[i] = '';
        });
        const used = model.map((_, i) => choice[i] !== 1);
        const kept = used.lastIndexOf(true) + 1;
        pageRepairFragmentation(page);
        expect(itemsOf(page).map((item, i) => (choice[i] === 3 ? '' : item))).toEqual(model.slice(0, kept));
        expect((pageFlags(page) & PD_HAS_FREE_LINES) !== 0).toBe(used.slice(0, kept).includes(false));
        expectCompactedOrder(page);
      }),
      { numRuns: 300 },
    );
  });

  test('clears what an unused line pointer still holds, and finds it free', () => {
    const page = allocatePage();
    initPage(page);
    for (let i = 0; i < 4; i++) addItem(page, new Uint8Array(16).fill(i + 1), 0, 16, 0);
    setLinePointer(page, 2, packLinePointer(4000, LP_UNUSED, 16));
    pageRepairFragmentation(page);
    expect(linePointer(page, 2)).toBe(0);
    expect(pageUpper(page)).toBe(8192 - 3 * 16);
    expect(addItem(page, new Uint8Array(8), 0, 8, 0)).toBe(2);
  });

  test('refuses a tuple outside of the tuple area and leaves the page as it was', () => {
    fc.assert(
      fc.property(filledPage, fc.nat(), fc.constantFrom(0, 16, 8184, 8192, 4001), (page, place, offset) => {
        const offsetNumber = 1 + (place % pageMaxOffset(page));
        setLinePointer(page, offsetNumber, packLinePointer(offset, 1, 100));
        const before = text(page.bytes);
        expect(() => pageRepairFragmentation(page)).toThrow(CorruptionError);
        expect(text(page.bytes)).toBe(before);
      }),
    );
  });
});

describe('pageTruncateLinePointerArray', () => {
  test('drops trailing unused line pointers but leaves one', () => {
    fc.assert(
      fc.property(filledPage, fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }), (page, unused) => {
        const count = pageMaxOffset(page);
        for (let i = 0; i < count; i++) if (unused[i] === true) setLinePointerUnused(page, i + 1);
        const used = Array.from({ length: count }, (_, i) => unused[i] !== true);
        pageTruncateLinePointerArray(page);
        const kept = Math.max(1, used.lastIndexOf(true) + 1);
        expect(pageMaxOffset(page)).toBe(kept);
        expect((pageFlags(page) & PD_HAS_FREE_LINES) !== 0).toBe(used.slice(0, kept).includes(false));
      }),
    );
  });
});

describe('index pages', () => {
  test('lose several tuples at once, with their line pointers', () => {
    fc.assert(
      fc.property(filledPage, bits, (page, choice) => {
        const { view, list } = chosen(page, choice);
        const model = itemsOf(page).filter((_, i) => !list.includes(i + 1));
        pageIndexMultiDelete(page, view, 6, list.length);
        expect(itemsOf(page)).toEqual(model);
        expect(pageLower(page)).toBe(24 + 4 * model.length);
        expectNoGaps(page);
        if (list.length > 2) expectCompactedOrder(page);
      }),
      { numRuns: 300 },
    );
  });

  test('lose one tuple', () => {
    fc.assert(
      fc.property(filledPage, fc.nat(), (page, place) => {
        const offsetNumber = 1 + (place % pageMaxOffset(page));
        const model = itemsOf(page).toSpliced(offsetNumber - 1, 1);
        pageIndexTupleDelete(page, offsetNumber);
        expect(itemsOf(page)).toEqual(model);
        expectNoGaps(page);
      }),
    );
  });

  test('leave line pointers without storage alone when tuples move', () => {
    const page = allocatePage();
    initPage(page);
    for (let i = 0; i < 5; i++) addItem(page, new Uint8Array(16).fill(i + 1), 0, 16, 0);
    setLinePointer(page, 3, DEAD_LINE_POINTER);
    pageIndexTupleDeleteNoCompact(page, 2);
    pageIndexTupleDeleteNoCompact(page, 4);
    expect(pageIndexTupleOverwrite(page, 1, new Uint8Array(8).fill(9), 0, 8)).toBe(true);
    expect([2, 3, 4].map((offsetNumber) => linePointer(page, offsetNumber))).toEqual([
      UNUSED_LINE_POINTER,
      DEAD_LINE_POINTER,
      UNUSED_LINE_POINTER,
    ]);
    expect(itemsOf(page)[4]).toBe(text(new Uint8Array(16).fill(5)));
  });

  test('lose one tuple and keep its offset number', () => {
    fc.assert(
      fc.property(filledPage, fc.nat(), (page, place) => {
        const offsetNumber = 1 + (place % pageMaxOffset(page));
        const model = itemsOf(page);
        if (offsetNumber === model.length) model.pop();
        else model[offsetNumber - 1] = '';
        pageIndexTupleDeleteNoCompact(page, offsetNumber);
        expect(itemsOf(page)).toEqual(model);
        if (offsetNumber <= pageMaxOffset(page)) expect(lpFlags(linePointer(page, offsetNumber))).toBe(LP_UNUSED);
        expectNoGaps(page);
      }),
    );
  });

  test('replace a tuple in its place by a shorter or longer one, if there is room', () => {
    fc.assert(
      fc.property(filledPage, fc.nat(), fc.uint8Array({ maxLength: 6000 }), (page, place, bytes) => {
        const offsetNumber = 1 + (place % pageMaxOffset(page));
        const model = itemsOf(page);
        const old = ((model[offsetNumber - 1] as string).length + 7) & ~7;
        const fits = ((bytes.length + 7) & ~7) <= old + pageUpper(page) - pageLower(page);
        expect(pageIndexTupleOverwrite(page, offsetNumber, bytes, 0, bytes.length)).toBe(fits);
        if (fits) model[offsetNumber - 1] = text(bytes);
        expect(itemsOf(page)).toEqual(model);
        expectNoGaps(page);
      }),
    );
  });

  test('replace a tuple as by removing it and adding the new one, byte for byte, if there is room', () => {
    fc.assert(
      fc.property(filledPage, fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 6000 }), (page, place, bytes) => {
        const offsetNumber = 1 + (place % pageMaxOffset(page));
        const model = allocatePage();
        model.bytes.set(page.bytes);
        pageIndexTupleDelete(model, offsetNumber);
        const fits = addItem(model, bytes, 0, bytes.length, offsetNumber) === offsetNumber;
        const before = text(page.bytes);
        expect(pageIndexTupleReplace(page, offsetNumber, bytes, 0, bytes.length)).toBe(fits);
        expect(text(page.bytes) === (fits ? text(model.bytes) : before)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test('refuse offset numbers that are not there or not in order', () => {
    fc.assert(
      fc.property(
        filledPage,
        fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 3, maxLength: 6 }),
        (page, list) => {
          fc.pre(
            list.some(
              (offsetNumber, i) =>
                offsetNumber < 1 ||
                offsetNumber > pageMaxOffset(page) ||
                (i > 0 && offsetNumber <= (list[i - 1] as number)),
            ),
          );
          const view = new DataView(new ArrayBuffer(2 * list.length));
          list.forEach((offsetNumber, i) => view.setUint16(2 * i, offsetNumber, true));
          const before = text(page.bytes);
          expect(() => pageIndexMultiDelete(page, view, 0, list.length)).toThrow(CorruptionError);
          expect(text(page.bytes)).toBe(before);
        },
      ),
    );
  });
});
