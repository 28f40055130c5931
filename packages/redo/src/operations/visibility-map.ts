import { CorruptionError } from '@zenith/base';
import {
  VISIBILITYMAP_VALID_BITS,
  pageIsNew,
  visibilityMapByte,
  visibilityMapShift,
  type Page,
} from '@zenith/pg-format';
import { OPERATION_HEADER, OperationKind, entryCount, type ApplyBody } from './operation.ts';

/**
 * Writes an operation without entries that clears visibility map bits; {@link appendVisibilityMapClear} adds them.
 * @returns the offset behind it
 */
export function startVisibilityMapClear(out: DataView, offset: number): number {
  out.setUint8(offset, OperationKind.visibilityMapClear);
  return offset + OPERATION_HEADER;
}

/**
 * Adds one heap block whose bits `flags` are to be cleared, at the end of the operation so far.
 * @returns the offset behind it
 */
export function appendVisibilityMapClear(out: DataView, offset: number, heapBlock: number, flags: number): number {
  out.setUint8(offset, flags);
  out.setUint32(offset + 1, heapBlock, true);
  return offset + 5;
}

/** PG: visibilitymap_clear(). It does not set the page's LSN, and neither do we. */
export const applyVisibilityMapClear: ApplyBody = (view, offset, end, page) => {
  const count = entryCount(offset, end, 5);
  for (let i = 0; i < count; i++) {
    const flags = view.getUint8(offset + i * 5);
    const heapBlock = view.getUint32(offset + i * 5 + 1, true);
    if (flags === 0 || (flags & ~VISIBILITYMAP_VALID_BITS) !== 0)
      throw new CorruptionError(`0x${flags.toString(16)} are no visibility map bits`);
    const position = visibilityMapByte(heapBlock);
    page.view.setUint8(position, page.view.getUint8(position) & ~(flags << visibilityMapShift(heapBlock)));
  }
};

/**
 * Writes the operation that clears the bits of heap block `heapBlocks` and of all after it, on the page of the visibility map that holds that
 * heap block: what is left of the map when the heap is truncated to `heapBlocks` blocks within that page. Ingest asks for it only when
 * `heapBlocks` is not the first of its page (else the page goes as a whole), as PostgreSQL does.
 * @returns the offset behind it
 */
export function encodeVisibilityMapTruncate(out: DataView, offset: number, heapBlocks: number): number {
  out.setUint8(offset, OperationKind.visibilityMapTruncate);
  out.setUint32(offset + OPERATION_HEADER, heapBlocks, true);
  return offset + OPERATION_HEADER + 4;
}

/** PG: visibilitymap_prepare_truncate(). */
export const applyVisibilityMapTruncate: ApplyBody = (view, offset, end, page) => {
  if (end - offset !== 4) throw new CorruptionError(`visibility map truncation of ${end - offset} bytes, expected 4`);
  const heapBlocks = view.getUint32(offset, true);
  const position = visibilityMapByte(heapBlocks);
  page.bytes.fill(0, position + 1);
  page.view.setUint8(position, page.view.getUint8(position) & ((1 << visibilityMapShift(heapBlocks)) - 1));
};

/**
 * Sets visibility map bits of a heap block. False when the map says exactly that already.
 * PG: visibilitymap_set(): bits are added, never taken away, unless the map has exactly these.
 */
export function setVisibilityMapBits(page: Page, heapBlock: number, flags: number): boolean {
  const position = visibilityMapByte(heapBlock);
  const shift = visibilityMapShift(heapBlock);
  const byte = page.view.getUint8(position);
  if (((byte >>> shift) & VISIBILITYMAP_VALID_BITS) === flags) return false;
  page.view.setUint8(position, byte | (flags << shift));
  return true;
}

/** The visibility map's bits of a heap block, 0 on a page that was never initialised. PG: visibilitymap_get_status(). */
export function visibilityMapBits(page: Page, heapBlock: number): number {
  if (pageIsNew(page)) return 0;
  return (
    (page.view.getUint8(visibilityMapByte(heapBlock)) >>> visibilityMapShift(heapBlock)) & VISIBILITYMAP_VALID_BITS
  );
}
