import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CorruptionError, formatLsn, type Lsn } from '@zenith/base';
import { allocatePage, BLCKSZ } from '@zenith/pg-format';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { NO_OBJECT } from '../key-space/object-table.ts';
import { ValueKind } from '../key-space/value.ts';
import { type FileSystem, localFileSystem } from '../layers/file-system.ts';
import type { StorageOptions } from './options.ts';
import {
  at,
  chainRedo,
  digest,
  modelOutcome,
  ModelWriter,
  pageOf,
  readOutcome,
  StorageModel,
  TENANT,
  timelineId,
  unsyncedFileSystem,
} from './storage-model.test-support.ts';
import type { Timeline } from './timeline.ts';
import { type StoreOptions, TimelineStore } from './timeline-store.ts';

const MIB = 1024 * 1024;
const WAIT = { timeoutMs: 60_000 };
let directory: string;
let store: TimelineStore;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'zenith-store-'));
  reopen();
});

afterEach(async () => {
  await store.close().catch(() => undefined);
  rmSync(directory, { recursive: true });
});

function reopen(options: Partial<StorageOptions> = {}, more: StoreOptions = {}): void {
  store = TimelineStore.open(directory, {
    redo: chainRedo,
    fileSystem: unsyncedFileSystem,
    options: { compactInBackground: false, ...options },
    ...more,
  });
}

function create(): Promise<Timeline> {
  return store.create({ tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) });
}

function layersOf(n: number): string {
  return join(directory, 'tenants', TENANT, 'timelines', timelineId(n), 'layers');
}

function putSmall(timeline: Timeline, kind: ObjectKind, spc: number, lsn: Lsn, ...bytes: number[]): void {
  timeline.put(timeline.intern(kind, spc, 0, 0, 0), 0, lsn, ValueKind.image, Uint8Array.from(bytes), 0, bytes.length);
}

