import {
  BTP_INCOMPLETE_SPLIT,
  SIZE_OF_BT_PAGE_OPAQUE,
  btreeFlags,
  btreeOpaque,
  checkPagePointers,
  initPage,
  pageSpecial,
  setBtreeCycleId,
  setBtreeFlags,
  setBtreeLevel,
  setBtreeNext,
  setBtreePrev,
  type Page,
} from '@zenith/pg-format';

/** Where the opaque data of a page that is read begin. @throws CorruptionError for a page that cannot be of a btree */
export function existingOpaque(page: Page): number {
  checkPagePointers(page);
  return btreeOpaque(page);
}

/** Makes `page` an empty btree page with these opaque data; the vacuum cycle id is 0. PG: _bt_pageinit(). */
export function initBtreePage(page: Page, prev: number, next: number, level: number, flags: number): void {
  initPage(page, SIZE_OF_BT_PAGE_OPAQUE);
  const opaque = pageSpecial(page);
  setBtreePrev(page, opaque, prev);
  setBtreeNext(page, opaque, next);
  setBtreeLevel(page, opaque, level);
  setBtreeFlags(page, opaque, flags);
  setBtreeCycleId(page, opaque, 0);
}

/** Clears bits of btpo_flags. */
export function clearBtreeFlags(page: Page, opaque: number, bits: number): void {
  setBtreeFlags(page, opaque, btreeFlags(page, opaque) & ~bits);
}

/** The right sibling has its downlink now. PG: _bt_clear_incomplete_split(). @throws CorruptionError */
export function clearIncompleteSplit(page: Page): void {
  clearBtreeFlags(page, existingOpaque(page), BTP_INCOMPLETE_SPLIT);
}
