import { CorruptionError } from '@zenith/base';
import { pageMaxOffset, setLinePointer, setLinePointerRedirect, type Page } from '@zenith/pg-format';

/** Redirects `count` line pointers: pairs of u16, from and to, at `at` of `view`, which the caller has bounded. Gives the offset behind them. */
export function redirectItems(view: DataView, at: number, count: number, page: Page): number {
  const end = at + count * 4;
  for (let pair = at; pair < end; pair += 4) {
    setLinePointerRedirect(
      page,
      existing(page, view.getUint16(pair, true)),
      existing(page, view.getUint16(pair + 2, true)),
    );
  }
  return end;
}

/**
 * Makes `count` line pointers `pointer`: their offset numbers are u16 each at `at` of `view`, which the caller has bounded. Gives the offset behind them.
 * @throws CorruptionError when one of them is not on the page
 */
export function changeItems(view: DataView, at: number, count: number, page: Page, pointer: number): number {
  const end = at + count * 2;
  const last = pageMaxOffset(page);
  for (let item = at; item < end; item += 2) {
    const offsetNumber = view.getUint16(item, true);
    if (offsetNumber === 0 || offsetNumber > last) throw notOnPage(offsetNumber, last);
    setLinePointer(page, offsetNumber, pointer);
  }
  return end;
}

function existing(page: Page, offsetNumber: number): number {
  const last = pageMaxOffset(page);
  if (offsetNumber === 0 || offsetNumber > last) throw notOnPage(offsetNumber, last);
  return offsetNumber;
}

function notOnPage(offsetNumber: number, last: number): CorruptionError {
  return new CorruptionError(`offset number ${offsetNumber} of ${last}`);
}