describe('a timeline', () => {
  test('serves what was put after advance, and nothing above it or below its history', async () => {
    const timeline = await create();
    putSmall(timeline, ObjectKind.tablespace, 1, at(1), 1, 2);
    expect(() => timeline.readSmall(timeline.find(ObjectKind.tablespace, 1, 0, 0, 0), at(1))).toThrow(
      expect.objectContaining({ code: 'lsn-not-available' }),
    );
    timeline.advance(at(1));
    const object = timeline.find(ObjectKind.tablespace, 1, 0, 0, 0);
    expect(timeline.readSmall(object, at(1))).toEqual(Uint8Array.of(1, 2));
    expect(timeline.readSmall(object, at(0))).toBeUndefined();
    expect(() => timeline.readSmall(object, (at(0) - 1) as Lsn)).toThrow(
      expect.objectContaining({ code: 'lsn-not-available' }),
    );
    putSmall(timeline, ObjectKind.tablespace, 1, at(2));
    timeline.advance(at(2));
    expect(timeline.readSmall(object, at(2))).toEqual(new Uint8Array(0));
    expect(timeline.readSmall(NO_OBJECT, at(2))).toBeUndefined();
    expect(() => putSmall(timeline, ObjectKind.tablespace, 1, at(2), 1)).toThrow('above the last record LSN');
    expect(() => timeline.advance(at(1))).toThrow('never goes back');
  });

  test('tells where its values are while some are in memory only', async () => {
    const timeline = await create();
    putSmall(timeline, ObjectKind.tablespace, 1, at(1), 1, 2);
    timeline.advance(at(1));
    const { memory, layers } = timeline.layers;
    expect(memory).toEqual([expect.objectContaining({ frozen: false, lsnEnd: formatLsn(at(1)) })]);
    expect(layers).toEqual([]);
  });

  test('has no page beyond the size of its object at that LSN, though older lives of the object had', async () => {
    const timeline = await create();
    const writer = new ModelWriter(timeline, new StorageModel(at(0)));
    writer.put(7, 3, at(1), ValueKind.image, pageOf(1));
    writer.setSize(7, 1, at(2));
    writer.setSize(7, -1, at(3));
    writer.advance(at(3));
    const relation = timeline.find(ObjectKind.relation, 1663, 5, 7, 0);
    const page = allocatePage();
    timeline.readPage(relation, 3, at(1), page);
    expect(digest(page.bytes)).toBe(digest(pageOf(1)));
    expect([at(0), at(1), at(2), at(3)].map((lsn) => timeline.blockCount(relation, lsn))).toEqual([
      undefined,
      4,
      1,
      undefined,
    ]);
    for (const [block, lsn] of [
      [3, at(2)],
      [0, at(3)],
      [4, at(1)],
      [0, at(0)],
    ] as const)
      expect(() => timeline.readPage(relation, block, lsn, page)).toThrow(
        expect.objectContaining({ code: 'no-such-block' }),
      );
    expect(() => timeline.readPages(relation, 0, 2, at(2), new Uint8Array(2 * BLCKSZ), 0)).toThrow(
      expect.objectContaining({ code: 'no-such-block' }),
    );
    expect(() => timeline.readPage(timeline.find(ObjectKind.relation, 9, 9, 9, 0), 0, at(3), page)).toThrow(
      expect.objectContaining({ code: 'no-such-block' }),
    );
  });

  test('fails the read of a page whose record has no redo, names the page, and serves it again once an image covers it', async () => {
    const timeline = await create();
    const writer = new ModelWriter(timeline, new StorageModel(at(0)));
    writer.put(7, 0, at(1), ValueKind.initRecord, Uint8Array.of(1));
    writer.put(7, 1, at(2), ValueKind.initRecord, Uint8Array.of(1));
    timeline.put(
      timeline.find(ObjectKind.relation, 1663, 5, 7, 0),
      0,
      at(3),
      ValueKind.record,
      Uint8Array.of(0xee, 0xee),
      0,
      2,
    );
    timeline.advance(at(3));
    expect(readOutcome(timeline, 7, 0, at(3))).toContain('no redo');
    expect(readOutcome(timeline, 7, 1, at(3))).toContain('of 1 values');
    expect(readOutcome(timeline, 7, 0, at(2))).toContain('of 1 values');
    await timeline.flush();
    expect(await timeline.compact()).toMatchObject({ mergedLayers: 1 });
    expect(readOutcome(timeline, 7, 0, at(3))).toContain('no redo');
    timeline.put(timeline.find(ObjectKind.relation, 1663, 5, 7, 0), 0, at(4), ValueKind.image, pageOf(4), 0, BLCKSZ);
    timeline.advance(at(4));
    const page = allocatePage();
    timeline.readPage(timeline.find(ObjectKind.relation, 1663, 5, 7, 0), 0, at(4), page);
    expect(digest(page.bytes)).toBe(digest(pageOf(4)));
  });

  test('calls a history without a beginning corrupt, never a page', async () => {
    const timeline = await create();
    putSmallSize(timeline, 7, at(1));
    timeline.put(
      timeline.intern(ObjectKind.relation, 1663, 5, 7, 0),
      0,
      at(1),
      ValueKind.record,
      Uint8Array.of(1),
      0,
      1,
    );
    timeline.advance(at(1));
    expect(() =>
      timeline.readPage(timeline.find(ObjectKind.relation, 1663, 5, 7, 0), 0, at(1), allocatePage()),
    ).toThrow(CorruptionError);
  });

  test('scans the objects of a kind that exist, in key order and by prefix', async () => {
    const timeline = await create();
    for (const spc of [5, 3, 9]) putSmall(timeline, ObjectKind.database, spc, at(1), spc);
    timeline.advance(at(1));
    putSmall(timeline, ObjectKind.database, 3, at(2));
    timeline.advance(at(2));
    const scan = (lsn: Lsn, prefix?: { spc: number }): number[] => {
      const seen: number[] = [];
      timeline.scan(ObjectKind.database, lsn, (key, value) => seen.push(key.spc, ...value), prefix);
      return seen;
    };
    expect(scan(at(1))).toEqual([3, 3, 5, 5, 9, 9]);
    expect(scan(at(2))).toEqual([5, 5, 9, 9]);
    expect(scan(at(1), { spc: 9 })).toEqual([9, 9]);
    expect(scan(at(0))).toEqual([]);
  });

  test('with 100,000 changes of one page answers at any LSN by a bounded amount of work once they are flushed', async () => {
    reopen({ pageCacheBytes: 0 });
    const timeline = await create();
    const model = new StorageModel(at(0));
    const writer = new ModelWriter(timeline, model);
    for (let n = 1; n <= 100_000; n++) {
      writer.put(7, 0, at(n), ValueKind.operation, Uint8Array.of(n, n >> 8, n >> 16));
      writer.advance(at(n));
    }
    await timeline.flush();
    let applied = 0;
    const counting: typeof chainRedo = {
      ...chainRedo,
      applyOperation: (...args) => {
        applied++;
        chainRedo.applyOperation(...args);
      },
    };
    await store.close();
    reopen({ pageCacheBytes: 0 }, { redo: counting });
    const reopened = store.get(TENANT, timelineId(1));
    for (const n of [1, 255, 256, 257, 5_000, 77_777, 99_999, 100_000]) {
      applied = 0;
      expect(readOutcome(reopened, 7, 0, at(n))).toBe(modelOutcome(model, 7, 0, at(n)));
      expect(applied).toBeLessThanOrEqual(256);
    }
  });
});

