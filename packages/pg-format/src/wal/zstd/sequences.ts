import { CorruptionError } from '@zenith/base';
import { BackwardBits, READ_BITS_MAX } from './backward-bits.ts';
import { constantTable, fseTable, readFseTable, type FseTable } from './fse-table.ts';
import type { Literals } from './literals.ts';

// Sequences section: number u8, or from 128 on u16 ((first - 128) << 8 | second), or behind 255 u16 + 0x7f00; unless 0 a byte with how the tables of literal lengths (bits 6-7),
// offsets (4-5) and match lengths (2-3) are given: predefined, one symbol u8, FSE table, the one before; the tables; a stream that is read backwards.
// RFC 8878, 3.1.1.3.2
const PREDEFINED = 0;
const ONE_SYMBOL = 1;
const REPEAT = 3;
const MANY = 0x7f00;

/** One of the three kinds of numbers that a sequence is made of. */
interface Kind {
  readonly accuracyMax: number;
  readonly symbolMax: number;
  readonly predefined: FseTable;
}

const ones = (count: number): number[] => Array.from({ length: count }, () => 1);
const twos = (count: number): number[] => Array.from({ length: count }, () => 2);
const rare = (count: number): number[] => Array.from({ length: count }, () => -1);

const LITERAL_LENGTH: Kind = {
  accuracyMax: 9,
  symbolMax: 35,
  predefined: fseTable(6, [4, 3, ...twos(11), ...ones(3), ...twos(9), 3, 2, ...ones(5), ...rare(4)]),
};
const MATCH_LENGTH: Kind = {
  accuracyMax: 9,
  symbolMax: 52,
  predefined: fseTable(6, [1, 4, 3, ...twos(6), ...ones(37), ...rare(7)]),
};
const OFFSET: Kind = {
  accuracyMax: 8,
  symbolMax: 31,
  predefined: fseTable(5, [...ones(6), ...twos(3), ...ones(15), ...rare(5)]),
};

/** Extra bits by code; each code's range begins where the one before ends. */
const LITERAL_LENGTH_BITS = [
  ...Array.from({ length: 16 }, () => 0),
  1,
  1,
  1,
  1,
  2,
  2,
  3,
  3,
  4,
  6,
  7,
  8,
  9,
  10,
  11,
  12,
  13,
  14,
  15,
  16,
];
const MATCH_LENGTH_BITS = [
  ...Array.from({ length: 32 }, () => 0),
  1,
  1,
  1,
  1,
  2,
  2,
  3,
  3,
  4,
  4,
  5,
  7,
  8,
  9,
  10,
  11,
  12,
  13,
  14,
  15,
  16,
];
const LITERAL_LENGTH_BASE = bases(LITERAL_LENGTH_BITS, 0);
const MATCH_LENGTH_BASE = bases(MATCH_LENGTH_BITS, 3);

function bases(bits: readonly number[], first: number): readonly number[] {
  let next = first;
  return bits.map((width) => {
    const base = next;
    next += 1 << width;
    return base;
  });
}

/** The tables and offsets that one block leaves to the next of its frame. */
export class Sequences {
  #literalLengths: FseTable | undefined;
  #offsets: FseTable | undefined;
  #matchLengths: FseTable | undefined;
  /** The last three offsets, the newest first. */
  readonly #recent = [1, 4, 8];

