import { CorruptionError } from '@zenith/base';
import { BackwardBits } from './backward-bits.ts';
import { readFseTable } from './fse-table.ts';

// Weights of the symbols 0, 1, …; weight w > 0 means a code of (longest + 1 - w) bits; the last symbol's weight is not written, it completes a power of two.
// First byte 128 and above: n = byte - 127 weights follow in 4 bits each, the high half first. Below: that many bytes, an FSE table and a stream that two states read in turn.
// RFC 8878, 4.2.1
const DIRECT = 127;
const WEIGHT_MAX = 11;
const WEIGHTS_MAX = 255;
const WEIGHT_ACCURACY_MAX = 6;

/** A decoding table: the next `longest` bits of a stream give a symbol and how many of them its code takes. */
export interface HuffmanTable {
  readonly longest: number;
  readonly symbols: Uint8Array;
  readonly bits: Uint8Array;
}

/** Reads a table from `bytes[at, end)`; gives it and where it ends. @throws CorruptionError */
export function readHuffmanTable(
  bytes: Uint8Array,
  at: number,
  end: number,
): { readonly table: HuffmanTable; readonly end: number } {
  if (at >= end) throw new CorruptionError('a Huffman table is cut off');
  const first = bytes[at] as number;
  const length = first > DIRECT ? (first - DIRECT + 1) >>> 1 : first;
  const after = at + 1 + length;
  if (after > end) throw new CorruptionError('a Huffman table is cut off');
  const weights =
    first > DIRECT
      ? Array.from(
          { length: first - DIRECT },
          (_, i) => ((bytes[at + 1 + (i >>> 1)] as number) >>> ((i & 1) === 0 ? 4 : 0)) & 15,
        )
      : compressedWeights(bytes, at + 1, after);
  return { table: huffmanTable(weights), end: after };
}

function compressedWeights(bytes: Uint8Array, at: number, end: number): number[] {
  const { table, end: start } = readFseTable(bytes, at, end, WEIGHT_ACCURACY_MAX, WEIGHT_MAX);
  const stream = new BackwardBits(bytes, start, end);
  const states = [stream.read(table.accuracy), stream.read(table.accuracy)];
  const weights: number[] = [];
  for (let turn = 0; weights.length < WEIGHTS_MAX; turn ^= 1) {
    const state = states[turn] as number;
    weights.push(table.symbols[state] as number);
    const bits = table.bits[state] as number;
    if (bits > stream.left) {
      weights.push(table.symbols[states[turn ^ 1] as number] as number);
      return weights;
    }
    states[turn] = (table.bases[state] as number) + stream.read(bits);
  }
  throw new CorruptionError('a Huffman table with too many weights');
}

function huffmanTable(weights: readonly number[]): HuffmanTable {
  let sum = 0;
  for (const weight of weights) {
    if (weight > WEIGHT_MAX) throw new CorruptionError(`a Huffman weight of ${weight}`);
    if (weight > 0) sum += 1 << (weight - 1);
  }
  const longest = 32 - Math.clz32(sum);
  const rest = (1 << longest) - sum;
  if (sum === 0 || longest > WEIGHT_MAX || weights.length > WEIGHTS_MAX || (rest & (rest - 1)) !== 0)
    throw new CorruptionError('Huffman weights that do not add up');
  const all = [...weights, 32 - Math.clz32(rest)];
  const symbols = new Uint8Array(1 << longest);
  const bits = new Uint8Array(1 << longest);
  // The longest codes come first; among codes of one length the symbols ascend.
  let at = 0;
  for (let weight = 1; weight <= longest; weight++) {
    all.forEach((own, symbol) => {
      if (own !== weight) return;
      symbols.fill(symbol, at, at + (1 << (weight - 1)));
      bits.fill(longest + 1 - weight, at, at + (1 << (weight - 1)));
      at += 1 << (weight - 1);
    });
  }
  return { longest, symbols, bits };
}

/** Decodes one stream, `from[start, end)`, into `to[at, stop)`: it must give exactly that many symbols. @throws CorruptionError */
export function decodeHuffmanStream(
  table: HuffmanTable,
  from: Uint8Array,
  start: number,
  end: number,
  to: Uint8Array,
  at: number,
  stop: number,
): void {
  const stream = new BackwardBits(from, start, end);
  for (let i = at; i < stop; i++) {
    const code = stream.peek(table.longest);
    to[i] = table.symbols[code] as number;
    stream.skip(table.bits[code] as number);
  }
  if (stream.left !== 0) throw new CorruptionError('a Huffman stream that is longer than its symbols');
}
