import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeyRanges } from './key-ranges.ts';
import { ObjectKind } from './object.ts';
import { ObjectTable } from './object-table.ts';
import { ALL_KEYS } from '../timeline/require-layers.ts';
import { afterStoredKey, type KeyRange, STORED_KEY_MAX } from './stored-key.ts';

const word = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom(0x7fff_ffff, 0x8000_0000, 0xffff_ffff));
const key = fc.tuple(
  fc.constantFrom(ObjectKind.relation, ObjectKind.slru, ObjectKind.commitTimes),
  word,
  word,
  word,
  fc.integer({ min: 0, max: 3 }),
  word,
);

test('the range of a key found by numbers is the one found by text', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(key, fc.boolean()), { maxLength: 40 }),
      fc.array(key, { minLength: 1, maxLength: 40 }),
      fc.boolean(),
      (bounds, keys, isOpenEnded) => {
        const objects = new ObjectTable();
        const textOf = ([kind, spc, db, rel, fork, block]: (typeof keys)[number]): string =>
          objects.storedKey(objects.intern(kind, spc, db, rel, fork), block);
        // Bounds in order, some of them just behind a key; two by two they make ranges.
        const texts = bounds.map(([bound, isAfter]) => (isAfter ? afterStoredKey(textOf(bound)) : textOf(bound)));
        const ordered = [...new Set(texts), ...(isOpenEnded ? [STORED_KEY_MAX] : [])].sort();
        const ranges: KeyRange[] = [];
        for (let i = 0; i + 1 < ordered.length; i += 2)
          ranges.push({ start: ordered[i] as string, end: ordered[i + 1] as string });
        const found = new KeyRanges(ranges.length, (index) => ranges[index] as KeyRange);
        for (const one of [...keys, ...bounds.map(([bound]) => bound)]) {
          const [kind, spc, db, rel, fork, block] = one;
          const text = textOf(one);
          const expected = ranges.findIndex(({ start, end }) => start <= text && text < end);
          expect(found.find(objects, objects.intern(kind, spc, db, rel, fork), block)).toBe(expected);
        }
      },
    ),
    { numRuns: 500 },
  );
});

test('a range of all keys holds every key, and no range holds none', () => {
  const objects = new ObjectTable();
  const object = objects.intern(ObjectKind.relation, 0xffff_ffff, 0xffff_ffff, 0xffff_ffff, 3);
  expect(new KeyRanges(1, () => ALL_KEYS).find(objects, object, 0xffff_fffe)).toBe(0);
  expect(new KeyRanges(0, () => ALL_KEYS).find(objects, object, 0)).toBe(-1);
});
