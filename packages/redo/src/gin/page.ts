import { CorruptionError } from '@zenith/base';
import { BLCKSZ, INVALID_BLOCK_NUMBER, checkPagePointers, initPage, pageSpecial, type Page } from '@zenith/pg-format';

// GinPageOpaqueData, the special space: rightlink u32 @0, maxoff u16 @4, flags u16 @6.  PG 15-18: ginblock.h
const RIGHTLINK = 0;
const MAXOFF = 4;
const FLAGS = 6;
const SIZE_OF_OPAQUE = 8;

/** Page flag: of a posting tree. PG: ginblock.h. */
export const GIN_DATA = 0x0001;
/** Page flag: a leaf of the entry tree or of a posting tree. PG: ginblock.h. */
export const GIN_LEAF = 0x0002;
/** Page flag: deleted. PG: ginblock.h. */
export const GIN_DELETED = 0x0004;
/** Page flag: the meta page. PG: ginblock.h. */
export const GIN_META = 0x0008;
/** Page flag: of the pending list. PG: ginblock.h. */
export const GIN_LIST = 0x0010;
/** Page flag of a pending list page: it ends with a whole heap row. PG: ginblock.h. */
export const GIN_LIST_FULLROW = 0x0020;
/** Page flag: the page was split, its right sibling has no downlink yet. PG: ginblock.h. */
export const GIN_INCOMPLETE_SPLIT = 0x0040;
/** Page flag of a posting tree's leaf: its posting lists are compressed. PG: ginblock.h. */
export const GIN_COMPRESSED = 0x0080;

/** Makes `page` an empty one with these flags and no right sibling, and gives where its opaque data begin. PG: GinInitPage(), ginutil.c. */
export function initGinPage(page: Page, flags: number): number {
  initPage(page, SIZE_OF_OPAQUE);
  const opaque = pageSpecial(page);
  setGinRightLink(page, opaque, INVALID_BLOCK_NUMBER);
  setGinFlags(page, opaque, flags);
  return opaque;
}

/** Where the opaque data of a page that is read begin. @throws CorruptionError for a page that cannot be of a GIN index */
function existingGinOpaque(page: Page): number {
  checkPagePointers(page);
  const special = pageSpecial(page);
  if (special !== BLCKSZ - SIZE_OF_OPAQUE)
    throw new CorruptionError(`a GIN page with ${BLCKSZ - special} bytes of special space`);
  return special;
}

/**
 * {@link existingGinOpaque} of a page whose flags among `mask` are exactly `flags`.
 * @throws CorruptionError when they are not: the record is for another kind of page
 */
export function existingGinPage(page: Page, mask: number, flags: number): number {
  const opaque = existingGinOpaque(page);
  const actual = ginFlags(page, opaque);
  if ((actual & mask) !== flags)
    throw new CorruptionError(
      `a GIN page with flags 0x${actual.toString(16)}, of 0x${mask.toString(16)} expected 0x${flags.toString(16)}`,
    );
  return opaque;
}

/** The page's flags. `opaque` is where its opaque data begin, here and below. */
export function ginFlags(page: Page, opaque: number): number {
  return page.view.getUint16(opaque + FLAGS, true);
}

/** Sets the page's flags, all sixteen bits. */
export function setGinFlags(page: Page, opaque: number, flags: number): void {
  page.view.setUint16(opaque + FLAGS, flags, true);
}

/** Sets the block number of the right sibling. */
export function setGinRightLink(page: Page, opaque: number, block: number): void {
  page.view.setUint32(opaque + RIGHTLINK, block, true);
}

/** maxoff: posting items of an inner page of a posting tree; heap rows of a pending list page. */
export function ginMaxOff(page: Page, opaque: number): number {
  return page.view.getUint16(opaque + MAXOFF, true);
}

/** Sets maxoff. */
export function setGinMaxOff(page: Page, opaque: number, count: number): void {
  page.view.setUint16(opaque + MAXOFF, count, true);
}

/** The right sibling has its downlink now. PG: ginRedoClearIncompleteSplit(), ginxlog.c. @throws CorruptionError */
export function clearGinIncompleteSplit(page: Page): void {
  const opaque = existingGinOpaque(page);
  setGinFlags(page, opaque, ginFlags(page, opaque) & ~GIN_INCOMPLETE_SPLIT);
}
