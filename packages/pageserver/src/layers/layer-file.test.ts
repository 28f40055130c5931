import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32c, lsn } from '@zenith/base';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { type ObjectId, ObjectTable } from '../key-space/object-table.ts';
import { STORED_KEY_MIN } from '../key-space/stored-key.ts';
import { ValueKind } from '../key-space/value.ts';
import { TENANT, timelineId } from '../timeline/storage-model.test-support.ts';
import { BlockCache } from './block-cache.ts';
import { FileHandles } from './file-handles.ts';
import { localFileSystem } from './file-system.ts';
import { LayerCursor } from './layer-cursor.ts';
import { type LayerAccess, LayerFile, type Segment } from './layer-file.ts';
import {
  BLOCK_CRC_OFFSET,
  CHUNK_BYTES,
  ENTRIES_PER_BLOCK,
  INDEX_BLOCK_BYTES,
  IndexEntry,
  LAYER_HEADER_BYTES,
  LayerKind,
  writeIndexEntry,
} from './layer-format.ts';
import { LayerMap, type PlacedLayer } from './layer-map.ts';
import { formatLayerName, parseLayerName } from './layer-name.ts';
import { LayerWriter } from './layer-writer.ts';
import { type Compression, COMPRESSIONS } from './packed-chunk.ts';

const directory = mkdtempSync(join(tmpdir(), 'zenith-layer-'));
let generation = 1;
let numbers = 0;
const access: LayerAccess = {
  fileSystem: localFileSystem,
  handles: new FileHandles(localFileSystem, 2),
  indexBlocks: new BlockCache(0),
  nextLayerNumber: () => ++numbers,
  uses: { count: 0 },
  canFetch: false,
};

afterAll(() => {
  access.handles.closeAll();
  rmSync(directory, { recursive: true });
});

interface Value {
  readonly object: ObjectId;
  readonly block: number;
  readonly at: number;
  readonly kind: ValueKind;
  readonly length: number;
}

async function write(
  objects: ObjectTable,
  values: readonly Value[],
  kind: LayerKind = LayerKind.delta,
  range: readonly [number, number] = [1, 1_000_000],
  compression: Compression = 'lz4',
): Promise<LayerFile> {
  const writer = new LayerWriter({
    fileSystem: localFileSystem,
    directory,
    tenant: TENANT,
    timeline: timelineId(1),
    objects,
    kind,
    lsnStart: lsn(range[0]),
    lsnEnd: lsn(range[1]),
    generation: generation++,
    compression,
  });
  for (const value of values)
    writer.add(
      value.object,
      value.block,
      lsn(value.at),
      value.kind,
      new Uint8Array(value.length).fill(value.at),
      0,
      value.length,
    );
  const written = await writer.finish();
  return new LayerFile(access, `${directory}/${written.fileName}`, written, objects);
}

