import { CorruptionError } from '@zenith/base';

/** Most bits that one read takes. */
export const READ_BITS_MAX = 24;

/**
 * Reads a bit stream of zstd from its end: the last byte's highest set bit is a mark, the bits below it come first, each group with its highest bit first.
 * RFC 8878, 4.1: bitstreams that are read backwards.
 */
export class BackwardBits {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  /** How many bits are left. */
  left: number;

  /** Over `bytes[start, end)`, borrowed. @throws CorruptionError when there is no mark */
  constructor(bytes: Uint8Array, start: number, end: number) {
    const last = end > start ? (bytes[end - 1] as number) : 0;
    if (last === 0) throw new CorruptionError('a bit stream without its mark');
    this.#bytes = bytes;
    this.#start = start;
    this.left = (end - start - 1) * 8 + 31 - Math.clz32(last);
  }

  /** The next `count` bits, at most {@link READ_BITS_MAX}, without taking them; zeroes stand for those behind the end. */
  peek(count: number): number {
    const at = this.left - count;
    if (at < 0) return this.left === 0 ? 0 : this.#bits(0, this.left) << -at;
    return this.#bits(at, count);
  }

  /** Takes `count` bits. @throws CorruptionError when fewer are left */
  skip(count: number): void {
    if (count > this.left) throw new CorruptionError('a bit stream that ends too early');
    this.left -= count;
  }

  /** The next `count` bits, at most {@link READ_BITS_MAX}. @throws CorruptionError when fewer are left */
  read(count: number): number {
    const value = this.peek(count);
    this.skip(count);
    return value;
  }

  #bits(at: number, count: number): number {
    const first = this.#start + (at >>> 3);
    const shift = at & 7;
    let value = 0;
    for (let i = 0; i * 8 < shift + count; i++) value |= (this.#bytes[first + i] as number) << (i * 8);
    return (value >>> shift) & ((1 << count) - 1);
  }
}
