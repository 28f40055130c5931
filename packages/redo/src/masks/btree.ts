import {
  BTP_HAS_GARBAGE,
  BTP_LEAF,
  BTP_SPLIT_END,
  btreeFlags,
  btreeOpaque,
  setBtreeCycleId,
  setBtreeFlags,
  type Page,
} from '@zenith/pg-format';
import {
  MASK_MARKER,
  maskLinePointerFlags,
  maskLsnAndChecksum,
  maskPageHintBits,
  maskUnusedSpace,
} from './page-parts.ts';

/** Masks a page of a btree. PG 15-18: btree_mask(). @throws CorruptionError when it is none */
export function maskBtreePage(page: Page): void {
  maskLsnAndChecksum(page);
  maskPageHintBits(page);
  maskUnusedSpace(page);
  const opaque = btreeOpaque(page);
  const flags = btreeFlags(page, opaque);
  if ((flags & BTP_LEAF) !== 0) maskLinePointerFlags(page);
  // The garbage flag is a hint; the end of a split group and the vacuum cycle id are not logged.
  setBtreeFlags(page, opaque, flags & ~(BTP_HAS_GARBAGE | BTP_SPLIT_END));
  setBtreeCycleId(page, opaque, MASK_MARKER);
}
