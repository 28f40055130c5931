import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lz4Decompress } from './lz4.ts';

/** Compresses with the longest match at every place, as far as the format goes: only to test the other way. */
function compress(bytes: Uint8Array): Uint8Array {
  const out: number[] = [];
  const extended = (length: number): void => {
    for (let rest = length - 15; rest >= 0; rest -= 255) {
      out.push(Math.min(rest, 255));
      if (rest < 255) return;
    }
  };
  let from = 0;
  for (let at = 0; at < bytes.length - 5;) {
    let length = 0;
    let distance = 0;
    for (let back = 1; back <= at; back++) {
      let count = 0;
      while (at + count < bytes.length - 5 && bytes[at + count] === bytes[at + count - back]) count++;
      if (count > length) [length, distance] = [count, back];
    }
    if (length < 4) {
      at++;
      continue;
    }
    out.push((Math.min(at - from, 15) << 4) | Math.min(length - 4, 15));
    extended(at - from);
    out.push(...bytes.subarray(from, at), distance & 0xff, distance >> 8);
    extended(length - 4);
    at += length;
    from = at;
  }
  out.push(Math.min(bytes.length - from, 15) << 4);
  extended(bytes.length - from);
  out.push(...bytes.subarray(from));
  return Uint8Array.from(out);
}

const repetitive = fc
  .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 30 }), fc.integer({ min: 1, max: 60 })), {
    minLength: 1,
    maxLength: 12,
  })
  .map((parts) =>
    Uint8Array.from(parts.flatMap(([bytes, times]) => Array.from({ length: times }, () => [...bytes]).flat())),
  );

describe('lz4Decompress', () => {
  test('gives back what was compressed', () => {
    fc.assert(
      fc.property(repetitive, fc.nat(50), (bytes, start) => {
        const packed = compress(bytes);
        const from = new Uint8Array(start + packed.length + 3);
        from.set(packed, start);
        const to = new Uint8Array(bytes.length + 5).fill(0xaa);
        expect(lz4Decompress(from, start, packed.length, to, bytes.length)).toBe(true);
        expect(Buffer.from(to.subarray(0, bytes.length)).equals(Buffer.from(bytes))).toBe(true);
        expect(to.subarray(bytes.length)).toEqual(new Uint8Array(5).fill(0xaa));
      }),
      { numRuns: 60 },
    );
  });

  test('never writes outside of its output, whatever it is given', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(300), (bytes, rawLength) => {
        const to = new Uint8Array(rawLength + 8).fill(0xaa);
        lz4Decompress(bytes, 0, bytes.length, to, rawLength);
        expect(to.subarray(rawLength)).toEqual(new Uint8Array(8).fill(0xaa));
      }),
    );
  });

  test.each<[string, number[], number]>([
    ['there is no input', [], 0],
    ['input is left over', [0x10, 1, 2], 1],
    ['output is missing', [0x10, 1], 2],
    ['literals are cut off', [0x20, 1], 2],
    ['the length of the literals is cut off', [0xf0, 255], 300],
    ['a match goes back before the start', [0x10, 1, 2, 0, 0x10, 1], 6],
    ['a match goes back to nothing', [0x10, 1, 0, 0, 0x10, 1], 6],
    ['a distance is cut off', [0x10, 1, 1], 5],
    ['the length of a match is cut off', [0x1f, 1, 1, 0], 30],
    ['a match leaves the output', [0x1f, 1, 1, 0, 100, 0x10, 1], 30],
    ['it ends behind a match', [0x10, 1, 1, 0], 5],
    ['the last literals announce a match', [0x11, 1], 1],
  ])('says so when %s', (_, bytes, rawLength) => {
    expect(lz4Decompress(Uint8Array.from(bytes), 0, bytes.length, new Uint8Array(400), rawLength)).toBe(false);
  });
});
