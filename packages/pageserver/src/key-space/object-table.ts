import { assert } from '@zenith/base';
import { ObjectKind } from './object.ts';
import { storedKey, type StoredKey } from './stored-key.ts';

declare const brand: unique symbol;

/** Names an object inside this process: a small integer, dense from 0, the same for every timeline of a tenant. Never stored. */
export type ObjectId = number & { readonly [brand]: 'object' };

/** What {@link ObjectTable.find} returns for an object that no layer and no put has ever named. */
export const NO_OBJECT = -1 as ObjectId;

/** Most objects one tenant can have in one process: the ids stay small integers and the table stays below 1 GiB. */
const OBJECTS_MAX = 1 << 24;

const COLUMNS = 5;
const KIND_FORK = 0;
const SPC = 1;
const DB = 2;
const REL = 3;
const SIZE_OBJECT = 4;
const UNRESOLVED = -2;

/** What of a table another thread is told. */
export interface SharedObjects {
  readonly rows: SharedArrayBuffer;
  readonly count: number;
}

/**
 * The objects of one tenant, numbered. An open-addressing table over typed arrays: a look-up allocates nothing. Ids are given by `intern`, which
 * ingest and the opening of a layer call, so the table knows every object that has ever had a value; what `find` does not know does not exist.
 * Reads call `find`, so that no reader can make the table grow.
 */
export class ObjectTable {
  #rows = new Int32Array(new SharedArrayBuffer(COLUMNS * 1024 * 4));
  #slots = new Int32Array(2048).fill(-1);
  #count = 0;
  readonly #byKind = new Map<number, ObjectId[]>();
  readonly #sortedUpTo = new Map<number, number>();

  /** A table with the objects of another thread's, under the ids that they have there. */
  static of({ rows, count }: SharedObjects): ObjectTable {
    const table = new ObjectTable();
    const theirs = new Int32Array(rows);
    for (let id = 0; id < count; id++) {
      const row = id * COLUMNS;
      const kindFork = theirs[row + KIND_FORK] as number;
      const interned = table.intern(
        (kindFork & 0xff) as ObjectKind,
        (theirs[row + SPC] as number) >>> 0,
        (theirs[row + DB] as number) >>> 0,
        (theirs[row + REL] as number) >>> 0,
        kindFork >>> 8,
      );
      assert(interned === id, 'an object is in a table once');
    }
    return table;
  }

