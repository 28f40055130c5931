import { CorruptionError } from '@zenith/base';
import {
  INVALID_OFFSET_NUMBER,
  SIZE_OF_ITEM_POINTER,
  allocatePage,
  copyBytes,
  pageLower,
  setPageLower,
  type Page,
  type WalRecord,
} from '@zenith/pg-format';
import { blockData, blockDataLength } from '../rmgr/record-data.ts';
import type { RedoRoutine } from '../rmgr/resource-manager.ts';
import {
  GIN_COMPRESSED,
  GIN_DATA,
  GIN_LEAF,
  existingGinPage,
  ginFlags,
  ginMaxOff,
  setGinFlags,
  setGinMaxOff,
} from './page.ts';
import { SegmentReader, SegmentWriter, itemNumber, segmentLength } from './posting-list.ts';
import { POSTING_TREE_DATA } from './posting-tree.ts';

// ginxlogRecompressDataLeaf, data of the block: nactions u16 @0, then per action, ascending: segno u8 @0, which segment of the old page, type u8 @1,
// and for INSERT and REPLACE a segment, for ADDITEMS a count u16 and so many item pointers.  PG 15-18: ginxlog.h; redo: ginRedoRecompress()
const SIZE_OF_RECOMPRESS = 2;
const SIZE_OF_ACTION = 2;
const GIN_SEGMENT_DELETE = 1;
const GIN_SEGMENT_INSERT = 2;
const GIN_SEGMENT_REPLACE = 3;
const GIN_SEGMENT_ADDITEMS = 4;

// Scratch of one synchronous call: the page as it was, while it is rebuilt in place, and the segment that gets new items.
const originalPage = allocatePage();
const reader = new SegmentReader();
const writer = new SegmentWriter();

/** PG: ginRedoVacuumDataLeafPage(). */
export const redoGinVacuumDataLeafPage: RedoRoutine = (record, blockIndex, page) => {
  if (blockIndex !== 0) throw new CorruptionError(`a record of this kind has no block ${blockIndex}`);
  recompressLeaf(record, blockIndex, page);
  return true;
};

/**
 * Changes segments of a posting tree's leaf as the data of a block of `record` say. Segments before the first that changes stay where they
 * are; the others are read from a copy of the old page. PG: ginRedoRecompress(). @throws CorruptionError
 */
export function recompressLeaf(record: WalRecord, blockIndex: number, page: Page): void {
  const { view } = record;
  let at = blockData(record, blockIndex, SIZE_OF_RECOMPRESS);
  const end = at + blockDataLength(record, blockIndex);
  const count = view.getUint16(at, true);
  at += SIZE_OF_RECOMPRESS;
  const opaque = existingGinPage(page, GIN_DATA | GIN_LEAF, GIN_DATA | GIN_LEAF);
  originalPage.bytes.set(page.bytes);
  if ((ginFlags(page, opaque) & GIN_COMPRESSED) === 0) compressWholePage(page, opaque);

  let from = POSTING_TREE_DATA;
  let to = POSTING_TREE_DATA;
  let segment = 0;
  const fromEnd = pageLower(page);
  if (fromEnd < from) throw new CorruptionError(`posting lists that end at byte ${fromEnd}`);
  for (let action = 0; action < count; action++) {
    if (at + SIZE_OF_ACTION > end) throw new CorruptionError(`the data end before action ${action + 1} of ${count}`);
    const target = view.getUint8(at);
    const type = view.getUint8(at + 1);
    at += SIZE_OF_ACTION;
    if (target < segment) throw new CorruptionError(`an action for segment ${target} after one for ${segment - 1}`);
    for (; segment < target; segment++) {
      const length = segmentLength(originalPage.view, from, fromEnd);
      to = keep(page, from, length, to, opaque);
      from += length;
    }
    switch (type) {
      case GIN_SEGMENT_DELETE:
        from += segmentLength(originalPage.view, from, fromEnd);
        segment++;
        break;
      case GIN_SEGMENT_INSERT:
      case GIN_SEGMENT_REPLACE: {
        if (type === GIN_SEGMENT_REPLACE) {
          from += segmentLength(originalPage.view, from, fromEnd);
          segment++;
        }
        const length = segmentLength(view, at, end);
        checkRoom(to, length, opaque);
        copyBytes(record.bytes, at, page.bytes, to, length);
        at += length;
        to += length;
        break;
      }
      case GIN_SEGMENT_ADDITEMS: {
        const items = at + 2;
        const itemsEnd = items > end ? items : items + view.getUint16(at, true) * SIZE_OF_ITEM_POINTER;
        if (itemsEnd > end) throw new CorruptionError(`new items for segment ${segment} run past the end of the data`);
        const length = segmentLength(originalPage.view, from, fromEnd);
        to = mergeItems(page, from, view, items, itemsEnd, to, opaque);
        at = itemsEnd;
        from += length;
        segment++;
        break;
      }
      default:
        throw new CorruptionError(`unexpected GIN leaf action: ${type}`);
    }
  }
  if (at !== end) throw new CorruptionError(`${end - at} bytes left after the last action`);
  setPageLower(page, keep(page, from, fromEnd - from, to, opaque));
}

/** Takes `length` bytes of the old page over to `to`. Bytes that do not move are there already. Gives where they end. */
function keep(page: Page, from: number, length: number, to: number, limit: number): number {
  checkRoom(to, length, limit);
  if (from !== to) copyBytes(originalPage.bytes, from, page.bytes, to, length);
  return to + length;
}

function checkRoom(to: number, length: number, limit: number): void {
  if (to + length > limit)
    throw new CorruptionError(`${length} bytes of posting lists, ${limit - to} left on the page`);
}

/** Writes the old page's segment at `from` together with new items, in order, to `to`. Gives where it ends. PG: GIN_SEGMENT_ADDITEMS. */
function mergeItems(
  page: Page,
  from: number,
  view: DataView,
  items: number,
  itemsEnd: number,
  to: number,
  limit: number,
): number {
  writer.open(page, to, limit);
  reader.open(originalPage, from);
  for (let at = items; at < itemsEnd; at += SIZE_OF_ITEM_POINTER) {
    const item = itemNumber(view, at);
    for (; reader.item !== -1 && reader.item < item; reader.advance()) writer.append(reader.item);
    writer.append(item);
  }
  for (; reader.item !== -1; reader.advance()) writer.append(reader.item);
  return writer.close();
}

/**
 * Makes one segment of a page's plain item pointers, as an index from before 9.4 may still have them after pg_upgrade; there maxoff counts
 * them. The copy of the old page gets the result, too.
 */
function compressWholePage(page: Page, opaque: number): void {
  const count = ginMaxOff(page, opaque);
  let end = POSTING_TREE_DATA;
  if (end + count * SIZE_OF_ITEM_POINTER > opaque) throw new CorruptionError(`${count} item pointers on one page`);
  if (count > 0) {
    writer.open(page, end, opaque);
    for (let i = 0; i < count; i++)
      writer.append(itemNumber(originalPage.view, POSTING_TREE_DATA + i * SIZE_OF_ITEM_POINTER));
    end = writer.close();
  }
  setPageLower(page, end);
  setGinFlags(page, opaque, ginFlags(page, opaque) | GIN_COMPRESSED);
  setGinMaxOff(page, opaque, INVALID_OFFSET_NUMBER);
  originalPage.bytes.set(page.bytes);
}
