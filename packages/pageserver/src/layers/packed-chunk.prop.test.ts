import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { packChunk, unpackChunk, unpackedLength } from './packed-chunk.ts';

/** Bytes as pages and records have them: runs, repetitions, and what does not compress. */
const chunk = fc
  .array(
    fc.oneof(
      fc.tuple(fc.nat(255), fc.integer({ min: 1, max: 2000 })).map(([byte, times]) => Buffer.alloc(times, byte)),
      fc
        .tuple(fc.uint8Array({ minLength: 1, maxLength: 150 }), fc.integer({ min: 1, max: 60 }))
        .map(([bytes, times]) => Buffer.concat(Array.from({ length: times }, () => bytes))),
      fc.uint8Array({ maxLength: 900, size: 'max' }),
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map((parts) => Buffer.concat(parts));

describe('a packed chunk', () => {
  test('unpacks to what it was, at any place, and touches nothing beside it', () => {
    let packedOnes = 0;
    fc.assert(
      fc.property(chunk, fc.nat(40), fc.nat(40), (bytes, start, at) => {
        const packed = packChunk(Buffer.concat([Buffer.alloc(start, 1), bytes]), start, start + bytes.length);
        if (packed === undefined) return;
        packedOnes++;
        expect(packed.length).toBeLessThanOrEqual((bytes.length * 3) / 4);
        const from = Buffer.concat([Buffer.alloc(at, 3), packed, Buffer.alloc(9, 4)]);
        expect(unpackedLength(from, at, packed.length)).toBe(bytes.length);
        const to = Buffer.alloc(start + bytes.length + 7, 0xaa);
        expect(unpackChunk(from, at, packed.length, to, start, bytes.length)).toBe(true);
        expect(to.subarray(start, start + bytes.length).equals(bytes)).toBe(true);
        expect(to.subarray(0, start).equals(Buffer.alloc(start, 0xaa))).toBe(true);
        expect(to.subarray(start + bytes.length).equals(Buffer.alloc(7, 0xaa))).toBe(true);
      }),
      { numRuns: 300 },
    );
    expect(packedOnes).toBeGreaterThan(50);
  });

  test('that is damaged is refused or unpacks to other bytes, and never touches anything beside its place', () => {
    const bytes = Buffer.concat(Array.from({ length: 200 }, (_, i) => Buffer.from(`row ${i * i} of a table;`)));
    const packed = packChunk(bytes, 0, bytes.length) as Uint8Array;
    fc.assert(
      fc.property(fc.nat(packed.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const damaged = Uint8Array.from(packed);
        damaged[at] = (damaged[at] as number) ^ change;
        const to = Buffer.alloc(bytes.length + 20, 0xaa);
        const length = unpackedLength(damaged, 0, damaged.length);
        expect(length).toBeLessThanOrEqual(255 * damaged.length);
        if (length === bytes.length) unpackChunk(damaged, 0, damaged.length, to, 10, length);
        expect(to.subarray(0, 10).equals(Buffer.alloc(10, 0xaa))).toBe(true);
        expect(to.subarray(10 + bytes.length).equals(Buffer.alloc(10, 0xaa))).toBe(true);
      }),
    );
  });
});

test.each<[string, Uint8Array]>([
  ['short', new Uint8Array(511)],
  [
    'of bytes that do not repeat',
    Uint8Array.from({ length: 2000 }, (_, i) => (i * i * 31 + (i >> 3) * 17) & 0xff).map(
      (b, i) => b ^ ((i * 2654435761) >>> 24),
    ),
  ],
])('a chunk that is %s is left as it is', (_, bytes) => {
  expect(packChunk(bytes, 0, bytes.length)).toBeUndefined();
});

test('no length is believed that so many bytes cannot stand for', () => {
  expect(unpackedLength(Uint8Array.of(255, 255, 255, 255, 1, 2, 3), 0, 7)).toBe(-1);
  expect(unpackedLength(Uint8Array.of(1, 0, 0, 0), 0, 4)).toBe(-1);
  expect(unpackedLength(Uint8Array.of(0, 0, 0, 0, 0), 0, 5)).toBe(-1);
  expect(unpackedLength(Uint8Array.of(0, 255, 0, 0, 0, 9), 1, 5)).toBe(255);
  expect(unpackedLength(Uint8Array.of(0, 0, 1, 0, 0, 9), 1, 5)).toBe(-1);
});