describe.each(COMPRESSIONS)('a layer of three objects and 1,500 keys, compression %s', (compression) => {
  const objects = new ObjectTable();
  const values: Value[] = [];
  let layer: LayerFile;

  beforeAll(async () => {
    for (const rel of [1, 2, 3]) {
      const object = objects.intern(ObjectKind.relation, 1663, 5, rel, 0);
      for (let block = 0; block < 1000; block += 2) {
        values.push({ object, block, at: 10 * rel + 1, kind: ValueKind.initRecord, length: 50 });
        for (let n = 0; n < block % 5; n++)
          values.push({ object, block, at: 1000 + n, kind: ValueKind.record, length: n * 9 });
        if (block % 100 === 0) values.push({ object, block, at: 2000, kind: ValueKind.image, length: 8192 });
      }
    }
    layer = await write(objects, values, LayerKind.delta, [1, 1_000_000], compression);
  });

  test('says what it holds', () => {
    expect(layer.valueCount).toBe(values.length);
    expect(
      layer.segments.map(({ firstBlock, lastBlock, object }) => [objects.rel(object), firstBlock, lastBlock]),
    ).toEqual([
      [1, 0, 998],
      [2, 0, 998],
      [3, 0, 998],
    ]);
    expect(layer.entryCount).toBeGreaterThan(5 * ENTRIES_PER_BLOCK);
    expect(parseLayerName(formatLayerName(layer.name))).toEqual(layer.name);
  });

  test('finds for every block and LSN the last chunk at or below, and only that', () => {
    const entry = new IndexEntry();
    for (const segment of layer.segments) {
      const base = 10 * objects.rel(segment.object) + 1;
      for (let block = 0; block < 1001; block++) {
        for (const at of [base - 1, base, 1500, 2000, 3000]) {
          const index = layer.search(segment, block, lsn(at));
          const expected = values.findLast(
            (value) =>
              value.object === segment.object &&
              (value.block < block || (value.block === block && value.at <= at)) &&
              (value.kind === ValueKind.initRecord || value.kind === ValueKind.image),
          );
          if (expected === undefined) {
            expect(index).toBe(-1);
            continue;
          }
          layer.entry(index, entry);
          expect([entry.block, entry.firstLsn, entry.firstKind]).toEqual([expected.block, expected.at, expected.kind]);
        }
      }
    }
  });

  test('is walked value by value in the order it was written', () => {
    const cursor = new LayerCursor(layer);
    const seen: Value[] = [];
    while (cursor.next()) {
      cursor.forEachValue((at, kind, bytes, _view, offset, length) => {
        expect(bytes.subarray(offset, offset + length).every((byte) => byte === (at & 0xff))).toBe(true);
        seen.push({ object: cursor.object, block: cursor.block, at, kind: kind as ValueKind, length });
      });
    }
    expect(seen).toEqual(values);
  });
});

test('a long history without a base is cut into chunks, and values of one LSN stay findable across the cut', async () => {
  const objects = new ObjectTable();
  const object = objects.intern(ObjectKind.slru, 0, 0, 0, 0);
  const values = Array.from({ length: 1000 }, (_, n): Value => ({
    object,
    block: 7,
    at: 100 + Math.floor(n / 200),
    kind: n === 0 ? ValueKind.zeroPage : ValueKind.operation,
    length: n === 0 ? 0 : 100,
  }));
  const layer = await write(objects, values);
  const segment = layer.segments[0] as Segment;
  const entry = new IndexEntry();
  let count = 0;
  for (let index = layer.search(segment, 7, lsn(104)); index >= 0; index--) {
    layer.entry(index, entry);
    expect(entry.length).toBeLessThan(CHUNK_BYTES + 112);
    count += entry.values;
  }
  expect(count).toBe(1000);
  expect(layer.entryCount).toBeGreaterThan(6);
});

test('a value larger than all buffers is written and read back', async () => {
  const objects = new ObjectTable();
  const object = objects.intern(ObjectKind.twoPhase, 0, 7, 0, 0);
  const layer = await write(objects, [{ object, block: 0, at: 5, kind: ValueKind.image, length: 3_000_000 }]);
  const cursor = new LayerCursor(layer);
  expect(cursor.next()).toBe(true);
  let length = 0;
  cursor.forEachValue((_at, _kind, _bytes, _view, _offset, bytes) => {
    length = bytes;
  });
  expect(length).toBe(3_000_000);
});

/** Rewrites a layer file as `change` says and opens it again; the checksums of its header and its first index block are made right. */
function rewrite(
  layer: LayerFile,
  objects: ObjectTable,
  change: (bytes: Uint8Array, view: DataView) => void,
): LayerFile {
  const bytes = Uint8Array.from(readFileSync(layer.path));
  const view = new DataView(bytes.buffer);
  change(bytes, view);
  for (const [start, length] of [
    [0, LAYER_HEADER_BYTES],
    [layer.indexOffset, INDEX_BLOCK_BYTES],
  ] as const)
    view.setUint32(start + length - 4, crc32c(bytes, start, start + BLOCK_CRC_OFFSET), true);
  access.handles.forget(layer.path);
  writeFileSync(layer.path, bytes);
  return new LayerFile(access, layer.path, layer.identity, objects);
}

