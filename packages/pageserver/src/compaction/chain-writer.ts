import { AssertionError, type Lsn } from '@zenith/base';
import { allocatePage, type Page, type PgMajor } from '@zenith/pg-format';
import { ObjectKind } from '../key-space/object.ts';
import { NO_OBJECT, type ObjectId, type ObjectTable } from '../key-space/object-table.ts';
import { isBase, ValueKind } from '../key-space/value.ts';
import type { LayerSetWriter } from '../layers/layer-set-writer.ts';
import { applyValue } from '../timeline/reconstruct.ts';
import type { PageRedo } from '../timeline/redo.ts';

/** What inserting images needs; see chainImages() for a timeline's. */
export interface ChainImages {
  readonly redo: PageRedo;
  readonly pgMajor: PgMajor;
  readonly objects: ObjectTable;
  /** An image is inserted after so many values without one … */
  readonly afterValues: number;
  /** … or so many bytes. */
  readonly afterBytes: number;
  /** Rebuilds a page as of `lsn`, from what the timeline has. Throws when it cannot. */
  readPage(object: ObjectId, block: number, lsn: Lsn, page: Page): void;
}

/**
 * Passes the values of a layer on to its file and, where the history of a page runs long without a base, puts an image between them. So a read of a page with 100,000 changes
 * applies at most `afterValues` of them. From its first image on, a page is carried along and each value is redone once: the work is linear in the history.
 * History is the same with and without these images.
 */
export class ChainWriter {
  readonly #target: LayerSetWriter;
  readonly #images: ChainImages;
  readonly #page = allocatePage();
  /** True while `#page` is the page as of the last value. */
  #carried = false;
  #canImage = false;
  #object: ObjectId = NO_OBJECT;
  #block = -1;
  #lastLsn = -1;
  #values = 0;
  #bytes = 0;
  /** How many images were put in. */
  imageCount = 0;

  /** @param target takes the values */
  constructor(target: LayerSetWriter, images: ChainImages) {
    this.#target = target;
    this.#images = images;
  }

  /** Appends a value; keys come in order, the values of a key in the order of their LSNs. */
  add(
    object: ObjectId,
    block: number,
    lsn: Lsn,
    kind: ValueKind,
    bytes: Uint8Array,
    view: DataView,
    offset: number,
    length: number,
  ): void {
    if (object !== this.#object || block !== this.#block) this.#beginKey(object, block);
    if (isBase(kind)) {
      this.#values = 0;
      this.#bytes = 0;
    } else if (
      this.#canImage &&
      lsn > this.#lastLsn &&
      (this.#values >= this.#images.afterValues || this.#bytes >= this.#images.afterBytes)
    ) {
      this.#putImage();
    }
    this.#target.add(object, block, lsn, kind, bytes, offset, length, view);
    this.#lastLsn = lsn;
    this.#values++;
    this.#bytes += length;
    if (!this.#carried) return;
    try {
      applyValue(this.#images.redo, this.#images.pgMajor, kind, bytes, view, offset, length, lsn, this.#page);
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #beginKey(object: ObjectId, block: number): void {
    const kind = this.#images.objects.kind(object);
    this.#object = object;
    this.#block = block;
    this.#canImage = kind === ObjectKind.relation || kind === ObjectKind.slru;
    this.#carried = false;
    this.#lastLsn = -1;
    this.#values = 0;
    this.#bytes = 0;
  }

  #putImage(): void {
    const at = this.#lastLsn as Lsn;
    if (!this.#carried) {
      try {
        this.#images.readPage(this.#object, this.#block, at, this.#page);
      } catch (error) {
        this.#giveUp(error);
        return;
      }
      this.#carried = true;
    }
    this.#target.add(this.#object, this.#block, at, ValueKind.image, this.#page.bytes, 0, this.#page.bytes.length);
    this.imageCount++;
    this.#values = 0;
    this.#bytes = 0;
  }

  /** A page that cannot be rebuilt (its records have no redo, a layer is corrupt) gets no images: whoever reads it gets the error. */
  #giveUp(error: unknown): void {
    if (error instanceof AssertionError) throw error;
    this.#carried = false;
    this.#canImage = false;
  }
}
