import { lsn } from '@zenith/base';
import { describe, expect, test } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { ObjectTable } from '../key-space/object-table.ts';
import { ValueKind } from '../key-space/value.ts';
import { FrozenKeys, OldestFirst } from './frozen-keys.ts';
import { EntryScratch, InMemoryLayer } from './in-memory-layer.ts';
import { NO_ENTRY } from './key-heads.ts';
import { SLAB_BYTES, SlabPool } from './slab.ts';
import { sortInSlices } from './sort-in-slices.ts';

function bytesOf(entry: EntryScratch): number[] {
  return [...entry.slab.bytes.subarray(entry.offset, entry.offset + entry.length)];
}

describe('an in-memory layer', () => {
  test('has the values of a key from the newest to the oldest, of any length', () => {
    const layer = new InMemoryLayer(lsn(100), new SlabPool(2));
    const object = new ObjectTable().intern(ObjectKind.relation, 1, 1, 1, 0);
    const lengths = [0, 1, 96, 97, 8192, SLAB_BYTES, 3 * SLAB_BYTES, 5];
    lengths.forEach((length, n) => {
      layer.put(object, 0xffff_ffff, lsn(2 ** 45 + n), ValueKind.record, new Uint8Array(length + 3).fill(n), 2, length);
      layer.put(object, n, lsn(2 ** 45 + n), ValueKind.image, Uint8Array.of(1), 0, 1);
    });
    const entry = new EntryScratch();
    let next = layer.head(object, 0xffff_ffff);
    for (let n = lengths.length - 1; n >= 0; n--) {
      layer.entry(next, entry);
      expect([entry.lsn, entry.kind, entry.length]).toEqual([2 ** 45 + n, ValueKind.record, lengths[n]]);
      expect(bytesOf(entry).every((byte) => byte === n)).toBe(true);
      next = entry.previous;
    }
    expect(next).toBe(NO_ENTRY);
    expect(layer.head(object, 99)).toBe(NO_ENTRY);
    expect(layer.keyCount).toBe(9);
    expect(layer.memoryBytes).toBeGreaterThan(4 * SLAB_BYTES);
  });

  test('refuses LSNs that go back, and everything once it is frozen', () => {
    const layer = new InMemoryLayer(lsn(100), new SlabPool(2));
    const object = new ObjectTable().intern(ObjectKind.relation, 1, 1, 1, 0);
    const put = (at: number): void => layer.put(object, 0, lsn(at), ValueKind.zeroPage, new Uint8Array(0), 0, 0);
    put(110);
    expect(() => put(109)).toThrow('never go back');
    expect(() => layer.freeze(lsn(110))).toThrow('ends above its last value');
    layer.freeze(lsn(111));
    expect(() => put(111)).toThrow('frozen');
    expect(layer.lsnEnd).toBe(111);
  });

  test('takes back what lies above an LSN, of as many slabs as it is in, and goes on from there', () => {
    const objects = new ObjectTable();
    const layer = new InMemoryLayer(lsn(1), new SlabPool(2));
    const object = objects.intern(ObjectKind.relation, 1, 1, 1, 0);
    const put = (block: number, at: number, length: number): void =>
      layer.put(object, block, lsn(at), ValueKind.record, new Uint8Array(length).fill(at), 0, length);
    for (let at = 1; at <= 100; at++) put(at <= 50 ? at % 10 : at % 20, at, 5000);
    layer.takeBack(lsn(50));
    expect([layer.valueCount, layer.valueBytes]).toEqual([50, 50 * 5000]);
    expect(layer.head(object, 10)).toBe(NO_ENTRY);
    put(3, 51, 1);
    put(13, 52, 1);
    layer.takeBack(lsn(52));
    layer.freeze(lsn(53));
    const sort = FrozenKeys.sort(layer, objects);
    let step = sort.next();
    while (step.done !== true) step = sort.next();
    const keys = step.value;
    const entry = new EntryScratch();
    const found = Array.from({ length: keys.count }, (_, i): [number, number[]] => {
      const lsns: number[] = [];
      for (let next = layer.head(object, keys.block(i)); next !== NO_ENTRY; next = entry.previous) {
        layer.entry(next, entry);
        expect(bytesOf(entry).every((byte) => byte === entry.lsn)).toBe(true);
        lsns.unshift(entry.lsn);
      }
      return [keys.block(i), lsns];
    });
    const expected = Array.from({ length: 20 }, (_, block): [number, number[]] => {
      const kept = Array.from({ length: 50 }, (__, n) => n + 1).filter((at) => at % 10 === block);
      return [block, block === 3 ? [...kept, 51] : block === 13 ? [52] : kept];
    });
    expect(found).toEqual(expected);
  });

  test('gives its keys in key order and their values oldest first', () => {
    const objects = new ObjectTable();
    const layer = new InMemoryLayer(lsn(1), new SlabPool(2));
    const rels = [9, 3, 0xffff_fff0];
    let at = 1;
    for (let n = 0; n < 9_000; n++)
      layer.put(
        objects.intern(ObjectKind.relation, 1, 1, rels[n % 3] as number, 0),
        Math.imul(n, 7919) >>> 12,
        lsn(at++),
        ValueKind.record,
        Uint8Array.of(n),
        0,
        1,
      );
    layer.freeze(lsn(at));
    const sort = FrozenKeys.sort(layer, objects);
    let step = sort.next();
    let interruptions = 0;
    for (; step.done !== true; step = sort.next()) interruptions++;
    const keys = step.value;
    expect(interruptions).toBeGreaterThanOrEqual(2 * layer.stripes);
    expect(keys.count).toBe(layer.keyCount);
    const values = new OldestFirst();
    const entry = new EntryScratch();
    let seen = 0;
    for (let i = 0; i < keys.count; i++) {
      if (i > 0)
        expect(objects.compare(keys.object(i - 1), keys.object(i)) || keys.block(i - 1) - keys.block(i)).toBeLessThan(
          0,
        );
      const count = values.collect(layer, keys.object(i), keys.block(i), entry);
      seen += count;
      let last = 0;
      for (let n = 0; n < count; n++) {
        layer.entry(values.entry(n, count), entry);
        expect(entry.lsn).toBeGreaterThan(last);
        last = entry.lsn;
      }
    }
    expect(seen).toBe(9_000);
  });

  test('gives its slabs back to the pool', () => {
    const pool = new SlabPool(1);
    const layer = new InMemoryLayer(lsn(1), pool);
    layer.put(
      new ObjectTable().intern(ObjectKind.relation, 1, 1, 1, 0),
      0,
      lsn(1),
      ValueKind.zeroPage,
      new Uint8Array(0),
      0,
      0,
    );
    const entry = new EntryScratch();
    layer.entry(layer.head(0 as never, 0), entry);
    layer.drop();
    expect(pool.take(SLAB_BYTES)).toBe(entry.slab);
  });
});

test('sorting in slices sorts as the native sort does, for every length around its runs', () => {
  for (const length of [0, 1, 2, 16_383, 16_384, 16_385, 32_768, 50_000, 131_073]) {
    const numbers = Float64Array.from({ length }, (_, n) => (Math.imul(n, 2654435761) >>> 0) * (n % 3));
    const expected = numbers.slice().sort();
    const work = sortInSlices(numbers);
    while (work.next().done !== true);
    expect(numbers.findIndex((number, i) => number !== expected[i])).toBe(-1);
  }
});