describe('a layer of 20 images', () => {
  const objects = new ObjectTable();
  const object = objects.intern(ObjectKind.relation, 1663, 5, 1, 0);
  const images = (compression: Compression): Promise<LayerFile> =>
    write(
      objects,
      Array.from({ length: 20 }, (_, block) => ({ object, block, at: 7, kind: ValueKind.image, length: 8192 })),
      LayerKind.image,
      [7, 8],
      compression,
    );
  const contents = (layer: LayerFile): unknown[] => {
    const found: unknown[] = [];
    const cursor = new LayerCursor(layer);
    while (cursor.next())
      cursor.forEachValue((at, kind, bytes, _view, offset, length) => {
        found.push([
          cursor.block,
          at,
          kind,
          Buffer.from(bytes.subarray(offset, offset + length)).equals(Buffer.alloc(8192, 7)),
        ]);
      });
    return found;
  };
  const expected = Array.from({ length: 20 }, (_, block) => [block, 7, ValueKind.image, true]);

  test('takes less of the disk when it is packed, and holds the same', async () => {
    const [packed, plain] = [await images('lz4'), await images('none')];
    expect(packed.identity.fileBytes).toBeLessThan(plain.identity.fileBytes - 19 * 8000);
    expect([packed.dataBytes, plain.dataBytes]).toEqual([20 * 8192, 20 * 8192]);
    expect(contents(packed)).toEqual(expected);
    expect(contents(plain)).toEqual(expected);
  });

  test('is read in format 1, which had no packed chunks, and refused in one that is not known', async () => {
    const layer = await images('none');
    const version = (number: number): LayerFile =>
      rewrite(layer, objects, (_, view) => view.setUint16(4, number, true));
    const old = rewrite(layer, objects, (bytes, view) => {
      view.setUint16(4, 1, true);
      view.setBigUint64(bytes.length - 20, 0n, true);
      view.setUint32(bytes.length - 4, crc32c(bytes, bytes.length - 64, bytes.length - 4), true);
    });
    expect(contents(old)).toEqual(expected);
    expect(old.dataBytes).toBe(20 * 8192);
    expect(() => version(0)).toThrow('layer format 0 is not known here, only 1 to 2');
    expect(() => version(3)).toThrow('layer format 3 is not known here, only 1 to 2');
  });

  test.each<[string, (bytes: Uint8Array, at: number) => void, string]>([
    ['has a length that cannot be', (bytes, at) => bytes.fill(255, at, at + 4), 'a length that cannot be'],
    ['is longer than it says', (bytes, at) => (bytes[at] = (bytes[at] as number) - 1), 'cannot be unpacked'],
    ['is no lz4 block', (bytes, at) => (bytes[at + 4] = 0xff), 'cannot be unpacked'],
  ])('with a chunk that %s, its checksum right, is a CorruptionError that says where', async (_, damage, message) => {
    const entry = new IndexEntry();
    const layer = await images('lz4');
    layer.entry(4, entry);
    const damaged = rewrite(layer, objects, (bytes, view) => {
      damage(bytes, entry.offset);
      entry.crc = crc32c(bytes, entry.offset, entry.offset + entry.length);
      writeIndexEntry(view, layer.indexOffset + 4 * 32, entry);
    });
    expect(() => contents(damaged)).toThrow(message);
    expect(() => contents(damaged)).toThrow(String(entry.offset));
  });
});

test('a writer refuses keys and LSNs out of order or range', () => {
  const objects = new ObjectTable();
  const [a, b] = [objects.intern(ObjectKind.relation, 1, 1, 1, 0), objects.intern(ObjectKind.relation, 1, 1, 2, 0)];
  const writer = new LayerWriter({
    fileSystem: localFileSystem,
    directory,
    tenant: TENANT,
    timeline: timelineId(1),
    objects,
    kind: LayerKind.delta,
    lsnStart: lsn(10),
    lsnEnd: lsn(20),
    generation: generation++,
    compression: 'none',
  });
  const add = (object: ObjectId, block: number, at: number): void =>
    writer.add(object, block, lsn(at), ValueKind.zeroPage, new Uint8Array(0), 0, 0);
  add(b, 5, 12);
  expect(() => add(b, 5, 11)).toThrow('order of their LSNs');
  expect(() => add(b, 6, 20)).toThrow('LSN range');
  expect(() => add(b, 4, 12)).toThrow('blocks come in key order');
  expect(() => add(a, 9, 12)).toThrow('objects come in key order');
  writer.abandon();
  expect(localFileSystem.list(directory).filter((name) => name.endsWith('.tmp'))).toEqual([]);
});

