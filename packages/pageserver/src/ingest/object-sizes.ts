import { CorruptionError, assert, type Lsn } from '@zenith/base';
import type { ObjectId } from '../key-space/object-table.ts';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import type { IngestTarget } from './target.ts';

/** Size of an object that does not exist. */
export const ABSENT = -1;

const UNKNOWN = -2;

/** Most blocks that one record may add before its own: 32 GiB. A gap beyond it is not a relation that grew but bad WAL. Unit: blocks. */
const GAP_BLOCKS_MAX = 4 * 1024 * 1024;

const NO_BYTES = new Uint8Array(0);

/** A kind of object that has a size: its size is an object of the kind that follows it. */
export type SizedKind = typeof ObjectKind.relation | typeof ObjectKind.slru;

/**
 * The sizes of relation forks and SLRU segments at the head of a timeline, cached for ingest, which alone changes them. Sizes that a record changes are put once, at the end of
 * the record, however many of its blocks made the object grow: no key ever has two values at one LSN.
 */
export class ObjectSizes {
  readonly #target: IngestTarget;
  /** By object id: size in blocks, ABSENT or UNKNOWN. */
  #sizes = new Float64Array(1024).fill(UNKNOWN);
  /** By object id: the object that holds its size. */
  #sizeObjects = new Float64Array(1024);
  /** Objects whose size is to be put at the end of the record. */
  readonly #changed: ObjectId[] = [];
  /** By object id: 1 when it is among those. */
  #isChanged = new Uint8Array(1024);
  readonly #value = new Uint8Array(4);
  readonly #view = new DataView(this.#value.buffer);

  constructor(target: IngestTarget) {
    this.#target = target;
  }

  /** The object's id; from then on {@link size} knows it. */
  open(kind: SizedKind, spc: number, db: number, rel: number, fork: number): ObjectId {
    const object = this.#target.intern(kind, spc, db, rel, fork);
    if (object >= this.#sizes.length) this.#grow(object);
    if (this.#sizes[object] === UNKNOWN) {
      const sizeObject = this.#target.intern(
        kind === ObjectKind.relation ? ObjectKind.relationSize : ObjectKind.slruSize,
        spc,
        db,
        rel,
        fork,
      );
      const value = this.#target.readSmall(sizeObject, this.#target.lastRecordLsn);
      this.#sizeObjects[object] = sizeObject;
      this.#sizes[object] = value === undefined || value.length === 0 ? ABSENT : decodeSize(value);
    }
    return object;
  }

  /** Size of an opened object, or {@link ABSENT}. Unit: blocks. */
  size(object: ObjectId): number {
    return this.#sizes[object] as number;
  }

  /**
   * Makes an opened object long enough for `block`: every block that comes to be is a page of zeroes at first, as in PostgreSQL's recovery. A block that the
   * record itself initialises (`hasBase`) needs none.
   * @throws CorruptionError when the block lies absurdly far behind the end
   */
  extend(object: ObjectId, block: number, hasBase: boolean, lsn: Lsn): void {
    const from = Math.max(this.#sizes[object] as number, 0);
    if (block < from) return;
    if (block - from > GAP_BLOCKS_MAX)
      throw new CorruptionError(`a record for block ${block} of an object of ${from} blocks`, {
        source: 'WAL',
        offset: lsn,
      });
    const end = hasBase ? block : block + 1;
    for (let b = from; b < end; b++) this.#target.put(object, b, lsn, ValueKind.zeroPage, NO_BYTES, 0, 0);
    this.setSize(object, block + 1);
  }

  /** Sets the size of an opened object, creating it if it is absent. It is put by {@link putChanged}. Unit: blocks. */
  setSize(object: ObjectId, blocks: number): void {
    this.#set(object, blocks);
  }

  /** The opened object exists no more; put by {@link putChanged}. */
  remove(object: ObjectId): void {
    if (this.#sizes[object] !== ABSENT) this.#set(object, ABSENT);
  }

  /** Puts the sizes that changed, at the end of the record that changed them. */
  putChanged(lsn: Lsn): void {
    for (const object of this.#changed) {
      this.#isChanged[object] = 0;
      const size = this.#sizes[object] as number;
      const sizeObject = this.#sizeObjects[object] as ObjectId;
      if (size === ABSENT) {
        this.#target.put(sizeObject, 0, lsn, ValueKind.image, NO_BYTES, 0, 0);
      } else {
        this.#view.setUint32(0, size, true);
        this.#target.put(sizeObject, 0, lsn, ValueKind.image, this.#value, 0, 4);
      }
    }
    this.#changed.length = 0;
  }

  /** True when {@link putChanged} has something to do. */
  get hasChanged(): boolean {
    return this.#changed.length > 0;
  }

  #set(object: ObjectId, size: number): void {
    assert(this.#sizes[object] !== UNKNOWN, 'an object is opened before its size changes');
    this.#sizes[object] = size;
    if (this.#isChanged[object] === 1) return;
    this.#isChanged[object] = 1;
    this.#changed.push(object);
  }

  #grow(object: ObjectId): void {
    const length = 2 ** Math.ceil(Math.log2(object + 1));
    const sizes = new Float64Array(length).fill(UNKNOWN);
    sizes.set(this.#sizes);
    this.#sizes = sizes;
    const sizeObjects = new Float64Array(length);
    sizeObjects.set(this.#sizeObjects);
    this.#sizeObjects = sizeObjects;
    const isChanged = new Uint8Array(length);
    isChanged.set(this.#isChanged);
    this.#isChanged = isChanged;
  }
}

/** Reads the value of a size object that is not empty. @throws CorruptionError */
export function decodeSize(value: Uint8Array): number {
  if (value.length !== 4)
    throw new CorruptionError(`a size of ${value.length} bytes instead of 4`, { source: 'size value' });
  return new DataView(value.buffer, value.byteOffset, 4).getUint32(0, true);
}
