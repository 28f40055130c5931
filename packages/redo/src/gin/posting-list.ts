import { CorruptionError } from '@zenith/base';
import { itemPointerBlock, itemPointerOffset, setItemPointer, type Page } from '@zenith/pg-format';

// GinPostingList, one segment of a posting tree's leaf: first ItemPointerData @0, nbytes u16 @6, then nbytes bytes, padded to an even length by a
// zero: the differences between an item and the one before it, 7 bits a byte, lowest first, the high bit says that more follow. An item counts
// as block number × 2^11 + offset number, 43 bits, so that a difference has at most 7 bytes.  PG 15-18: ginblock.h, ginpostinglist.c
const NBYTES = 6;
const HEADER = 8;
const OFFSET_NUMBERS = 2 ** 11;
const ITEM_LIMIT = 2 ** 43;
const LAST_SCALE = 2 ** 42;

/** Length of the segment at `at`, which ends before `limit`. Unit: bytes, even. PG: SizeOfGinPostingList(). @throws CorruptionError */
export function segmentLength(view: DataView, at: number, limit: number): number {
  const length = at + HEADER > limit ? HEADER : HEADER + ((view.getUint16(at + NBYTES, true) + 1) & ~1);
  if (at + length > limit)
    throw new CorruptionError(`a posting list segment of ${length} bytes or more, ${limit - at} bytes left`);
  return length;
}

/** The item pointer at `at` as a number that compares as item pointers do. PG: itemptr_to_uint64(). @throws CorruptionError */
export function itemNumber(view: DataView, at: number): number {
  const offset = itemPointerOffset(view, at);
  if (offset === 0 || offset >= OFFSET_NUMBERS)
    throw new CorruptionError(`an item pointer with offset number ${offset} in a posting list`);
  return itemPointerBlock(view, at) * OFFSET_NUMBERS + offset;
}

/** Reads the items of one segment in order, ascending. PG: ginPostingListDecode(). Reused: opened for one segment after the other. */
export class SegmentReader {
  /** The item that is next, as {@link itemNumber} counts; -1 after the last. */
  item = -1;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;

  /** Begins with the segment at `at` of `page`, which {@link segmentLength} has checked. The page is borrowed until the last item is read. */
  open(page: Page, at: number): void {
    this.#bytes = page.bytes;
    this.#at = at + HEADER;
    this.#end = this.#at + page.view.getUint16(at + NBYTES, true);
    this.item = itemNumber(page.view, at);
  }

  /** Goes on to the next item. @throws CorruptionError when a difference is cut off, or leads past the last possible item */
  advance(): void {
    if (this.#at === this.#end) {
      this.item = -1;
      return;
    }
    let byte = 0x80;
    for (let scale = 1; byte >= 0x80; scale *= 0x80) {
      if (this.#at === this.#end || scale > LAST_SCALE)
        throw new CorruptionError('a posting list with an item that does not end');
      byte = this.#bytes[this.#at++] as number;
      this.item += (byte & 0x7f) * scale;
    }
    if (this.item >= ITEM_LIMIT) throw new CorruptionError('a posting list that leads past the last block');
  }
}

/** Writes the items of one segment onto a page. PG: ginCompressPostingList(). Reused: opened for one segment after the other. */
export class SegmentWriter {
  #page: Page | undefined;
  #start = 0;
  #at = 0;
  #limit = 0;
  #last = -1;

  /** Begins a segment at `at` of `page` that must end at `limit` or before. The page is borrowed until {@link close}. */
  open(page: Page, at: number, limit: number): void {
    this.#page = page;
    this.#start = at;
    this.#at = at + HEADER;
    this.#limit = limit;
    this.#last = -1;
    if (this.#at > limit) this.#fail('no room for a posting list segment');
  }

  /** Adds an item, which must be higher than the one before. @throws CorruptionError when it is not, or there is no room */
  append(item: number): void {
    const { bytes, view } = this.#page as Page;
    if (this.#last === -1) {
      setItemPointer(view, this.#start, Math.floor(item / OFFSET_NUMBERS), item % OFFSET_NUMBERS);
    } else {
      let rest = item - this.#last;
      if (rest <= 0) this.#fail('items of a posting list out of order');
      while (rest > 0x7f) {
        if (this.#at === this.#limit) this.#fail('no room for all items of a posting list segment');
        bytes[this.#at++] = (rest % 0x80) | 0x80;
        rest = Math.floor(rest / 0x80);
      }
      if (this.#at === this.#limit) this.#fail('no room for all items of a posting list segment');
      bytes[this.#at++] = rest;
    }
    this.#last = item;
  }

  /** Ends the segment, which has at least one item, and gives where the next may begin. @throws CorruptionError when there is no room */
  close(): number {
    const { bytes, view } = this.#page as Page;
    const length = this.#at - this.#start - HEADER;
    view.setUint16(this.#start + NBYTES, length, true);
    if ((length & 1) === 0) return this.#at;
    if (this.#at === this.#limit) this.#fail('no room for all items of a posting list segment');
    bytes[this.#at] = 0;
    return this.#at + 1;
  }

  #fail(message: string): never {
    throw new CorruptionError(message);
  }
}
