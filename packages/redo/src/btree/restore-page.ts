import { CorruptionError } from '@zenith/base';
import {
  MAX_INDEX_TUPLES_PER_PAGE,
  SIZE_OF_INDEX_TUPLE,
  copyBytes,
  indexTupleLength,
  linePointerPosition,
  maxAlign,
  pageSpecial,
  setLinePointerNormal,
  setPageLower,
  setPageUpper,
  type Page,
  type WalRecord,
} from '@zenith/pg-format';
import { blockData, blockDataLength } from '../rmgr/record-data.ts';

/**
 * Fills an empty page with the tuples that a record holds as the block's data, which is a copy of a page from pd_upper to pd_special: the
 * last tuple comes first. Every line pointer's length is the aligned one. PG: _bt_restore_page(), which adds them one by one.
 * @throws CorruptionError when the data are not whole tuples that fit
 */
export function restoreBtreePage(record: WalRecord, blockIndex: number, page: Page): void {
  const start = blockData(record, blockIndex, 0);
  const length = blockDataLength(record, blockIndex);
  const end = start + length;
  let count = 0;
  for (let at = start; at < end; count++) {
    if (at + SIZE_OF_INDEX_TUPLE > end) throw new CorruptionError(`${end - at} bytes left for an index tuple`);
    const size = maxAlign(indexTupleLength(record.view, at));
    if (size < SIZE_OF_INDEX_TUPLE || at + size > end)
      throw new CorruptionError(`an index tuple of ${size} bytes, ${end - at} bytes left`);
    at += size;
  }
  const upper = pageSpecial(page) - length;
  if (count > MAX_INDEX_TUPLES_PER_PAGE || linePointerPosition(count + 1) > upper)
    throw new CorruptionError(`${count} index tuples of ${length} bytes do not fit a page`);
  copyBytes(record.bytes, start, page.bytes, upper, length);
  let at = upper;
  for (let offsetNumber = count; offsetNumber >= 1; offsetNumber--) {
    const size = maxAlign(indexTupleLength(page.view, at));
    setLinePointerNormal(page, offsetNumber, at, size);
    at += size;
  }
  setPageLower(page, linePointerPosition(count + 1));
  setPageUpper(page, upper);
}
