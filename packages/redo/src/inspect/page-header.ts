import { CorruptionError, formatLsn } from '@zenith/base';
import {
  BLCKSZ,
  LP_DEAD,
  LP_NORMAL,
  LP_REDIRECT,
  PD_ALL_VISIBLE,
  PD_HAS_FREE_LINES,
  PD_PAGE_FULL,
  SIZE_OF_ITEM_ID,
  SIZE_OF_PAGE_HEADER,
  linePointer,
  lpFlags,
  lpLength,
  lpOffset,
  pageFlags,
  pageLower,
  pageLsn,
  pagePruneXid,
  pageSizeVersion,
  pageSpecial,
  pageUpper,
  storedPageChecksum,
  type Page,
} from '@zenith/pg-format';
import type { FieldMap, PagePart } from './decoded-page.ts';
import { flagsOf, hexOf, part } from './fields.ts';

const PD_FLAGS = {
  [PD_HAS_FREE_LINES]: 'HAS_FREE_LINES',
  [PD_PAGE_FULL]: 'PAGE_FULL',
  [PD_ALL_VISIBLE]: 'ALL_VISIBLE',
};
const LP_NAMES: Readonly<Record<number, string>> = {
  [LP_NORMAL]: 'normal',
  [LP_REDIRECT]: 'redirect',
  [LP_DEAD]: 'dead',
};

/** The page header. */
export function headerPart(page: Page): PagePart {
  return part('header', (fields) => {
    fields['lsn'] = formatLsn(pageLsn(page));
    fields['checksum'] = hexOf(storedPageChecksum(page), 4);
    fields['flags'] = flagsOf(pageFlags(page), 4, PD_FLAGS);
    fields['lower'] = pageLower(page);
    fields['upper'] = pageUpper(page);
    fields['special'] = pageSpecial(page);
    fields['size and version'] = hexOf(pageSizeVersion(page), 4);
    fields['prune xid'] = pagePruneXid(page);
  });
}

/** Adds the fields of an item's bytes, `[at, at + length)` of the page. */
export type ItemReader = (fields: FieldMap, at: number, length: number, offsetNumber: number) => void;

/** Every line pointer with what it points to. Of a page whose pd_lower is damaged, those that there is room for. */
export function itemParts(page: Page, readItem: ItemReader): PagePart[] {
  const lower = Math.min(pageLower(page), BLCKSZ);
  const count = Math.max(0, Math.floor((lower - SIZE_OF_PAGE_HEADER) / SIZE_OF_ITEM_ID));
  return Array.from({ length: count }, (_, i) => itemPart(page, i + 1, readItem));
}

function itemPart(page: Page, offsetNumber: number, readItem: ItemReader): PagePart {
  return part(`item ${offsetNumber}`, (fields) => {
    const pointer = linePointer(page, offsetNumber);
    const flags = lpFlags(pointer);
    fields['lp'] = LP_NAMES[flags] ?? 'unused';
    if (flags === LP_REDIRECT) {
      fields['to'] = lpOffset(pointer);
      return;
    }
    const at = lpOffset(pointer);
    const length = lpLength(pointer);
    if (length === 0) return;
    fields['at'] = at;
    fields['length'] = length;
    if (at + length > BLCKSZ) throw new CorruptionError('it leaves the page');
    readItem(fields, at, length, offsetNumber);
  });
}

/** True for a page of which no byte is set. */
export function isAllZeroes(page: Page): boolean {
  return page.bytes.every((byte) => byte === 0);
}
