import { CorruptionError, lsn, type Lsn } from '@zenith/base';

/** Name of the protocol in errors. */
const SOURCE = 'proposer protocol';

/** Reads the fields of one message one after the other; every read is checked against the message's end. */
export class MessageReader {
  readonly #view: DataView;
  readonly #begin: number;
  readonly #end: number;
  #offset: number;

  /** Reads `view[offset, offset + length)`, which is borrowed. */
  constructor(view: DataView, offset: number, length: number) {
    this.#view = view;
    this.#begin = offset;
    this.#offset = offset;
    this.#end = offset + length;
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#end - this.#offset;
  }

  /** An unsigned byte. */
  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  /** A 32-bit unsigned number. */
  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A u64 that must be a safe integer. */
  u64(field: string): number {
    const offset = this.#take(8);
    const value = this.#view.getUint32(offset + 4, true) * 0x1_0000_0000 + this.#view.getUint32(offset, true);
    if (!Number.isSafeInteger(value)) throw this.corrupt(`${field} is at or beyond 2^53`);
    return value;
  }

  /** A u64 of which all bits are data. */
  u64Bits(): bigint {
    return this.#view.getBigUint64(this.#take(8), true);
  }

  /** An LSN. */
  lsn(field: string): Lsn {
    return lsn(this.u64(field));
  }

  /** Sixteen bytes as 32 lower-case hexadecimal digits. */
  id(): string {
    const offset = this.#take(16);
    return Buffer.from(this.#view.buffer, this.#view.byteOffset + offset, 16).toString('hex');
  }

  /** Passes over reserved bytes. */
  skip(length: number): void {
    this.#take(length);
  }

  /** @throws CorruptionError when bytes are left */
  finish(): void {
    if (this.remaining !== 0) throw this.corrupt(`${this.remaining} bytes follow the message`);
  }

  /** An error at the present position. */
  corrupt(what: string): CorruptionError {
    return new CorruptionError(what, { source: SOURCE, offset: this.#offset - this.#begin });
  }

  #take(length: number): number {
    const offset = this.#offset;
    if (length > this.#end - offset) throw this.corrupt('the message is cut short');
    this.#offset = offset + length;
    return offset;
  }
}
