import { CorruptionError } from '@zenith/base';
import { BLCKSZ, type Page } from '../page/page.ts';
import { pageSpecial } from '../page/header.ts';

// BTPageOpaqueData, 16 bytes of special space: btpo_prev u32 @0, btpo_next u32 @4, btpo_level u32 @8, btpo_flags u16 @12, btpo_cycleid u16 @14.
// PG 15-18: nbtree.h
const BTPO_PREV = 0;
const BTPO_NEXT = 4;
const BTPO_LEVEL = 8;
const BTPO_FLAGS = 12;
const BTPO_CYCLEID = 14;

/** Size of a btree page's special space. Unit: bytes. PG: sizeof(BTPageOpaqueData). */
export const SIZE_OF_BT_PAGE_OPAQUE = 16;

/** btpo_flags bit. PG: nbtree.h. */
export const BTP_LEAF = 1 << 0;
/** btpo_flags bit. PG: nbtree.h. */
export const BTP_ROOT = 1 << 1;
/** btpo_flags bit: removed from the tree. PG: nbtree.h. */
export const BTP_DELETED = 1 << 2;
/** btpo_flags bit. PG: nbtree.h. */
export const BTP_META = 1 << 3;
/** btpo_flags bit: empty but still in the tree. PG: nbtree.h. */
export const BTP_HALF_DEAD = 1 << 4;
/** btpo_flags bit: rightmost page of a split group. PG: nbtree.h. */
export const BTP_SPLIT_END = 1 << 5;
/** btpo_flags bit: some tuples are LP_DEAD (a hint). PG: nbtree.h. */
export const BTP_HAS_GARBAGE = 1 << 6;
/** btpo_flags bit: the right sibling's downlink is missing. PG: nbtree.h. */
export const BTP_INCOMPLETE_SPLIT = 1 << 7;
/** btpo_flags bit: a deleted page holds BTDeletedPageData. PG: nbtree.h. */
export const BTP_HAS_FULLXID = 1 << 8;

/** The sibling that is none. PG: nbtree.h. */
export const P_NONE = 0;
/** Offset number of the high key on a page that has a right sibling. PG: nbtree.h. */
export const P_HIKEY = 1;
/** Offset number of the first data item on a page with a high key. PG: nbtree.h. */
export const P_FIRSTKEY = 2;

/**
 * Where the opaque data begin on a btree page. PG: BTPageGetOpaque().
 * @throws CorruptionError when the page's special space is not that of a btree page
 */
export function btreeOpaque(page: Page): number {
  const special = pageSpecial(page);
  if (special !== BLCKSZ - SIZE_OF_BT_PAGE_OPAQUE)
    throw new CorruptionError(
      `not a btree page: its special space begins at ${special}, expected ${BLCKSZ - SIZE_OF_BT_PAGE_OPAQUE}`,
    );
  return special;
}

/** btpo_prev: left sibling. `opaque` here and below is what {@link btreeOpaque} gives. */
export function btreePrev(page: Page, opaque: number): number {
  return page.view.getUint32(opaque + BTPO_PREV, true);
}

/** Sets btpo_prev. */
export function setBtreePrev(page: Page, opaque: number, block: number): void {
  page.view.setUint32(opaque + BTPO_PREV, block, true);
}

/** btpo_next: right sibling. */
export function btreeNext(page: Page, opaque: number): number {
  return page.view.getUint32(opaque + BTPO_NEXT, true);
}

/** Sets btpo_next. */
export function setBtreeNext(page: Page, opaque: number, block: number): void {
  page.view.setUint32(opaque + BTPO_NEXT, block, true);
}

/** btpo_level: 0 for a leaf. */
export function btreeLevel(page: Page, opaque: number): number {
  return page.view.getUint32(opaque + BTPO_LEVEL, true);
}

/** Sets btpo_level. */
export function setBtreeLevel(page: Page, opaque: number, level: number): void {
  page.view.setUint32(opaque + BTPO_LEVEL, level, true);
}

/** btpo_flags. */
export function btreeFlags(page: Page, opaque: number): number {
  return page.view.getUint16(opaque + BTPO_FLAGS, true);
}

/** Sets btpo_flags. */
export function setBtreeFlags(page: Page, opaque: number, flags: number): void {
  page.view.setUint16(opaque + BTPO_FLAGS, flags, true);
}

/** btpo_cycleid: vacuum cycle of the latest split. */
export function btreeCycleId(page: Page, opaque: number): number {
  return page.view.getUint16(opaque + BTPO_CYCLEID, true);
}

/** Sets btpo_cycleid. */
export function setBtreeCycleId(page: Page, opaque: number, cycleId: number): void {
  page.view.setUint16(opaque + BTPO_CYCLEID, cycleId, true);
}

/** Offset number of the first data item: 1 on a rightmost page, else 2. PG: P_FIRSTDATAKEY(). */
export function btreeFirstDataKey(page: Page, opaque: number): number {
  return btreeNext(page, opaque) === P_NONE ? P_HIKEY : P_FIRSTKEY;
}
