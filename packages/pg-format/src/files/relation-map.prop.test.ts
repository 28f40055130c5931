import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CorruptionError } from '@zenith/base';
import type { PgMajor } from '../version.ts';
import { formatOf } from '../versions/formats.ts';
import { decodeRelationMap, encodeRelationMap } from './relation-map.ts';

const oid = fc.nat(0xffffffff);
const input = fc
  .constantFrom<PgMajor>(15, 16, 17, 18)
  .chain((major) =>
    fc.tuple(
      fc.constant(major),
      fc.array(fc.record({ oid, rel: oid }), { maxLength: formatOf(major).relationMapEntriesMax }),
    ),
  );

test('a relation map of every version is read as it was written', () => {
  fc.assert(
    fc.property(input, ([major, mappings]) => {
      const bytes = encodeRelationMap(major, mappings);
      expect(bytes.length).toBe(major === 15 ? 512 : 524);
      expect(decodeRelationMap(major, bytes)).toEqual(mappings);
    }),
  );
});

test('a relation map with a changed byte is refused', () => {
  fc.assert(
    fc.property(input, fc.nat(503), fc.integer({ min: 1, max: 255 }), ([major, mappings], at, change) => {
      const bytes = encodeRelationMap(major, mappings);
      bytes[at] = (bytes[at] as number) ^ change;
      expect(() => decodeRelationMap(major, bytes)).toThrow(CorruptionError);
    }),
  );
  expect(() => decodeRelationMap(18, new Uint8Array(512))).toThrow(CorruptionError);
});