describe('a layer map', () => {
  test('has its tiers newest first, an image before the deltas it includes, and finds the segment of a block among many files', async () => {
    const objects = new ObjectTable();
    const object = objects.intern(ObjectKind.relation, 1, 1, 1, 0);
    const delta = (block: number, range: readonly [number, number]): Promise<LayerFile> =>
      write(objects, [{ object, block, at: range[0], kind: ValueKind.initRecord, length: 1 }], LayerKind.delta, range);
    const run = await Promise.all([0, 10, 20, 30].map((block) => delta(block, [1, 50])));
    const image = await write(
      objects,
      [{ object, block: 3, at: 49, kind: ValueKind.image, length: 8192 }],
      LayerKind.image,
      [49, 50],
    );
    const zero = await delta(5, [50, 60]);
    const placed: PlacedLayer[] = [
      { layer: zero, level: 0 },
      ...[...run, image].map((layer) => ({ layer, level: 1 as const })),
    ];
    const map = new LayerMap(placed);
    expect(map.tiers.map((tier) => [tier.kind, tier.level, tier.lsnStart])).toEqual([
      [LayerKind.delta, 0, 50],
      [LayerKind.image, 1, 49],
      [LayerKind.delta, 1, 1],
    ]);
    const oldest = map.tiers[2];
    expect([0, 10, 20, 30].map((block) => oldest?.segment(object, block)?.layer)).toEqual(run);
    expect(oldest?.segment(object, 11)).toBeUndefined();
    expect(map.levelZero).toHaveLength(1);
    expect(() => map.with([{ layer: run[0] as LayerFile, level: 0 }], new Set())).toThrow('disjoint LSNs');
  });
});

test('a file name that is no layer is not read as one', () => {
  const name = formatLayerName({
    keys: { start: STORED_KEY_MIN, end: 'f'.repeat(44) },
    lsnStart: lsn(5),
    lsnEnd: lsn(6),
    generation: 255,
  });
  expect(parseLayerName(name)?.generation).toBe(255);
  for (const text of [
    '',
    '7.tmp',
    `${name}.old`,
    name.replaceAll('0000000000000005', '0000000000000007'),
    name.toUpperCase(),
  ])
    expect(parseLayerName(text)).toBeUndefined();
});

test('no more files are open than allowed, and a forgotten one is closed', () => {
  const closed: number[] = [];
  let next = 10;
  const handles = new FileHandles(
    { ...localFileSystem, openForReading: () => next++, close: (fd) => closed.push(fd) },
    2,
  );
  expect([handles.descriptor('a'), handles.descriptor('b'), handles.descriptor('a'), handles.descriptor('c')]).toEqual([
    10, 11, 10, 12,
  ]);
  expect(closed).toEqual([10]);
  handles.forget('b');
  handles.forget('never opened');
  expect(closed).toEqual([10, 11]);
  expect(handles.openCount).toBe(1);
});

test('the block cache keeps its bound, and a block that was asked for stays longer', () => {
  const cache = new BlockCache(0);
  for (let key = 0; key < 8; key++) {
    cache.slot().bytes.fill(key);
    cache.keep(key);
  }
  for (let key = 8; key < 100; key++) {
    expect(cache.get(3)?.bytes[0]).toBe(3);
    cache.slot().bytes.fill(key);
    cache.keep(key);
    expect(cache.get(key)?.bytes[0]).toBe(key);
  }
  expect(cache.bytes).toBe(8 * 8192);
  expect(cache.get(0)).toBeUndefined();
});
