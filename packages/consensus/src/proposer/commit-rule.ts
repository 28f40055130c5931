import type { Lsn } from '@zenith/base';

/**
 * What an acceptor counts for towards the commit point: nothing until it has reached this term's start. WAL of older terms is never committed on its own (Raft, section 5.4.2), since a
 * later leader could still overwrite it.
 * @param flushLsn what it acknowledged in this term, null when nothing
 */
export function countedLsn(flushLsn: Lsn | null, startLsn: Lsn): Lsn | null {
  return flushLsn !== null && flushLsn >= startLsn ? flushLsn : null;
}
