import { assert, AssertionError, type Lsn } from '@zenith/base';
import { BLCKSZ } from '@zenith/pg-format';
import { ObjectKind } from '../key-space/object.ts';
import { NO_OBJECT, type ObjectId } from '../key-space/object-table.ts';
import { isBase, ValueKind } from '../key-space/value.ts';
import type { MergedValues } from '../compaction/merge-layers.ts';
import type { LayerSetWriter } from '../layers/layer-set-writer.ts';
import type { TimelineState } from '../timeline/timeline-state.ts';

/** Values up to a point are kept as they are when they take no more than this together; a page takes 8 KiB. Unit: bytes. */
const CHAIN_BYTES_MAX = 4096;

/** … and are no more than this. */
const CHAIN_VALUES_MAX = 32;

interface Value {
  readonly lsn: Lsn;
  readonly kind: ValueKind;
  readonly bytes: Uint8Array;
}

/**
 * Of the values of each key it passes on what reads at some points need, and nothing else: at each point the values since the last base, or since the point before, or an image in their place. A page that cannot be rebuilt keeps its
 * values. Between two points nothing can be read any more.
 */
export class RetainedValues implements MergedValues {
  readonly #state: TimelineState;
  readonly #points: readonly Lsn[];
  readonly #files: LayerSetWriter;
  readonly #page = new Uint8Array(BLCKSZ);
  #object: ObjectId = NO_OBJECT;
  #block = -1;
  #kind: ObjectKind = ObjectKind.relation;
  /** The first point that is not settled. */
  #next = 0;
  /** The values since the last base or the last point that is settled. */
  #chain: Value[] = [];
  #chainBytes = 0;
  #writtenLsn = -1;
  /** How many values were passed on. */
  written = 0;

  /** @param points where reads are to give what they give now, ascending; no value that comes is above the last */
  constructor(state: TimelineState, points: readonly Lsn[], files: LayerSetWriter) {
    assert(points.length > 0, 'history is kept for some point');
    this.#state = state;
    this.#points = points;
    this.#files = files;
  }

  /** As the files' own, before the first value of a key: what the key before leaves is passed on first, so that no key lies in two files. */
  endIfFull(object: ObjectId, block: number): Promise<void> | undefined {
    if (object !== this.#object || block !== this.#block) this.#beginKey(object, block);
    return this.#files.endIfFull(object, block);
  }

  add(
    object: ObjectId,
    block: number,
    lsn: Lsn,
    kind: ValueKind,
    bytes: Uint8Array,
    _view: DataView,
    offset: number,
    length: number,
  ): void {
    assert(object === this.#object && block === this.#block, 'a key begins with endIfFull');
    assert(lsn <= (this.#points.at(-1) as Lsn), 'what is merged lies at or below the last point');
    const before = this.#next;
    while (lsn > (this.#points[this.#next] as Lsn)) this.#settle();
    if (isBase(kind)) this.#forget();
    const value = { lsn, kind, bytes: bytes.slice(offset, offset + length) };
    this.#chain.push(value);
    this.#chainBytes += length;
    // A batch of commits is stored after them: those up to a point may lie in the first batch behind it.
    if (this.#kind === ObjectKind.commitTimes && this.#next > before) this.#write(value);
  }

  /** The last value of the last key has come. */
  finish(): void {
    if (this.#object === NO_OBJECT) return;
    while (this.#next < this.#points.length) this.#settle();
    this.#forget();
  }

  #beginKey(object: ObjectId, block: number): void {
    this.finish();
    this.#object = object;
    this.#block = block;
    this.#kind = this.#state.objects.kind(object);
    this.#next = 0;
    this.#writtenLsn = -1;
  }

  #settle(): void {
    const point = this.#points[this.#next++] as Lsn;
    if (this.#chain.length === 0) return;
    if (this.#exists(point)) this.#keep(point);
    this.#forget();
  }

  #keep(point: Lsn): void {
    const isShort = this.#chainBytes <= CHAIN_BYTES_MAX && this.#chain.length <= CHAIN_VALUES_MAX;
    if (!isShort && this.#chain.length > 1 && this.#rebuild(point)) {
      this.#write({ lsn: point, kind: ValueKind.image, bytes: this.#page });
      return;
    }
    for (const value of this.#chain) this.#write(value);
  }

  /** False when the key is no page at `point`: a dropped or truncated relation. When it is one again, later, it begins with a base. */
  #exists(point: Lsn): boolean {
    if (!this.#isPage()) return true;
    try {
      return this.#block < this.#state.shared.reader.readSize(this.#state, this.#object, point);
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      return true; // the size cannot be read: what is there stays
    }
  }

  #rebuild(point: Lsn): boolean {
    if (!this.#isPage()) return false;
    try {
      this.#state.shared.reader.readPages(this.#state, this.#object, this.#block, 1, point, this.#page, 0);
      return true;
    } catch (error) {
      if (error instanceof AssertionError) throw error;
      return false;
    }
  }

  #isPage(): boolean {
    return this.#kind === ObjectKind.relation || this.#kind === ObjectKind.slru;
  }

  #write({ lsn, kind, bytes }: Value): void {
    if (lsn <= this.#writtenLsn) return;
    this.#files.add(this.#object, this.#block, lsn, kind, bytes, 0, bytes.length);
    this.#writtenLsn = lsn;
    this.written++;
  }

  #forget(): void {
    this.#chain = [];
    this.#chainBytes = 0;
  }
}
