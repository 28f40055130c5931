import { assert, CorruptionError, formatLsn, type Lsn } from '@zenith/base';
import { allocatePage, BLCKSZ, type Page } from '@zenith/pg-format';
import { ObjectKind } from '../key-space/object.ts';
import { NO_OBJECT, type ObjectId } from '../key-space/object-table.ts';
import type { KeyRange } from '../key-space/stored-key.ts';
import { ValueKind } from '../key-space/value.ts';
import { keysOfObject, requireOpen } from './require-layers.ts';
import { StorageError } from './errors.ts';
import { locate, NO_FLOOR } from './locate.ts';
import { PageCache } from './page-cache.ts';
import { ReadPlan } from './read-plan.ts';
import { describePage, Reconstructor, withPage } from './reconstruct.ts';
import type { PageRedo } from './redo.ts';
import { SizeCache, UNKNOWN_SIZE } from './size-cache.ts';
import type { StorageCounts } from './storage-counts.ts';
import type { TimelineView } from './view.ts';

/** What {@link PageReader.readSize} returns for an object that does not exist. */
const NO_SIZE = -1;

/** Most pages of one batch. */
const BATCH_PAGES_MAX = 128;

/** A page that took this many values to rebuild is kept in the page cache; below, reading it again costs less than the cache's memory is worth, unless it had to be unpacked. */
const CACHE_FROM_VALUES = 8;

/** Pages of longer batches are not kept for having been unpacked: a scan comes by once, and is not to sweep the cache. */
const CACHED_BATCH_MAX = 16;

/**
 * The read path: locate, fetch, rebuild. One serves all timelines of a store; it holds the caches and the scratch, and works on the view it is given. Every call runs to its
 * end in one turn, so that no layer can go while it is read.
 */
export class PageReader {
  readonly pageCache: PageCache;
  readonly #counts: StorageCounts;
  readonly #sizes = new SizeCache();
  readonly #plan = new ReadPlan();
  readonly #sizePlan = new ReadPlan();
  readonly #reconstructor: Reconstructor;
  readonly #scratch = allocatePage();
  readonly #from = new Int32Array(BATCH_PAGES_MAX + 1);
  readonly #floors = new Float64Array(BATCH_PAGES_MAX);
  readonly #packedImages = new Uint8Array(BATCH_PAGES_MAX * BLCKSZ);

  /**
   * @param pageCacheBytes memory for rebuilt pages. Unit: bytes
   * @param counts counts the pages read
   */
  constructor(redo: PageRedo, pageCacheBytes: number, counts: StorageCounts) {
    this.#counts = counts;
    this.#reconstructor = new Reconstructor(redo);
    this.pageCache = new PageCache(pageCacheBytes);
  }

  /**
   * Rebuilds one page into `page`. Does not ask whether the object is that long at `lsn`: see {@link requireBlocks}.
   * @throws StorageError `no-such-block` when the page has no history; CorruptionError; a ZenithError of redo's
   */
  readPage(view: TimelineView, object: ObjectId, block: number, lsn: Lsn, page: Page): void {
    const plan = this.#plan;
    plan.clear();
    const slot = this.pageCache.find(view.number, object, block, lsn);
    const floor = slot < 0 ? NO_FLOOR : this.pageCache.lsn(slot);
    try {
      if (slot >= 0) page.bytes.set(this.pageCache.page(slot).bytes);
      this.#requireHistory(locate(view, object, block, lsn, floor, plan), plan.count, floor, view, object, block, lsn);
      this.#counts.countPage(plan.layersOf(0));
      plan.fetch(0, plan.count);
      this.#reconstructor.apply(view.pgMajor, plan, 0, plan.count, floor, page);
      this.#keepIfWorth(view, object, block, 0, plan.count, page.bytes, true);
    } catch (error) {
      throw error instanceof StorageError ? error : withPage(error, view.objects, object, block, lsn);
    }
  }

