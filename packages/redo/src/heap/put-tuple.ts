import { CorruptionError } from '@zenith/base';
import {
  HEAP_COMBOCID,
  PAI_IS_HEAP,
  PAI_OVERWRITE,
  SIZE_OF_HEAP_TUPLE_HEADER,
  addItemSpace,
  pageUpper,
  setHeapCid,
  setHeapCtid,
  setHeapHoff,
  setHeapInfomask,
  setHeapInfomask2,
  setHeapXmax,
  setHeapXmin,
  type Page,
} from '@zenith/pg-format';
import { FIRST_COMMAND_ID } from './tuple.ts';

/**
 * Reserves room for a new tuple of `dataLength` bytes (null bitmap, padding and attributes) at `offsetNumber` and writes its header; the
 * caller writes the data behind it. The tuple is its own newest version. Gives where it begins in the page.
 * PG: the shared middle of heap_xlog_insert(), heap_xlog_multi_insert() and heap_xlog_update().
 * @throws CorruptionError when the page has no room for it or the place is taken
 */
export function putTuple(
  page: Page,
  blockNumber: number,
  offsetNumber: number,
  xmin: number,
  xmax: number,
  infomask2: number,
  infomask: number,
  hoff: number,
  dataLength: number,
): number {
  const length = SIZE_OF_HEAP_TUPLE_HEADER + dataLength;
  if (offsetNumber === 0 || addItemSpace(page, length, offsetNumber, PAI_OVERWRITE | PAI_IS_HEAP) !== offsetNumber) {
    throw new CorruptionError(`a tuple of ${length} bytes cannot be put at offset number ${offsetNumber}`);
  }
  const tuple = pageUpper(page);
  setHeapXmin(page.view, tuple, xmin);
  setHeapXmax(page.view, tuple, xmax);
  setHeapCid(page.view, tuple, FIRST_COMMAND_ID);
  setHeapCtid(page.view, tuple, blockNumber, offsetNumber);
  setHeapInfomask2(page.view, tuple, infomask2);
  setHeapInfomask(page.view, tuple, infomask & ~HEAP_COMBOCID);
  setHeapHoff(page.view, tuple, hoff);
  return tuple;
}