function putSmallSize(timeline: Timeline, rel: number, lsn: Lsn): void {
  timeline.put(
    timeline.intern(ObjectKind.relationSize, 1663, 5, rel, 0),
    0,
    lsn,
    ValueKind.image,
    Uint8Array.of(1, 0, 0, 0),
    0,
    4,
  );
}

describe('flush and compaction', () => {
  test('a flush with nothing but the advance of WAL moves the disk-consistent LSN and writes no layer', async () => {
    const timeline = await create();
    timeline.advance(at(5));
    await timeline.flush();
    expect(timeline.diskConsistentLsn).toBe(at(5));
    expect(readdirSync(layersOf(1))).toEqual([]);
    await store.close();
    reopen();
    expect(store.get(TENANT, timelineId(1)).lastRecordLsn).toBe(at(5));
  });

  test('a full in-memory layer is flushed and compacted in the background, ingest pauses while memory is short, reads go on', async () => {
    reopen({
      compactInBackground: true,
      compactionThreshold: 2,
      memoryBytes: 16 * MIB,
      pageCacheBytes: MIB,
      indexCacheBytes: MIB,
      checkpointDistanceBytes: MIB,
      layerBytesTarget: MIB,
    });
    const timeline = await create();
    const model = new StorageModel(at(0));
    const writer = new ModelWriter(timeline, model);
    let pauses = 0;
    let peak = 0;
    for (let n = 1; n <= 2000; n++) {
      writer.put(n % 5, n % 37, at(n), ValueKind.image, pageOf(n));
      writer.advance(at(n));
      peak = Math.max(peak, timeline.statistics.memoryLayerBytes);
      const pause = timeline.backpressure();
      if (pause === undefined) continue;
      pauses++;
      await pause;
      expect(readOutcome(timeline, n % 5, n % 37, at(n))).toBe(modelOutcome(model, n % 5, n % 37, at(n)));
    }
    expect(pauses).toBeGreaterThan(3);
    expect(peak).toBeLessThan(6 * MIB);
    await timeline.flush();
    await timeline.compact(2);
    expect(timeline.statistics.deltaLayers).toBeGreaterThan(2);
    expect(timeline.statistics.levelZeroLayers).toBeLessThan(3);
    expect(new Set(readdirSync(layersOf(1))).size).toBe(
      timeline.statistics.levelZeroLayers + timeline.statistics.deltaLayers + timeline.statistics.imageLayers,
    );
    for (let n = 1; n <= 2000; n += 61)
      expect(readOutcome(timeline, n % 5, n % 37, at(n))).toBe(modelOutcome(model, n % 5, n % 37, at(n)));
  });

  test('a page that had to be unpacked is not fetched again; one of a long batch is, and one of a new layer is not packed', async () => {
    let bytesRead = 0;
    const counted: FileSystem = {
      ...unsyncedFileSystem,
      read: (fd, into, offset, length, position) => {
        bytesRead += length;
        return unsyncedFileSystem.read(fd, into, offset, length, position);
      },
    };
    reopen({}, { fileSystem: counted });
    const timeline = await create();
    const writer = new ModelWriter(timeline, new StorageModel(at(0)));
    const compressible = (block: number): Uint8Array => new Uint8Array(BLCKSZ).fill(block, 4096);
    for (let block = 0; block < 40; block++) writer.put(7, block, at(block + 1), ValueKind.image, compressible(block));
    writer.advance(at(40));
    await timeline.flush();
    const size = (): number =>
      readdirSync(layersOf(1)).reduce((sum, file) => sum + statSync(join(layersOf(1), file)).size, 0);
    expect(size()).toBeGreaterThan(40 * BLCKSZ);
    await timeline.compact(1);
    expect(size()).toBeLessThan(10 * BLCKSZ);
    const relation = timeline.find(ObjectKind.relation, 1663, 5, 7, 0);
    const out = new Uint8Array(40 * BLCKSZ);
    const read = (first: number, count: number): number => {
      const before = bytesRead;
      timeline.readPages(relation, first, count, at(40), out, 0);
      for (let n = 0; n < count; n++)
        expect(out.subarray(n * BLCKSZ, (n + 1) * BLCKSZ)).toEqual(compressible(first + n));
      return bytesRead - before;
    };
    expect(read(0, 17)).toBeGreaterThan(0);
    expect(read(0, 17)).toBeGreaterThan(0);
    expect(read(0, 16)).toBeGreaterThan(0);
    expect(read(0, 16)).toBe(0);
    const page = allocatePage();
    timeline.readPage(relation, 20, at(40), page);
    const before = bytesRead;
    timeline.readPage(relation, 20, at(40), page);
    expect([bytesRead, page.bytes]).toEqual([before, compressible(20)]);
  });

  test('a flush in the middle of a record waits for its end', async () => {
    const timeline = await create();
    putSmall(timeline, ObjectKind.tablespace, 1, at(1), 1);
    timeline.advance(at(1));
    putSmall(timeline, ObjectKind.tablespace, 2, at(2), 2);
    const flushed = timeline.flush();
    putSmall(timeline, ObjectKind.tablespace, 3, at(2), 3);
    timeline.advance(at(2));
    await flushed;
    expect(timeline.diskConsistentLsn).toBe(at(2));
  });

  test('a failed flush is reported, keeps everything readable, and is tried again by itself', async () => {
    let full = true;
    reopen(
      { retryDelayMs: 1 },
      {
        fileSystem: {
          ...unsyncedFileSystem,
          write: (fd, bytes, offset, length) => {
            if (full && length > 10_000) throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
            localFileSystem.write(fd, bytes, offset, length);
          },
        },
      },
    );
    const timeline = await create();
    const writer = new ModelWriter(timeline, new StorageModel(at(0)));
    for (let n = 1; n < 10; n++) writer.put(1, n, at(n), ValueKind.image, pageOf(n));
    writer.advance(at(10));
    await expect(timeline.flush()).rejects.toThrow('no space left');
    expect(timeline.diskConsistentLsn).toBe(at(0));
    expect(timeline.statistics.flushError?.message).toContain('no space left');
    expect(readdirSync(layersOf(1))).toEqual([]);
    full = false;
    await expect.poll(() => timeline.diskConsistentLsn, { timeout: 5000 }).toBe(at(10));
    expect(timeline.statistics.flushError).toBeUndefined();
    expect(readOutcome(timeline, 1, 5, at(10))).toBe(modelOutcome(writer.model, 1, 5, at(10)));
  });

  test('opening reads the indexes and nothing of the layers; a read opens the layers that it may need', async () => {
    reopen({ layerBytesTarget: 4 * BLCKSZ, imageTiersMin: 1, imageTiersMax: 1 });
    const main = new ModelWriter(await create(), new StorageModel(at(0)));
    for (let n = 1; n <= 300; n++) {
      main.put(n % 5, n % 7, at(n), ValueKind.image, pageOf(n));
      main.advance(at(n));
    }
    await main.timeline.flush();
    await main.timeline.compact();
    await store.createBranch(TENANT, timelineId(2), timelineId(1), at(200));
    const layers = readdirSync(layersOf(1)).length;
    expect(layers).toBeGreaterThan(20);
    await store.close();
    const read: string[] = [];
    const opened = new Set<string>();
    reopen(
      {},
      {
        fileSystem: {
          ...unsyncedFileSystem,
          openForReading: (path) => {
            opened.add(path);
            return localFileSystem.openForReading(path);
          },
          readFile: (path) => {
            read.push(path.slice(path.lastIndexOf('/') + 1));
            return localFileSystem.readFile(path);
          },
          size: (path) => {
            if (path.includes('/layers/')) opened.add(path);
            return localFileSystem.size(path);
          },
        },
      },
    );
    expect(opened).toEqual(new Set());
    expect(read.toSorted()).toEqual(['index.json', 'index.json', 'leases.json', 'leases.json']);
    const [timeline, branch] = [store.get(TENANT, timelineId(1)), store.get(TENANT, timelineId(2))];
    expect(readOutcome(branch, 1, 1, at(150))).toBe(modelOutcome(main.model, 1, 1, at(150)));
    expect(opened.size).toBeGreaterThan(0);
    expect(opened.size).toBeLessThan(layers / 2);
    for (let n = 1; n <= 300; n += 7)
      expect(readOutcome(timeline, n % 5, n % 7, at(n))).toBe(modelOutcome(main.model, n % 5, n % 7, at(n)));
    await timeline.compact();
    expect(opened.size).toBeGreaterThanOrEqual(layers);
  });

  test('a disk with room for a layer and none for the index is not filled up by attempts', async () => {
    let full = false;
    let attempts = 0;
    reopen(
      { retryDelayMs: 1, retryDelayMsMax: 1 },
      {
        fileSystem: {
          ...unsyncedFileSystem,
          create: (path) => {
            if (full && path.endsWith('index.json.tmp')) {
              attempts++;
              throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
            }
            return localFileSystem.create(path);
          },
        },
      },
    );
    const timeline = await create();
    const writer = new ModelWriter(timeline, new StorageModel(at(0)));
    for (let n = 1; n < 10; n++) writer.put(1, n, at(n), ValueKind.image, pageOf(n));
    writer.advance(at(10));
    full = true;
    await expect(timeline.flush()).rejects.toThrow('no space left');
    await expect.poll(() => attempts, { timeout: 5000 }).toBeGreaterThan(5);
    expect(readdirSync(layersOf(1)).length).toBeLessThan(2);
    full = false;
    await expect.poll(() => timeline.diskConsistentLsn, { timeout: 5000 }).toBe(at(10));
    expect(readdirSync(layersOf(1))).toHaveLength(1);
    expect(readOutcome(timeline, 1, 5, at(10))).toBe(modelOutcome(writer.model, 1, 5, at(10)));
  });

  test('image layers bound what a read of an often changed partition touches, and are not written again without reason', async () => {
    reopen({ imageTiersMin: 3, imageDeltaFraction: 0.3, pageCacheBytes: 0 });
    const timeline = await create();
    const model = new StorageModel(at(0));
    const writer = new ModelWriter(timeline, model);
    const created: number[] = [];
    let n = 1;
    for (let round = 0; round < 8; round++) {
      for (let block = 0; block < 20; block++, n++) {
        writer.put(1, block, at(n), ValueKind.image, pageOf(n));
        writer.advance(at(n));
      }
      await timeline.flush();
      created.push((await timeline.compact()).imageLayers);
    }
    // The first time for the size of the relation too, in a file of its own.
    expect(created).toEqual([0, 0, 2, 0, 0, 1, 0, 0]);
    for (let lsn = 1; lsn < n; lsn += 13)
      expect(readOutcome(timeline, 1, 4, at(lsn))).toBe(modelOutcome(model, 1, 4, at(lsn)));
  });
});

