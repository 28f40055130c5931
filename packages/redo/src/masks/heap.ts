import {
  BLCKSZ,
  HEAP_XACT_MASK,
  HEAP_XMAX_COMMITTED,
  HEAP_XMAX_INVALID,
  HEAP_XMIN_FROZEN,
  LP_NORMAL,
  SPEC_TOKEN_OFFSET_NUMBER,
  heapCtidOffset,
  heapInfomask,
  linePointer,
  lpFlags,
  lpLength,
  lpOffset,
  maxAlign,
  pageMaxOffset,
  setHeapCid,
  setHeapCtid,
  setHeapInfomask,
  type Page,
} from '@zenith/pg-format';
import { MASK_MARKER, maskLsnAndChecksum, maskPageHintBits, maskUnusedSpace } from './page-parts.ts';

/** Masks a heap page, or one of a visibility map. PG 15-18: heap_mask(). @throws CorruptionError or RangeError when the page is broken */
export function maskHeapPage(page: Page, blockNumber: number): void {
  maskLsnAndChecksum(page);
  maskPageHintBits(page);
  maskUnusedSpace(page);
  const count = pageMaxOffset(page);
  for (let offsetNumber = 1; offsetNumber <= count; offsetNumber++) {
    const pointer = linePointer(page, offsetNumber);
    const tuple = lpOffset(pointer);
    if (lpFlags(pointer) === LP_NORMAL) maskTuple(page, tuple, blockNumber, offsetNumber);
    const length = lpLength(pointer);
    // Alignment padding behind the tuple.
    if (length > 0) page.bytes.fill(MASK_MARKER, tuple + length, Math.min(tuple + maxAlign(length), BLCKSZ));
  }
}

function maskTuple(page: Page, tuple: number, blockNumber: number, offsetNumber: number): void {
  const { view } = page;
  const infomask = heapInfomask(view, tuple);
  // Hint bits may be set without WAL; of a frozen xmin only those about xmax.
  const hints =
    (infomask & HEAP_XMIN_FROZEN) === HEAP_XMIN_FROZEN ? HEAP_XMAX_INVALID | HEAP_XMAX_COMMITTED : HEAP_XACT_MASK;
  setHeapInfomask(view, tuple, infomask & ~hints);
  setHeapCid(view, tuple, MASK_MARKER); // redo sets FirstCommandId
  // A speculative insertion's token is not logged; redo sets the tuple's own position.
  if (heapCtidOffset(view, tuple) === SPEC_TOKEN_OFFSET_NUMBER) setHeapCtid(view, tuple, blockNumber, offsetNumber);
}
