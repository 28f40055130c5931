import fc from 'fast-check';
import { addItem } from './add-item.ts';
import { initPage } from './header.ts';
import { linePointer, lpLength, lpOffset, pageMaxOffset } from './line-pointer.ts';
import { allocatePage, type Page } from './page.ts';

/** Bytes of an item as text, easy to compare. */
export function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}

/** The items of a page by offset number, '' for one without storage. */
export function itemsOf(page: Page): string[] {
  return Array.from({ length: pageMaxOffset(page) }, (_, i) => {
    const pointer = linePointer(page, i + 1);
    return text(page.bytes.subarray(lpOffset(pointer), lpOffset(pointer) + lpLength(pointer)));
  });
}

/** Items and the offset numbers they go to; a page that has them, so that their order on it differs from that of their line pointers. */
export const filledPage = fc
  .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.nat()), { minLength: 1, maxLength: 40 })
  .map((items) => {
    const page = allocatePage();
    initPage(page, 16);
    for (const [bytes, place] of items) addItem(page, bytes, 0, bytes.length, 1 + (place % (pageMaxOffset(page) + 1)));
    return page;
  });