describe('a branch', () => {
  test('costs the same whatever its ancestor holds, is durable at once, and repeating it is harmless', async () => {
    const timeline = await create();
    const writer = new ModelWriter(timeline, new StorageModel(at(0)));
    for (let n = 0; n < 3000; n++) writer.put(1, n, at(n + 1), ValueKind.image, pageOf(n));
    writer.advance(at(3000));
    await timeline.flush();
    const child = await store.createBranch(TENANT, timelineId(2), timelineId(1), at(1500));
    expect(await store.createBranch(TENANT, timelineId(2), timelineId(1), at(1500))).toBe(child);
    await expect(store.createBranch(TENANT, timelineId(2), timelineId(1), at(1501))).rejects.toMatchObject({
      code: 'timeline-exists',
    });
    await expect(store.createBranch(TENANT, timelineId(3), timelineId(1), (at(0) - 8) as Lsn)).rejects.toMatchObject({
      code: 'lsn-outside-history',
    });
    await expect(store.createBranch(TENANT, timelineId(3), timelineId(9), at(1))).rejects.toMatchObject({
      code: 'no-such-timeline',
    });
    expect(statSync(join(layersOf(2), '..', 'index.json')).size).toBeLessThan(1000);
    // Not closed: as after kill -9.
    const again = TimelineStore.open(directory, { redo: chainRedo });
    const reopened = again.get(TENANT, timelineId(2));
    expect(readOutcome(reopened, 1, 1400, at(1500))).toBe(modelOutcome(writer.model, 1, 1400, at(1500)));
    expect(readOutcome(reopened, 1, 1600, at(1500))).toBe('error no-such-block');
    await again.close();
  });

  test('500 of one parent are made while it is written to and flushed, each by one small file, and a page is read from each', async () => {
    let files = 0;
    const fileSystem = {
      ...unsyncedFileSystem,
      create: (path: string) => {
        if (!path.includes('/layers/')) files++;
        return localFileSystem.create(path);
      },
    };
    reopen({}, { fileSystem });
    const parent = await create();
    const writer = new ModelWriter(parent, new StorageModel(at(0)));
    const made: Promise<Timeline>[] = [];
    for (let n = 1; n <= 500; n++) {
      writer.put(n % 5, n % 7, at(n), ValueKind.image, pageOf(n));
      writer.advance(at(n));
      made.push(store.createBranch(TENANT, timelineId(n + 1), timelineId(1), at(n)));
      if (n % 100 !== 0) continue;
      await Promise.all(made);
      const indexes = files;
      await parent.flush();
      files = indexes;
    }
    const branches = await Promise.all(made);
    expect(files).toBe(1 + 500);
    for (const [i, branch] of branches.entries()) {
      const n = i + 1;
      expect(readOutcome(branch, n % 5, n % 7, at(n))).toBe(modelOutcome(writer.model, n % 5, n % 7, at(n)));
    }
  });

  test('of an LSN that the ancestor has not ingested waits for it, and only as long as it is told', async () => {
    const timeline = await create();
    timeline.advance(at(5));
    const child = await store.createBranch(TENANT, timelineId(2), timelineId(1), at(10));
    const grandchild = await store.createBranch(TENANT, timelineId(3), timelineId(2), at(10));
    expect(() => grandchild.readSmall(NO_OBJECT, at(10))).toThrow(
      expect.objectContaining({ code: 'lsn-not-available' }),
    );
    await grandchild.waitForLsn(at(5), WAIT);
    await expect(grandchild.waitForLsn(at(10), { timeoutMs: 5 })).rejects.toMatchObject({ code: 'lsn-not-available' });
    await expect(grandchild.waitForLsn((at(0) - 1) as Lsn, WAIT)).rejects.toMatchObject({ code: 'lsn-not-available' });
    const waiting = Promise.all([grandchild.waitForLsn(at(10), WAIT), child.waitForLsn(at(9), WAIT)]);
    timeline.advance(at(12));
    await waiting;
    await Promise.all([
      expect(child.waitForLsn(at(11), WAIT)).rejects.toMatchObject({ code: 'closing' }),
      store.close(),
    ]);
  });

  test('never bakes a page into a layer that was rebuilt while its ancestor lagged', async () => {
    reopen({ imageAfterValues: 4, imageTiersMin: 1, imageTiersMax: 1 });
    const timeline = await create();
    const model = new StorageModel(at(0));
    const writer = new ModelWriter(timeline, model);
    writer.put(1, 0, at(1), ValueKind.initRecord, Uint8Array.of(1));
    writer.advance(at(1));
    await timeline.flush();
    // Lost with the machine below: the ancestor ingests it again, later than its branch goes on.
    writer.put(1, 0, at(2), ValueKind.record, Uint8Array.of(2));
    writer.advance(at(2));
    const branchModel = new StorageModel(at(2), { model, lsn: at(2) });
    await store.createBranch(TENANT, timelineId(2), timelineId(1), at(2));
    store = TimelineStore.open(directory, {
      redo: chainRedo,
      fileSystem: unsyncedFileSystem,
      options: { compactInBackground: false, imageAfterValues: 4, imageTiersMin: 1, imageTiersMax: 1 },
    });
    const child = store.get(TENANT, timelineId(2));
    const childWriter = new ModelWriter(child, branchModel);
    for (let n = 10; n < 30; n++) {
      childWriter.put(1, 0, at(n), ValueKind.record, Uint8Array.of(n));
      childWriter.advance(at(n));
    }
    await child.flush();
    expect(await child.compact()).toMatchObject({ imageLayers: 0 });
    expect(() => child.readPage(child.find(ObjectKind.relation, 1663, 5, 1, 0), 0, at(20), allocatePage())).toThrow(
      expect.objectContaining({ code: 'lsn-not-available' }),
    );
    writer.replayInto(store.get(TENANT, timelineId(1)));
    expect(readOutcome(child, 1, 0, at(29))).toBe(modelOutcome(branchModel, 1, 0, at(29)));
    // The page, and the size.
    expect(await child.compact()).toMatchObject({ imageLayers: 2 });
    expect(readOutcome(child, 1, 0, at(29))).toBe(modelOutcome(branchModel, 1, 0, at(29)));
  });

  test('ten deep reads what every ancestor left it', async () => {
    let timeline = await create();
    let model = new StorageModel(at(0));
    for (let depth = 0; depth < 10; depth++) {
      const writer = new ModelWriter(timeline, model);
      for (let block = 0; block < 12; block++)
        writer.put(
          1,
          block,
          at(100 * depth + block + 1),
          block === depth ? ValueKind.image : ValueKind.record,
          block === depth ? pageOf(depth) : Uint8Array.of(depth, block),
        );
      writer.advance(at(100 * depth + 50));
      if (depth % 2 === 0) await timeline.flush();
      if (depth % 3 === 0) await timeline.compact();
      const lsn = at(100 * depth + 6);
      timeline = await store.createBranch(TENANT, timelineId(depth + 2), timeline.timeline, lsn);
      model = new StorageModel(lsn, { model, lsn });
    }
    for (let block = 0; block < 12; block++)
      expect(readOutcome(timeline, 1, block, model.lastLsn)).toBe(modelOutcome(model, 1, block, model.lastLsn));
    expect(model.page(1, 5, model.lastLsn)?.view.getUint32(4, true)).toBeGreaterThan(3);
  });
});

