import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { pglzDecompress } from './pglz.ts';

/** Compresses as far as the format goes, with the longest reference at every place: only to test the other way. */
function compress(bytes: Uint8Array): Uint8Array {
  const out: number[] = [];
  let at = 0;
  while (at < bytes.length) {
    const control = out.length;
    out.push(0);
    for (let bit = 0; bit < 8 && at < bytes.length; bit++) {
      let length = 0;
      let distance = 0;
      for (let back = 1; back <= Math.min(at, 4095); back++) {
        let count = 0;
        while (count < 273 && at + count < bytes.length && bytes[at + count] === bytes[at + count - back]) count++;
        if (count > length) [length, distance] = [count, back];
      }
      if (length < 3) {
        out.push(bytes[at++] as number);
        continue;
      }
      out[control] = (out[control] as number) | (1 << bit);
      out.push(((distance >> 4) & 0xf0) | Math.min(length - 3, 15), distance & 0xff);
      if (length >= 18) out.push(length - 18);
      at += length;
    }
  }
  return Uint8Array.from(out);
}

const repetitive = fc
  .array(fc.tuple(fc.uint8Array({ minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 90 })), {
    minLength: 1,
    maxLength: 12,
  })
  .map((parts) =>
    Uint8Array.from(parts.flatMap(([bytes, times]) => Array.from({ length: times }, () => [...bytes]).flat())),
  );

describe('pglzDecompress', () => {
  test('gives back what was compressed', () => {
    fc.assert(
      fc.property(repetitive, fc.nat(50), (bytes, start) => {
        const packed = compress(bytes);
        const from = new Uint8Array(start + packed.length + 3);
        from.set(packed, start);
        const to = new Uint8Array(bytes.length + 5).fill(0xaa);
        expect(pglzDecompress(from, start, packed.length, to, bytes.length)).toBe(true);
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
        pglzDecompress(bytes, 0, bytes.length, to, rawLength);
        expect(to.subarray(rawLength)).toEqual(new Uint8Array(8).fill(0xaa));
      }),
    );
  });

  test.each<[string, number[], number]>([
    ['input is left over', [0, 1, 2], 1],
    ['output is missing', [0, 1], 2],
    ['a reference goes back before the start', [2, 1, 0x00, 2], 4],
    ['a reference to nothing', [2, 1, 0x00, 0], 4],
    ['a reference is cut off', [2, 1, 0x00], 4],
    ['a long reference is cut off', [2, 1, 0x0f, 1], 30],
  ])('says so when %s', (_, bytes, rawLength) => {
    expect(pglzDecompress(Uint8Array.from(bytes), 0, bytes.length, new Uint8Array(64), rawLength)).toBe(false);
  });
});
