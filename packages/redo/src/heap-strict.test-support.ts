import {
  HEAP_COMBOCID,
  HEAP_XMAX_COMMITTED,
  HEAP_XMAX_INVALID,
  HEAP_XMIN_FROZEN,
  LP_NORMAL,
  PD_ALL_VISIBLE,
  heapInfomask,
  linePointer,
  lpFlags,
  lpOffset,
  pageFlags,
  pageMaxOffset,
  type Page,
} from '@zenith/pg-format';

/** The bits of t_infomask that may change without WAL, or that redo does not know. */
const HINTS = HEAP_XMIN_FROZEN | HEAP_XMAX_COMMITTED | HEAP_XMAX_INVALID | HEAP_COMBOCID;

/**
 * What PostgreSQL's mask of a heap page hides although it is WAL-logged: the page's all-visible flag and, of tuples that are not frozen, the bits
 * that say what their xmax is. Gives the first difference in words.
 */
export function hiddenHeapDifference(expected: Page, actual: Page): string | undefined {
  if (((pageFlags(expected) ^ pageFlags(actual)) & PD_ALL_VISIBLE) !== 0) {
    return `all-visible flag is ${pageFlags(actual) & PD_ALL_VISIBLE}`;
  }
  for (let offsetNumber = 1; offsetNumber <= pageMaxOffset(expected); offsetNumber++) {
    const pointer = linePointer(expected, offsetNumber);
    if (lpFlags(pointer) !== LP_NORMAL) continue;
    const wanted = heapInfomask(expected.view, lpOffset(pointer)) & ~HINTS;
    const found = heapInfomask(actual.view, lpOffset(linePointer(actual, offsetNumber))) & ~HINTS;
    if (wanted !== found)
      return `infomask of tuple ${offsetNumber} is 0x${found.toString(16)}, expected 0x${wanted.toString(16)}`;
  }
  return undefined;
}
