import fc from 'fast-check';
import { expect, test } from 'vitest';
import { copyBetweenViews, copyBytes } from './copy-bytes.ts';

const BYTES = 1024;

test('a copy between views gives the bytes that one between arrays gives, of any length and alignment, and touches no others', () => {
  const length = fc.oneof(fc.nat(24), fc.integer({ min: 300, max: 340 }), fc.nat(600));
  fc.assert(
    fc.property(
      fc.nat(7),
      fc.nat(200),
      fc.nat(200),
      length,
      fc.infiniteStream(fc.nat(255)),
      (skip, from, to, count, bytes) => {
        const source = new Uint8Array(new ArrayBuffer(BYTES), skip).map(() => bytes.next().value as number);
        const [expected, given] = [
          new Uint8Array(BYTES).fill(7),
          new Uint8Array(new SharedArrayBuffer(BYTES + skip), skip).fill(7),
        ];
        copyBytes(source, from, expected, to, count);
        const view = new DataView(source.buffer, source.byteOffset, source.byteLength);
        copyBetweenViews(view, from, new DataView(given.buffer, skip, BYTES), to, count);
        expect(Buffer.from(given)).toEqual(Buffer.from(expected));
      },
    ),
  );
});

test.each([3, 20, 400])('a copy of %i bytes that leaves a view is an error', (count) => {
  const [from, to] = [new DataView(new ArrayBuffer(500)), new DataView(new ArrayBuffer(500))];
  expect(() => copyBetweenViews(from, 501 - count, to, 0, count)).toThrow(RangeError);
  expect(() => copyBetweenViews(from, 0, to, 501 - count, count)).toThrow(RangeError);
});
