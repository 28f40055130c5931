/** Something that redo must never do, found by a fuzzer. Not an error that redo may throw itself, so that nothing catches it. */
export class FuzzViolation extends Error {}

/** More accesses than any single call makes by far: a loop without an end. */
const ACCESSES_MAX = 2_000_000;

/** A view that allows access to some of its bytes only, and not for ever. */
export class BoundedView extends DataView<ArrayBuffer> {
  readonly #from: number;
  readonly #to: number;
  readonly #writable: boolean;
  #left = ACCESSES_MAX;

  /** Allows `[from, to)` of `bytes`, reading or also writing. */
  constructor(bytes: Uint8Array<ArrayBuffer>, from: number, to: number, writable: boolean) {
    super(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#from = from;
    this.#to = to;
    this.#writable = writable;
  }

  #check(offset: number, size: number, write: boolean): void {
    if (--this.#left < 0) throw new FuzzViolation(`more than ${ACCESSES_MAX} accesses`);
    // What lies outside of the view is its own RangeError, which redo turns into a CorruptionError.
    if (offset < 0 || offset + size > this.byteLength || !Number.isInteger(offset)) return;
    if (offset < this.#from || offset + size > this.#to)
      throw new FuzzViolation(
        `access to bytes [${offset}, ${offset + size}), allowed are [${this.#from}, ${this.#to})`,
      );
    if (write && !this.#writable) throw new FuzzViolation(`a write to byte ${offset} of what is only borrowed`);
  }

  override getUint8(offset: number): number {
    this.#check(offset, 1, false);
    return super.getUint8(offset);
  }
  override getInt8(offset: number): number {
    this.#check(offset, 1, false);
    return super.getInt8(offset);
  }
  override getUint16(offset: number, little?: boolean): number {
    this.#check(offset, 2, false);
    return super.getUint16(offset, little);
  }
  override getInt16(offset: number, little?: boolean): number {
    this.#check(offset, 2, false);
    return super.getInt16(offset, little);
  }
  override getUint32(offset: number, little?: boolean): number {
    this.#check(offset, 4, false);
    return super.getUint32(offset, little);
  }
  override getInt32(offset: number, little?: boolean): number {
    this.#check(offset, 4, false);
    return super.getInt32(offset, little);
  }
  override getBigUint64(offset: number, little?: boolean): bigint {
    this.#check(offset, 8, false);
    return super.getBigUint64(offset, little);
  }
  override setUint8(offset: number, value: number): void {
    this.#check(offset, 1, true);
    super.setUint8(offset, value);
  }
  override setUint16(offset: number, value: number, little?: boolean): void {
    this.#check(offset, 2, true);
    super.setUint16(offset, value, little);
  }
  override setUint32(offset: number, value: number, little?: boolean): void {
    this.#check(offset, 4, true);
    super.setUint32(offset, value, little);
  }
  override setInt32(offset: number, value: number, little?: boolean): void {
    this.#check(offset, 4, true);
    super.setInt32(offset, value, little);
  }
  override setBigUint64(offset: number, value: bigint, little?: boolean): void {
    this.#check(offset, 8, true);
    super.setBigUint64(offset, value, little);
  }
}