describe('a store', () => {
  test('knows nothing of an import that was not finished, and everything of one that was', async () => {
    const load = store.importTimeline({ tenant: TENANT, timeline: timelineId(1), pgMajor: 17, initialLsn: at(0) });
    for (let n = 0; n < 100; n++)
      load.writer.put(ObjectKind.slru, 0, 0, 3, 0, (n * 37) % 100, pageOf((n * 37) % 100), 0, BLCKSZ);
    expect(store.list()).toEqual([]);
    expect(() =>
      store.importTimeline({ tenant: TENANT, timeline: timelineId(1), pgMajor: 17, initialLsn: at(0) }),
    ).toThrow(expect.objectContaining({ code: 'timeline-exists' }));
    load.abandon();
    expect(readdirSync(join(layersOf(1), '..', '..'))).toEqual([]);
    const second = store.importTimeline({ tenant: TENANT, timeline: timelineId(1), pgMajor: 17, initialLsn: at(0) });
    for (let n = 0; n < 100; n++)
      second.writer.put(ObjectKind.slru, 0, 0, 3, 0, (n * 37) % 100, pageOf((n * 37) % 100), 0, BLCKSZ);
    second.writer.put(ObjectKind.slruSize, 0, 0, 3, 0, 0, Uint8Array.of(100, 0, 0, 0), 0, 4);
    const timeline = await second.finish();
    expect(timeline).toMatchObject({ pgMajor: 17, initialLsn: at(0), lastRecordLsn: at(0), diskConsistentLsn: at(0) });
    const out = new Uint8Array(100 * BLCKSZ);
    timeline.readPages(timeline.find(ObjectKind.slru, 0, 0, 3, 0), 0, 100, at(0), out, 0);
    for (let n = 0; n < 100; n++) expect(digest(out.subarray(n * BLCKSZ, (n + 1) * BLCKSZ))).toBe(digest(pageOf(n)));
  });

  test('imports more than fits in memory, in key order and out of order', async () => {
    reopen({ checkpointDistanceBytes: MIB / 2, layerBytesTarget: MIB });
    for (const [id, step] of [
      [1, 1],
      [2, 77],
    ] as const) {
      const load = store.importTimeline({ tenant: TENANT, timeline: timelineId(id), pgMajor: 18, initialLsn: at(0) });
      for (let n = 0; n < 500; n++) {
        const block = (n * step) % 500;
        load.writer.put(ObjectKind.relation, 1663, 5, 1, 0, block, pageOf(block), 0, BLCKSZ);
        await load.writer.backpressure();
      }
      load.writer.put(ObjectKind.relationSize, 1663, 5, 1, 0, 0, Uint8Array.of(244, 1, 0, 0), 0, 4);
      const timeline = await load.finish();
      expect(timeline.statistics.imageLayers).toBeGreaterThan(3);
      expect(readdirSync(layersOf(id))).toHaveLength(timeline.statistics.imageLayers);
      const page = allocatePage();
      for (let block = 0; block < 500; block += 7) {
        timeline.readPage(timeline.find(ObjectKind.relation, 1663, 5, 1, 0), block, at(0), page);
        expect(digest(page.bytes)).toBe(digest(pageOf(block)));
      }
    }
  });

  test('removes what no index names when it opens, and refuses ids that are taken', async () => {
    await create();
    await expect(create()).rejects.toMatchObject({ code: 'timeline-exists' });
    await store.close();
    writeFileSync(join(layersOf(1), '7.tmp'), 'x');
    mkdirSync(layersOf(5), { recursive: true });
    reopen();
    expect(readdirSync(layersOf(1))).toEqual([]);
    expect(readdirSync(join(layersOf(1), '..', '..'))).toEqual([timelineId(1)]);
    expect(() => store.get(TENANT, timelineId(5))).toThrow(expect.objectContaining({ code: 'no-such-timeline' }));
  });
});
