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

/** Whether a page is in a shard. Relations begin at different shards: the first pages of small ones are the hot ones. */
export function isInShard({ index, count }: Shard, rel: number, fork: number, block: number): boolean {
  return count === 1 || (rel + fork + (block >>> STRIPE_BITS)) % count === index;
}
