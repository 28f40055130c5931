import { CorruptionError } from '@zenith/base';

// A finite state entropy table: 2^accuracy states; each gives a symbol, and the next state as a base plus some bits from the stream.
// In a frame: u4 accuracy - 5, then for each symbol its probability in as many bits as what is left of 2^accuracy takes, the lowest bit first.  RFC 8878, 4.1.1
const ACCURACY_MIN = 5;
/** A symbol that is less probable than one state: it gets one at the end of the table. */
const LESS_THAN_ONE = -1;

/** A decoding table. */
export interface FseTable {
  readonly accuracy: number;
  readonly symbols: Uint8Array;
  readonly bits: Uint8Array;
  readonly bases: Uint16Array;
}

/** The table that always gives `symbol`. */
export function constantTable(symbol: number): FseTable {
  return { accuracy: 0, symbols: Uint8Array.of(symbol), bits: new Uint8Array(1), bases: new Uint16Array(1) };
}

/** Reads a table's probabilities from `bytes[at, end)`; gives the table and where they end. @throws CorruptionError */
export function readFseTable(
  bytes: Uint8Array,
  at: number,
  end: number,
  accuracyMax: number,
  symbolMax: number,
): { readonly table: FseTable; readonly end: number } {
  let position = at * 8;
  const peek = (count: number): number => {
    let value = 0;
    for (let i = 0; i < count; i++) {
      const byte = (position + i) >>> 3;
      value |= (byte < end ? ((bytes[byte] as number) >>> ((position + i) & 7)) & 1 : 0) << i;
    }
    return value;
  };
  const accuracy = peek(4) + ACCURACY_MIN;
  position += 4;
  if (accuracy > accuracyMax)
    throw new CorruptionError(`a table of 2^${accuracy} states, at most 2^${accuracyMax} are allowed`);
  const probabilities: number[] = [];
  // What is not given out yet, plus one; the next probability takes as many bits as this number has, or one less.
  let remaining = (1 << accuracy) + 1;
  let threshold = 1 << accuracy;
  let width = accuracy + 1;
  while (remaining > 1) {
    if (probabilities.at(-1) === 0) {
      let repeat = 3;
      while (repeat === 3) {
        repeat = peek(2);
        position += 2;
        for (let i = 0; i < repeat; i++) probabilities.push(0);
        if (probabilities.length > symbolMax) throw new CorruptionError('a table with too many symbols');
      }
    }
    if (probabilities.length > symbolMax) throw new CorruptionError('a table with too many symbols');
    const spare = 2 * threshold - 1 - remaining;
    let value = peek(width);
    if ((value & (threshold - 1)) < spare) {
      value &= threshold - 1;
      position += width - 1;
    } else {
      if (value >= threshold) value -= spare;
      position += width;
    }
    const probability = value - 1;
    remaining -= Math.abs(probability);
    probabilities.push(probability);
    while (remaining < threshold && width > 1) {
      width--;
      threshold >>>= 1;
    }
  }
  const after = (position + 7) >>> 3;
  if (remaining !== 1 || after > end) throw new CorruptionError('a table whose probabilities do not add up');
  return { table: fseTable(accuracy, probabilities), end: after };
}

/** Builds the table of symbols 0, 1, … with these probabilities, which must add up to 2^accuracy. */
export function fseTable(accuracy: number, probabilities: readonly number[]): FseTable {
  const size = 1 << accuracy;
  const table: FseTable = {
    accuracy,
    symbols: new Uint8Array(size),
    bits: new Uint8Array(size),
    bases: new Uint16Array(size),
  };
  const next = new Uint16Array(probabilities.length);
  let last = size - 1;
  probabilities.forEach((probability, symbol) => {
    next[symbol] = Math.abs(probability);
    if (probability === LESS_THAN_ONE) table.symbols[last--] = symbol;
  });
  const step = (size >>> 1) + (size >>> 3) + 3;
  let state = 0;
  probabilities.forEach((probability, symbol) => {
    for (let i = 0; i < probability; i++) {
      table.symbols[state] = symbol;
      do state = (state + step) & (size - 1);
      while (state > last); // odd step, so that every state comes once in `size` steps
    }
  });
  for (let i = 0; i < size; i++) {
    const symbol = table.symbols[i] as number;
    const from = next[symbol] as number;
    next[symbol] = from + 1;
    const bits = accuracy - (31 - Math.clz32(from));
    table.bits[i] = bits;
    table.bases[i] = (from << bits) - size;
  }
  return table;
}
