import { CorruptionError } from '@zenith/base';
import { decodeHuffmanStream, readHuffmanTable, type HuffmanTable } from './huffman-table.ts';

// Literals section: bits 0-1 of the first byte are the type, 2-3 how wide the numbers behind them are.
//   raw, run:              how many in 5 (1 byte in all), 12 (2) or 20 bits (3); the bytes, or the one that repeats
//   Huffman, same table:   how many, then length of what follows, in 10 (3 bytes in all), 14 (4) or 18 bits (5) each; of the first a table; then one stream, or the lengths
//                          of three streams, u16 each, and four streams, each for a quarter of the literals, rounded up
// RFC 8878, 3.1.1.3.1
const RAW = 0;
const RUN = 1;
const SAME_TABLE = 3;
const JUMP_TABLE = 6;

/** What one block leaves to the next of its frame, and the literals of the block at hand. */
export class Literals {
  /** As long as the page, and never grown: a block cannot have more. */
  readonly bytes: Uint8Array;
  /** How many there are. */
  count = 0;
  #table: HuffmanTable | undefined;

  /** @param max as many as there can be */
  constructor(max: number) {
    this.bytes = new Uint8Array(max);
  }

  /** Decodes the section at `from[at, end)`; gives its end. @throws CorruptionError */
  read(from: Uint8Array, at: number, end: number): number {
    if (at >= end) throw new CorruptionError('a block without literals');
    const first = from[at] as number;
    const type = first & 3;
    const format = (first >>> 2) & 3;
    return type === RAW || type === RUN
      ? this.#readPlain(from, at, end, type, format)
      : this.#readHuffman(from, at, end, type, format);
  }

  #take(count: number): void {
    if (count > this.bytes.length) throw new CorruptionError(`a block with ${count} literals`);
    this.count = count;
  }

  #readPlain(from: Uint8Array, at: number, end: number, type: number, format: number): number {
    const header = (format & 1) === 0 ? 1 : format === 1 ? 2 : 3;
    const value = littleEndian(from, at, header, end);
    this.#take((format & 1) === 0 ? value >>> 3 : value >>> 4);
    const start = at + header;
    const after = start + (type === RAW ? this.count : 1);
    if (after > end) throw new CorruptionError('literals are cut off');
    if (type === RAW) this.bytes.set(from.subarray(start, after));
    else this.bytes.fill(from[start] as number, 0, this.count);
    return after;
  }

  #readHuffman(from: Uint8Array, at: number, end: number, type: number, format: number): number {
    const width = format < 2 ? 10 : format === 2 ? 14 : 18;
    const header = (4 + 2 * width + 7) >>> 3;
    const value = littleEndian(from, at, header, end);
    this.#take(Math.floor(value / 16) % 2 ** width);
    let start = at + header;
    const after = start + Math.floor(value / 2 ** (4 + width));
    if (after > end) throw new CorruptionError('literals are cut off');
    if (type !== SAME_TABLE) {
      const { table, end: behind } = readHuffmanTable(from, start, after);
      this.#table = table;
      start = behind;
    }
    const table = this.#table;
    if (table === undefined) throw new CorruptionError('literals by the table before, and there is none');
    if (format === 0) {
      decodeHuffmanStream(table, from, start, after, this.bytes, 0, this.count);
      return after;
    }
    const quarter = (this.count + 3) >>> 2;
    if (start + JUMP_TABLE > after || 3 * quarter > this.count)
      throw new CorruptionError(`four streams for ${this.count} literals`);
    let stream = start + JUMP_TABLE;
    for (let i = 0; i < 4; i++) {
      const length = i < 3 ? littleEndian(from, start + 2 * i, 2, after) : after - stream;
      if (stream + length > after) throw new CorruptionError('a stream of literals is cut off');
      decodeHuffmanStream(
        table,
        from,
        stream,
        stream + length,
        this.bytes,
        i * quarter,
        i < 3 ? (i + 1) * quarter : this.count,
      );
      stream += length;
    }
    return after;
  }
}

function littleEndian(bytes: Uint8Array, at: number, length: number, end: number): number {
  if (at + length > end) throw new CorruptionError('a header is cut off');
  let value = 0;
  for (let i = 0; i < length; i++) value += (bytes[at + i] as number) * 2 ** (8 * i);
  return value;
}
