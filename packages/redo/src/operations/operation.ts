import { CorruptionError } from '@zenith/base';
import type { Page } from '@zenith/pg-format';

/*
 * A page operation: a change to one page that a WAL record implies without registering the block. PostgreSQL's own redo makes such
 * changes beside its pages; here ingest encodes them as values of the page's key. Little-endian, not aligned:
 *
 *   kind u8 @0 | body
 *   1 visibility map clear      (flags u8 | heap block u32)…
 *   2 visibility map truncate   heap blocks u32
 *   3 transaction status        status u8 | (index u16)…                 index = xid modulo 32768
 *   4 multixact offsets         (index u16 | member offset u32)…         index = multixact id modulo 2048
 *   5 multixact members         first index u16 | (xid u32 | status u8)… index = member offset modulo 1636
 *   6 commit timestamps         time 8 bytes | origin u16 | (index u16)… index = xid modulo 819
 *
 * One key has one value at one LSN: all that a record does to a page goes into one operation. Kinds are never renumbered: stored
 * layers hold them.
 */

/** Kinds of page operations, as stored. */
export const OperationKind = {
  visibilityMapClear: 1,
  visibilityMapTruncate: 2,
  transactionStatus: 3,
  multixactOffsets: 4,
  multixactMembers: 5,
  commitTimestamps: 6,
} as const;

/** Size of the kind byte. Unit: bytes. */
export const OPERATION_HEADER = 1;

/**
 * Applies the body of one kind of operation, which lies in `view[offset, end)`, to `page`.
 * @throws CorruptionError, or RangeError, for a body that does not add up
 */
export type ApplyBody = (view: DataView, offset: number, end: number, page: Page) => void;

/** How many entries of `size` bytes fill `[offset, end)`. @throws CorruptionError when they do not fill it exactly, or there are none */
export function entryCount(offset: number, end: number, size: number): number {
  const count = (end - offset) / size;
  if (count < 1 || !Number.isInteger(count))
    throw new CorruptionError(`${end - offset} bytes are no list of entries of ${size} bytes`);
  return count;
}
