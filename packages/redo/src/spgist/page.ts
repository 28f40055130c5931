import { CorruptionError } from '@zenith/base';
import { initPage, pageSpecial, type Page } from '@zenith/pg-format';
import { specialSpace } from '../index-page/special-space.ts';

// SpGistPageOpaqueData, 8 bytes of special space: flags u16 @0, nRedirection u16 @2, nPlaceholder u16 @4, spgist_page_id u16 @6.
// PG 15-18: spgist_private.h
const FLAGS = 0;
const REDIRECTIONS = 2;
const PLACEHOLDERS = 4;
const PAGE_ID = 6;
const SIZE_OF_SPGIST_PAGE_OPAQUE = 8;
const SPGIST_PAGE_ID = 0xff82;

/** Flag bit: a page of leaf tuples. PG: spgist_private.h. */
const SPGIST_LEAF = 1 << 2;
/** Flag bit: a page of the tree of nulls. PG: spgist_private.h. */
export const SPGIST_NULLS = 1 << 3;

/** Where the opaque data of a page that is read begin. @throws CorruptionError for a page that cannot be of an SP-GiST index */
export function spgistOpaque(page: Page): number {
  return specialSpace(page, SIZE_OF_SPGIST_PAGE_OPAQUE, SPGIST_PAGE_ID, 'an SP-GiST index');
}

/** Makes `page` an empty one with these flags. PG: SpGistInitPage(). */
export function initSpgistPage(page: Page, flags: number): void {
  initPage(page, SIZE_OF_SPGIST_PAGE_OPAQUE);
  const opaque = pageSpecial(page);
  page.view.setUint16(opaque + FLAGS, flags, true);
  page.view.setUint16(opaque + PAGE_ID, SPGIST_PAGE_ID, true);
}

/** The flags of a page for leaf tuples. */
export function leafPageFlags(storesNulls: boolean): number {
  return storesNulls ? SPGIST_LEAF | SPGIST_NULLS : SPGIST_LEAF;
}

/** Counts redirections that come (or go, when negative). `opaque` is what {@link spgistOpaque} gives. @throws CorruptionError below zero */
export function countRedirections(page: Page, opaque: number, change: number): void {
  addTo(page, opaque + REDIRECTIONS, change);
}

/** Counts placeholders that come (or go, when negative). @throws CorruptionError below zero */
export function countPlaceholders(page: Page, opaque: number, change: number): void {
  addTo(page, opaque + PLACEHOLDERS, change);
}

function addTo(page: Page, at: number, change: number): void {
  const count = page.view.getUint16(at, true) + change;
  if (count < 0)
    throw new CorruptionError(`${count - change} redirections or placeholders on the page, ${-change} of them to go`);
  page.view.setUint16(at, count, true);
}