  /** The objects for another thread, which may read the same memory: what there is of an object now never changes. */
  get shared(): SharedObjects {
    return { rows: this.#rows.buffer, count: this.#count };
  }

  /** How many objects there are; ids are below it. */
  get count(): number {
    return this.#count;
  }

  /** The id of an object, or {@link NO_OBJECT}. Allocates nothing. */
  find(kind: ObjectKind, spc: number, db: number, rel: number, fork: number): ObjectId {
    return this.#slots[this.#probe(kind | (fork << 8), spc | 0, db | 0, rel | 0)] as number as ObjectId;
  }

  /** The id of an object, given to it now if it has none. */
  intern(kind: ObjectKind, spc: number, db: number, rel: number, fork: number): ObjectId {
    const kindFork = kind | (fork << 8);
    const slot = this.#probe(kindFork, spc | 0, db | 0, rel | 0);
    const known = this.#slots[slot] as number;
    if (known >= 0) return known as ObjectId;
    assert(this.#count < OBJECTS_MAX, 'a tenant has at most 2^24 objects');
    const id = this.#count as ObjectId;
    if ((id + 1) * COLUMNS > this.#rows.length) {
      const rows = new Int32Array(new SharedArrayBuffer(this.#rows.length * 2 * 4));
      rows.set(this.#rows);
      this.#rows = rows;
    }
    const row = id * COLUMNS;
    this.#rows[row + KIND_FORK] = kindFork;
    this.#rows[row + SPC] = spc;
    this.#rows[row + DB] = db;
    this.#rows[row + REL] = rel;
    this.#rows[row + SIZE_OBJECT] = UNRESOLVED;
    this.#slots[slot] = id;
    this.#count++;
    const ofKind = this.#byKind.get(kind);
    if (ofKind === undefined) this.#byKind.set(kind, [id]);
    else ofKind.push(id);
    if (this.#count * 2 > this.#slots.length) this.#grow();
    return id;
  }

  /** Which kind of object it is. */
  kind(object: ObjectId): ObjectKind {
    return ((this.#rows[object * COLUMNS + KIND_FORK] as number) & 0xff) as ObjectKind;
  }

  /** Fork number; 0 where the kind has none. */
  fork(object: ObjectId): number {
    return (this.#rows[object * COLUMNS + KIND_FORK] as number) >>> 8;
  }

  /** Tablespace oid, or what the kind puts there. */
  spc(object: ObjectId): number {
    return (this.#rows[object * COLUMNS + SPC] as number) >>> 0;
  }

  /** Database oid, or what the kind puts there. */
  db(object: ObjectId): number {
    return (this.#rows[object * COLUMNS + DB] as number) >>> 0;
  }

  /** Relfilenode, or what the kind puts there. */
  rel(object: ObjectId): number {
    return (this.#rows[object * COLUMNS + REL] as number) >>> 0;
  }

  /** The object that holds the size of `object`, which has pages; {@link NO_OBJECT} while there is none. Allocates nothing. */
  sizeObject(object: ObjectId): ObjectId {
    const known = this.#rows[object * COLUMNS + SIZE_OBJECT] as number;
    if (known !== UNRESOLVED) return known as ObjectId;
    const kind = this.kind(object);
    assert(kind === ObjectKind.relation || kind === ObjectKind.slru, 'only objects with pages have a size');
    const found = this.find(
      kind === ObjectKind.relation ? ObjectKind.relationSize : ObjectKind.slruSize,
      this.spc(object),
      this.db(object),
      this.rel(object),
      this.fork(object),
    );
    if (found !== NO_OBJECT) this.#rows[object * COLUMNS + SIZE_OBJECT] = found;
    return found;
  }

  /** Negative, zero or positive as `a` sorts before, is, or sorts after `b` in the key space. */
  compare(a: ObjectId, b: ObjectId): number {
    if (a === b) return 0;
    return (
      this.kind(a) - this.kind(b) ||
      this.spc(a) - this.spc(b) ||
      this.db(a) - this.db(b) ||
      this.rel(a) - this.rel(b) ||
      this.fork(a) - this.fork(b)
    );
  }

  /** The stored key of a block of `object`. */
  storedKey(object: ObjectId, block: number): StoredKey {
    return storedKey(this.kind(object), this.spc(object), this.db(object), this.rel(object), this.fork(object), block);
  }

  /** Every object of a kind in key order. The array is the table's own: valid until the next `intern`. */
  sorted(kind: ObjectKind): readonly ObjectId[] {
    const ids = this.#byKind.get(kind) ?? [];
    if (this.#sortedUpTo.get(kind) !== ids.length) {
      ids.sort((a, b) => this.compare(a, b));
      this.#sortedUpTo.set(kind, ids.length);
    }
    return ids;
  }

  #probe(kindFork: number, spc: number, db: number, rel: number): number {
    const mask = this.#slots.length - 1;
    let slot = hash(kindFork, spc, db, rel) & mask;
    for (;;) {
      const id = this.#slots[slot] as number;
      if (id < 0) return slot;
      const row = id * COLUMNS;
      const rows = this.#rows;
      if (
        rows[row + REL] === rel &&
        rows[row + DB] === db &&
        rows[row + SPC] === spc &&
        rows[row + KIND_FORK] === kindFork
      )
        return slot;
      slot = (slot + 1) & mask;
    }
  }

  #grow(): void {
    const slots = new Int32Array(this.#slots.length * 2).fill(-1);
    const mask = slots.length - 1;
    for (let id = 0; id < this.#count; id++) {
      const row = id * COLUMNS;
      let slot =
        hash(
          this.#rows[row + KIND_FORK] as number,
          this.#rows[row + SPC] as number,
          this.#rows[row + DB] as number,
          this.#rows[row + REL] as number,
        ) & mask;
      while ((slots[slot] as number) >= 0) slot = (slot + 1) & mask;
      slots[slot] = id;
    }
    this.#slots = slots;
  }
}

function hash(kindFork: number, spc: number, db: number, rel: number): number {
  let h = Math.imul(rel ^ 0x9e3779b9, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 15) ^ db, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 13) ^ spc, 0x27d4eb2f);
  h = Math.imul(h ^ (h >>> 16) ^ kindFork, 0x165667b1);
  return (h ^ (h >>> 15)) >>> 0;
}