  /**
   * Rebuilds `count` pages from `firstBlock` on into `out` at `outOffset`. Locates all of them first; runs of pages whose images lie side by side in a layer file are then read or
   * unpacked straight into `out`, where what came after the images is applied to them, everything else that is in files by as few reads as it takes.
   * @throws as {@link readPage}; `out` is then partly written
   */
  readPages(
    view: TimelineView,
    object: ObjectId,
    firstBlock: number,
    count: number,
    lsn: Lsn,
    out: Uint8Array,
    outOffset: number,
  ): void {
    assert(
      count >= 1 && count <= BATCH_PAGES_MAX && outOffset + count * BLCKSZ <= out.length,
      'a batch of pages is of 1 to 128 and fits the buffer',
    );
    const plan = this.#plan;
    plan.clear();
    const keepUnpacked = count <= CACHED_BATCH_MAX;
    let block = firstBlock;
    try {
      for (let i = 0; i < count; i++, block++) {
        this.#from[i] = plan.count;
        const slot = this.pageCache.find(view.number, object, block, lsn);
        // A cached page is copied at once: another page of the batch may take its slot.
        if (slot >= 0) out.set(this.pageCache.page(slot).bytes, outOffset + i * BLCKSZ);
        const floor = slot < 0 ? NO_FLOOR : this.pageCache.lsn(slot);
        this.#floors[i] = floor;
        this.#requireHistory(
          locate(view, object, block, lsn, floor, plan),
          plan.count - (this.#from[i] as number),
          floor,
          view,
          object,
          block,
          lsn,
        );
        this.#counts.countPage(plan.layersOf(this.#from[i] as number));
      }
      this.#from[count] = plan.count;
      for (let i = 0; i < count;) {
        block = firstBlock + i;
        const run = this.#imageRun(i, count);
        if (run > 0) {
          this.#readImages(i, run, out, outOffset + i * BLCKSZ);
          plan.fetch(this.#from[i] as number, this.#from[i + run] as number);
          for (const end = i + run; i < end; i++) {
            block = firstBlock + i;
            this.#rebuildOnImage(out, outOffset + i * BLCKSZ, view, object, block, i, keepUnpacked);
          }
          continue;
        }
        const end = this.#endOfRebuilds(i, count);
        plan.fetch(this.#from[i] as number, this.#from[end] as number);
        for (; i < end; i++) {
          block = firstBlock + i;
          this.#rebuildInto(out, outOffset + i * BLCKSZ, view, object, block, i, keepUnpacked);
        }
      }
    } catch (error) {
      throw error instanceof StorageError ? error : withPage(error, view.objects, object, block, lsn);
    }
  }

  /**
   * The newest content of a small object at or below `lsn`; empty when it is gone, undefined when it never was. The bytes are borrowed until the next call.
   * @throws CorruptionError
   */
  readSmall(view: TimelineView, object: ObjectId, lsn: Lsn): Uint8Array | undefined {
    const plan = this.#sizePlan;
    if (!this.#locateSmall(view, object, lsn)) return undefined;
    const offset = plan.offsets[0] as number;
    return (plan.bytes[0] as Uint8Array).subarray(offset, offset + (plan.lengths[0] as number));
  }

  /**
   * Size at `lsn` of an object with pages, or {@link NO_SIZE} when it does not exist. Unit: blocks.
   * @throws CorruptionError
   */
  readSize(view: TimelineView, object: ObjectId, lsn: Lsn): number {
    const known = this.#sizes.get(view.number, object, lsn);
    if (known !== UNKNOWN_SIZE) return known;
    let sizeObject = view.objects.sizeObject(object);
    if (sizeObject === NO_OBJECT) {
      requireOpen(view, keysOfSize(view, object));
      sizeObject = view.objects.sizeObject(object);
    }
    if (sizeObject === NO_OBJECT || !this.#locateSmall(view, sizeObject, lsn)) return NO_SIZE;
    const plan = this.#sizePlan;
    const length = plan.lengths[0] as number;
    if (length !== 0 && length !== 4)
      throw new CorruptionError(`the size of ${describePage(view.objects, object, 0, lsn)} has ${length} bytes, not 4`);
    const size = length === 0 ? NO_SIZE : (plan.views[0] as DataView).getUint32(plan.offsets[0] as number, true);
    this.#sizes.keep(view.number, object, plan.lsns[0] as Lsn, lsn, size);
    return size;
  }

  /** Holds that blocks [firstBlock, firstBlock + count) exist at `lsn`. @throws StorageError `no-such-block` */
  requireBlocks(view: TimelineView, object: ObjectId, firstBlock: number, count: number, lsn: Lsn): void {
    const size = object === NO_OBJECT ? NO_SIZE : this.readSize(view, object, lsn);
    if (firstBlock + count <= size) return;
    if (size === NO_SIZE)
      throw new StorageError(
        'no-such-block',
        object === NO_OBJECT
          ? `the relation does not exist at ${formatLsn(lsn)}`
          : `${describePage(view.objects, object, firstBlock, lsn)} does not exist`,
      );
    throw new StorageError(
      'no-such-block',
      `${describePage(view.objects, object, firstBlock + count - 1, lsn)} does not exist: there are ${size} blocks`,
    );
  }

  #locateSmall(view: TimelineView, object: ObjectId, lsn: Lsn): boolean {
    const plan = this.#sizePlan;
    plan.clear();
    if (!locate(view, object, 0, lsn, NO_FLOOR, plan)) {
      if (plan.count > 0)
        throw new CorruptionError(`${describePage(view.objects, object, 0, lsn)} has a value that is no image`);
      return false;
    }
    if (plan.count !== 1 || plan.kinds[0] !== ValueKind.image)
      throw new CorruptionError(`${describePage(view.objects, object, 0, lsn)} has a value that is no image`);
    if (plan.layers[0] !== undefined && plan.values[0] !== 1)
      throw new CorruptionError('an image shares its chunk with other values', { source: plan.layers[0].path });
    plan.fetch(0, 1);
    return true;
  }

  #requireHistory(
    complete: boolean,
    pieces: number,
    floor: Lsn,
    view: TimelineView,
    object: ObjectId,
    block: number,
    lsn: Lsn,
  ): void {
    if (complete || floor !== NO_FLOOR) return;
    if (pieces === 0)
      throw new StorageError('no-such-block', `${describePage(view.objects, object, block, lsn)} does not exist`);
    throw new CorruptionError('its history has no beginning');
  }

  /** How many pages of the batch from `i` on begin with images side by side in one layer file, all of them packed or none, whatever came after those. */
  #imageRun(i: number, count: number): number {
    const plan = this.#plan;
    let run = 0;
    let before = 0;
    for (; i + run < count; run++) {
      // The oldest piece of a page is its base, unless the page cache gave that.
      const piece = (this.#from[i + run + 1] as number) - 1;
      if (
        piece < (this.#from[i + run] as number) ||
        this.#floors[i + run] !== NO_FLOOR ||
        plan.layers[piece] === undefined ||
        plan.kinds[piece] !== ValueKind.image ||
        plan.values[piece] !== 1 ||
        (plan.isPacked(piece) ? (plan.lengths[piece] as number) >= BLCKSZ : plan.lengths[piece] !== BLCKSZ)
      )
        break;
      if (
        run > 0 &&
        (plan.layers[piece] !== plan.layers[before] ||
          plan.isPacked(piece) !== plan.isPacked(before) ||
          plan.fileOffset(piece) !== plan.fileEnd(before))
      )
        break;
      before = piece;
    }
    return run;
  }

  #endOfRebuilds(i: number, count: number): number {
    let end = i + 1;
    while (end < count && this.#imageRun(end, Math.min(count, end + 1)) === 0) end++;
    return end;
  }

  /** Brings the images that a run begins with to their places. What is left to fetch of its pages are the values after them. */
  #readImages(i: number, run: number, out: Uint8Array, outOffset: number): void {
    const plan = this.#plan;
    const first = (this.#from[i + 1] as number) - 1;
    const start = plan.fileOffset(first);
    const isPacked = plan.isPacked(first);
    plan.requireResident(this.#from[i] as number, this.#from[i + run] as number);
    const [into, at] = isPacked ? [this.#packedImages, 0] : [out, outOffset];
    plan.layers[first]?.read(into, at, plan.fileEnd((this.#from[i + run] as number) - 1) - start, start);
    for (let n = 0; n < run; n++) {
      const piece = (this.#from[i + n + 1] as number) - 1;
      const pieceAt = at + plan.fileOffset(piece) - start;
      plan.check(piece, into, pieceAt);
      if (isPacked) plan.unpack(piece, into, pieceAt, out, outOffset + n * BLCKSZ, BLCKSZ);
      plan.markFetched(piece);
    }
  }

  /** Rebuilds a page of a run: its image lies in its place already. */
  #rebuildOnImage(
    out: Uint8Array,
    at: number,
    view: TimelineView,
    object: ObjectId,
    block: number,
    i: number,
    keepUnpacked: boolean,
  ): void {
    const [from, to] = [this.#from[i] as number, this.#from[i + 1] as number];
    const image = to - 1;
    const bytes = out.subarray(at, at + BLCKSZ);
    const page =
      from === image ? this.#scratch : { bytes, view: new DataView(out.buffer, out.byteOffset + at, BLCKSZ) };
    this.#reconstructor.apply(view.pgMajor, this.#plan, from, image, this.#plan.lsns[image] as Lsn, page);
    this.#keepIfWorth(view, object, block, from, to, bytes, keepUnpacked);
  }

  #rebuildInto(
    out: Uint8Array,
    at: number,
    view: TimelineView,
    object: ObjectId,
    block: number,
    i: number,
    keepUnpacked: boolean,
  ): void {
    const floor = this.#floors[i] as Lsn;
    const [from, to] = [this.#from[i] as number, this.#from[i + 1] as number];
    if (from === to) return;
    const page = this.#scratch;
    if (floor !== NO_FLOOR) page.bytes.set(out.subarray(at, at + BLCKSZ));
    this.#reconstructor.apply(view.pgMajor, this.#plan, from, to, floor, page);
    this.#keepIfWorth(view, object, block, from, to, page.bytes, keepUnpacked);
    out.set(page.bytes, at);
  }

  /** Keeps the page that was rebuilt last, out of pieces [from, to), where that saves more than it costs. */
  #keepIfWorth(
    view: TimelineView,
    object: ObjectId,
    block: number,
    from: number,
    to: number,
    page: Uint8Array,
    keepUnpacked: boolean,
  ): void {
    if (this.#reconstructor.applied >= CACHE_FROM_VALUES || (keepUnpacked && this.#plan.hasPacked(from, to)))
      this.pageCache.keep(view.number, object, block, this.#reconstructor.newest, page);
  }
}

/** Where the size of an object is that the object table does not know one of. */
function keysOfSize({ objects }: TimelineView, object: ObjectId): KeyRange {
  const kind = objects.kind(object) === ObjectKind.relation ? ObjectKind.relationSize : ObjectKind.slruSize;
  return keysOfObject(kind, objects.spc(object), objects.db(object), objects.rel(object), objects.fork(object));
}
