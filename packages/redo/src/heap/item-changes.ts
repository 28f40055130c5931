import { CorruptionError } from '@zenith/base';
import { pageMaxOffset, setLinePointerRedirect, type Page } from '@zenith/pg-format';

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

/** Calls `change` for `count` line pointers, u16 each at `at` of `view`, which the caller has bounded. Gives the offset behind them. */
export function changeItems(
  view: DataView,
  at: number,
  count: number,
  page: Page,
  change: (page: Page, offsetNumber: number) => void,
): number {
  const end = at + count * 2;
  for (let item = at; item < end; item += 2) change(page, existing(page, view.getUint16(item, true)));
  return end;
}

function existing(page: Page, offsetNumber: number): number {
  if (offsetNumber === 0 || offsetNumber > pageMaxOffset(page))
    throw new CorruptionError(`offset number ${offsetNumber} of ${pageMaxOffset(page)}`);
  return offsetNumber;
}
