import type { Lsn } from '@zenith/base';
import { allocatePage, slruPageInSegment, slruSegment } from '@zenith/pg-format';
import { applyOperation } from '@zenith/redo';
import type { ObjectId } from '../key-space/object-table.ts';
import { ObjectKind, type SlruKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import type { ScannedKey } from '../timeline/scan.ts';
import type { ObjectSizes } from './object-sizes.ts';
import type { IngestTarget } from './target.ts';

const NO_BYTES = new Uint8Array(0);

/** Writes pages of the SLRUs (commit log, multixacts, commit timestamps) at the head of a timeline. A page is named by its number in the whole SLRU. */
export class SlruWriter {
  readonly #target: IngestTarget;
  readonly #sizes: ObjectSizes;
  readonly #page = allocatePage();

  constructor(target: IngestTarget, sizes: ObjectSizes) {
    this.#target = target;
    this.#sizes = sizes;
  }

  /** True when the page exists. */
  hasPage(slru: SlruKind, pageNumber: number): boolean {
    return slruPageInSegment(pageNumber) < this.#sizes.size(this.#segment(slru, slruSegment(pageNumber)));
  }

  /** Makes the page one of zeroes, whether it existed or not. */
  zeroPage(slru: SlruKind, pageNumber: number, lsn: Lsn): void {
    const segment = this.#segment(slru, slruSegment(pageNumber));
    const block = slruPageInSegment(pageNumber);
    this.#sizes.extend(segment, block, true, lsn);
    this.#target.put(segment, block, lsn, ValueKind.zeroPage, NO_BYTES, 0, 0);
  }

  /**
   * Puts the page operation `bytes[0, length)`. A page that does not exist yet counts as zeroes, as PostgreSQL's recovery reads it (slru.c, SlruPhysicalReadPage()).
   * @param view a view over exactly `bytes`
   */
  putOperation(slru: SlruKind, pageNumber: number, lsn: Lsn, bytes: Uint8Array, view: DataView, length: number): void {
    const segment = this.#segment(slru, slruSegment(pageNumber));
    const block = slruPageInSegment(pageNumber);
    if (block < this.#sizes.size(segment)) {
      this.#target.put(segment, block, lsn, ValueKind.operation, bytes, 0, length);
      return;
    }
    this.#sizes.extend(segment, block, true, lsn);
    this.#page.bytes.fill(0);
    applyOperation(view, 0, length, this.#page, lsn);
    this.#target.put(segment, block, lsn, ValueKind.image, this.#page.bytes, 0, this.#page.bytes.length);
  }

  /** The segment exists no more; nothing happens when it does not. */
  removeSegment(slru: SlruKind, segment: number): void {
    this.#sizes.remove(this.#segment(slru, segment));
  }

  /** Removes every segment of which `isOld` says so; it gets the segment's number.*/
  removeSegments(slru: SlruKind, isOld: (segment: number) => boolean): void {
    const old: number[] = [];
    const visit = (key: ScannedKey): void => {
      if (isOld(key.rel)) old.push(key.rel);
    };
    this.#target.scan(ObjectKind.slruSize, this.#target.lastRecordLsn, visit, { spc: slru });
    for (const segment of old) this.removeSegment(slru, segment);
  }

  #segment(slru: SlruKind, segment: number): ObjectId {
    return this.#sizes.open(ObjectKind.slru, slru, 0, segment, 0);
  }
}
