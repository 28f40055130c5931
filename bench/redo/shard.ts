/** A part of all pages: the stripes whose number leaves `index` when it is divided by `count`. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/** All pages. */
export const WHOLE: Shard = { index: 0, count: 1 };

/** Neighbouring pages that are in one shard. */
export const PAGES_PER_STRIPE = 16;
const STRIPE_BITS = Math.log2(PAGES_PER_STRIPE);

/** 2^32 divided by the golden ratio: spreads numbers that follow each other in steps. */
const MIX = 0x9e3779b1;

/**
 * Whether a page is in a shard. Relations begin at different shards: the first pages of small ones are the hot ones. Their numbers are mixed, since those of tables that are
 * made one after the other lie steps apart that may be a multiple of `count`.
 */
export function isInShard({ index, count }: Shard, rel: number, fork: number, block: number): boolean {
  return count === 1 || ((Math.imul(rel, MIX) >>> 16) + fork + (block >>> STRIPE_BITS)) % count === index;
}
