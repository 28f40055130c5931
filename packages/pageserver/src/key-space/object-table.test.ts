import { expect, test } from 'vitest';
import { ObjectKind } from './object.ts';
import { NO_OBJECT, ObjectTable } from './object-table.ts';
import { afterStoredKey, storedKey, STORED_KEY_MAX, STORED_KEY_MIN } from './stored-key.ts';

test('an object keeps its id while the table grows, and what was never interned is not found', () => {
  const objects = new ObjectTable();
  const ids = Array.from({ length: 20_000 }, (_, n) =>
    objects.intern(ObjectKind.relation, 1663, n % 7, 0xffff_0000 + n, n % 4),
  );
  expect(new Set(ids).size).toBe(20_000);
  ids.forEach((id, n) => {
    expect(objects.find(ObjectKind.relation, 1663, n % 7, 0xffff_0000 + n, n % 4)).toBe(id);
    expect([objects.kind(id), objects.spc(id), objects.db(id), objects.rel(id), objects.fork(id)]).toEqual([
      ObjectKind.relation,
      1663,
      n % 7,
      0xffff_0000 + n,
      n % 4,
    ]);
  });
  expect(objects.find(ObjectKind.relation, 1663, 0, 5, 0)).toBe(NO_OBJECT);
  expect(objects.count).toBe(20_000);
});

test('the objects of a kind come in key order, those interned later too', () => {
  const objects = new ObjectTable();
  const rels = [5, 0xffff_ffff, 3, 0x8000_0000, 4];
  for (const rel of rels) objects.intern(ObjectKind.relationSize, 1, 1, rel, 0);
  expect(objects.sorted(ObjectKind.relationSize).map((id) => objects.rel(id))).toEqual([
    3, 4, 5, 0x8000_0000, 0xffff_ffff,
  ]);
  objects.intern(ObjectKind.relationSize, 1, 0, 9, 0);
  expect(objects.sorted(ObjectKind.relationSize).map((id) => objects.rel(id))).toEqual([
    9, 3, 4, 5, 0x8000_0000, 0xffff_ffff,
  ]);
  expect(objects.sorted(ObjectKind.database)).toEqual([]);
});

test('the size of an object is found once it exists', () => {
  const objects = new ObjectTable();
  const segment = objects.intern(ObjectKind.slru, 1, 0, 3, 0);
  expect(objects.sizeObject(segment)).toBe(NO_OBJECT);
  const size = objects.intern(ObjectKind.slruSize, 1, 0, 3, 0);
  expect(objects.sizeObject(segment)).toBe(size);
});

test('stored keys sort as (kind, spc, db, rel, fork, block) does, and nothing lies between a key and what is after it', () => {
  const keys = [
    storedKey(0, 1, 2, 3, 0, 0),
    storedKey(0, 1, 2, 3, 0, 0xffff_ffff),
    storedKey(0, 1, 2, 3, 1, 0),
    storedKey(0, 1, 2, 4, 0, 0),
    storedKey(0, 0xffff_ffff, 0, 0, 0, 0),
    storedKey(10, 0, 0, 0, 0, 0),
  ];
  expect(keys.toSorted()).toEqual(keys);
  for (const [i, key] of keys.entries()) {
    expect(key > STORED_KEY_MIN && key < STORED_KEY_MAX).toBe(true);
    expect(afterStoredKey(key) > key).toBe(true);
    if (i > 0) expect(afterStoredKey(keys[i - 1] as string) < key).toBe(true);
  }
});