  /**
   * Executes the sequences in `from[at, end)`, which must be all that is there: `to` grows from `out` on, never beyond `rawLength`; literals that are left follow. Gives the new end of the output.
   * @throws CorruptionError
   */
  execute(
    from: Uint8Array,
    at: number,
    end: number,
    literals: Literals,
    to: Uint8Array,
    out: number,
    rawLength: number,
  ): number {
    const header = sequenceCount(from, at, end);
    let position = out;
    let literal = 0;
    const copyLiterals = (count: number): void => {
      if (count > literals.count - literal || count > rawLength - position)
        throw new CorruptionError(`${count} literals are not there, or do not fit`);
      to.set(literals.bytes.subarray(literal, literal + count), position);
      literal += count;
      position += count;
    };
    if (header.count === 0) {
      if (header.end !== end) throw new CorruptionError('a block without sequences goes on behind them');
    } else {
      const stream = this.#readTables(from, header.end, end);
      const [lengths, offsets, matches] = this.#tables();
      let lengthState = stream.read(lengths.accuracy);
      let offsetState = stream.read(offsets.accuracy);
      let matchState = stream.read(matches.accuracy);
      for (let i = 0; i < header.count; i++) {
        const offsetCode = offsets.symbols[offsetState] as number;
        if (offsetCode > READ_BITS_MAX) throw new CorruptionError(`an offset of ${offsetCode} bits`);
        const offsetValue = (1 << offsetCode) + stream.read(offsetCode);
        const matchCode = matches.symbols[matchState] as number;
        const count = (MATCH_LENGTH_BASE[matchCode] as number) + stream.read(MATCH_LENGTH_BITS[matchCode] as number);
        const lengthCode = lengths.symbols[lengthState] as number;
        const literalCount =
          (LITERAL_LENGTH_BASE[lengthCode] as number) + stream.read(LITERAL_LENGTH_BITS[lengthCode] as number);
        if (i + 1 < header.count) {
          lengthState = nextState(lengths, lengthState, stream);
          matchState = nextState(matches, matchState, stream);
          offsetState = nextState(offsets, offsetState, stream);
        }
        copyLiterals(literalCount);
        const offset = this.#offset(offsetValue, literalCount);
        if (offset === 0 || offset > position || count > rawLength - position)
          throw new CorruptionError(`a match of ${count} bytes, ${offset} bytes back, does not fit`);
        for (const stop = position + count; position < stop; position++) to[position] = to[position - offset] as number;
      }
      if (stream.left !== 0) throw new CorruptionError('sequences that are shorter than their stream');
    }
    copyLiterals(literals.count - literal);
    return position;
  }

  #tables(): readonly [FseTable, FseTable, FseTable] {
    return [this.#literalLengths as FseTable, this.#offsets as FseTable, this.#matchLengths as FseTable];
  }

  #readTables(from: Uint8Array, at: number, end: number): BackwardBits {
    if (at >= end) throw new CorruptionError('sequences are cut off');
    const modes = from[at] as number;
    if ((modes & 3) !== 0) throw new CorruptionError('reserved bits of sequences are set');
    let next = at + 1;
    const table = (mode: number, kind: Kind, before: FseTable | undefined): FseTable => {
      if (mode === PREDEFINED) return kind.predefined;
      if (mode === REPEAT) {
        if (before === undefined) throw new CorruptionError('sequences by the table before, and there is none');
        return before;
      }
      if (mode === ONE_SYMBOL) {
        const symbol = next < end ? (from[next++] as number) : kind.symbolMax + 1;
        if (symbol > kind.symbolMax) throw new CorruptionError(`the symbol ${symbol} of ${kind.symbolMax}`);
        return constantTable(symbol);
      }
      const read = readFseTable(from, next, end, kind.accuracyMax, kind.symbolMax);
      next = read.end;
      return read.table;
    };
    this.#literalLengths = table(modes >>> 6, LITERAL_LENGTH, this.#literalLengths);
    this.#offsets = table((modes >>> 4) & 3, OFFSET, this.#offsets);
    this.#matchLengths = table((modes >>> 2) & 3, MATCH_LENGTH, this.#matchLengths);
    return new BackwardBits(from, next, end);
  }

  /** Values 1 to 3 stand for one of the last three offsets; without literals for the one after it, and the last for the newest less one. */
  #offset(value: number, literalCount: number): number {
    const recent = this.#recent;
    const [newest, second, third] = recent as [number, number, number];
    const which = value > 3 ? 3 : value - 1 + (literalCount === 0 ? 1 : 0);
    const offset = value > 3 ? value - 3 : which === 3 ? newest - 1 : (recent[which] as number);
    if (which > 1) recent[2] = second;
    else recent[2] = third;
    if (which > 0) {
      recent[1] = newest;
      recent[0] = offset;
    }
    return offset;
  }
}

function nextState(table: FseTable, state: number, stream: BackwardBits): number {
  return (table.bases[state] as number) + stream.read(table.bits[state] as number);
}

function sequenceCount(from: Uint8Array, at: number, end: number): { readonly count: number; readonly end: number } {
  const first = at < end ? (from[at] as number) : 255;
  const length = first < 128 ? 1 : first < 255 ? 2 : 3;
  if (at + length > end) throw new CorruptionError('the number of sequences is cut off');
  if (length === 1) return { count: first, end: at + 1 };
  const second = from[at + 1] as number;
  return length === 2
    ? { count: ((first - 128) << 8) | second, end: at + 2 }
    : { count: MANY + (second | ((from[at + 2] as number) << 8)), end: at + 3 };
}
