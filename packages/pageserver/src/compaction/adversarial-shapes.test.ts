import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Lsn } from '@zenith/base';
import { BLCKSZ } from '@zenith/pg-format';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import { DEFAULT_STORAGE_OPTIONS, type StorageOptions } from '../timeline/options.ts';
import {
  at,
  chainRedo,
  modelOutcome,
  ModelWriter,
  pageOf,
  readOutcome,
  StorageModel,
  TENANT,
  timelineId,
  unsyncedFileSystem,
} from '../timeline/storage-model.test-support.ts';
import { TimelineStore } from '../timeline/timeline-store.ts';

const FILES_PER_PAGE_MAX = 10;
/** Layers written for each byte of WAL, and disk for each byte of pages and of retained WAL. */
const WRITTEN_PER_WAL_BYTE_MAX = 5;
const DISK_PER_LOGICAL_AND_WAL_BYTE_MAX = {
  packs: 2,
  /** Each byte of deltas, and the images that are due with half a partition of them. */
  'does not pack': 1 + 1 / DEFAULT_STORAGE_OPTIONS.imageDeltaFraction,
};

const RELATIONS = 10_000;
/** Of them, those that are changed all the time. */
const HOT_RELATIONS = 10;
/** Where their layers are cut: not a thousand times smaller, for they are as many as they are. Unit: bytes. */
const RELATIONS_LAYER_BYTES = 1024 * 1024;

/** Pages of the table that is updated in bulk. */
const TABLE_BLOCKS = 256;

/** What a record takes in the WAL besides its data: its header, its block reference. Unit: bytes. */
const RECORD_OVERHEAD = 48;

/** So much WAL is flushed at a time. Unit: bytes. */
const FLUSH_BYTES = 64 * 1024;

/** The shape of the defaults, a thousand times smaller. */
const OPTIONS: Partial<StorageOptions> = {
  compactInBackground: false,
  pageCacheBytes: 0,
  layerBytesTarget: 16 * BLCKSZ,
};

/** What files and redo were asked for since the test began, but for indexes: they are read as a whole. Sizes in bytes. */
interface Work {
  writtenBytes: number;
  reads: number;
  readBytes: number;
  appliedValues: number;
}

/** LSNs that advance by what records take in the WAL, so that amplification is that of bytes of WAL. */
class Wal {
  end = at(0);

  /** The end of the next record, which has so many bytes of data. */
  next(length: number): Lsn {
    const end = this.end + length + RECORD_OVERHEAD;
    this.end = (end + (-end & 7)) as Lsn;
    return this.end;
  }

  get bytes(): number {
    return this.end - at(0);
  }
}

let directory: string;
let store: TimelineStore;
let work: Work;
let random: (below: number) => number;

function open(options: Partial<StorageOptions>): TimelineStore {
  return TimelineStore.open(directory, {
    options,
    redo: {
      applyRecord(...value) {
        work.appliedValues++;
        chainRedo.applyRecord(...value);
      },
      applyOperation(...value) {
        work.appliedValues++;
        chainRedo.applyOperation(...value);
      },
    },
    fileSystem: {
      ...unsyncedFileSystem,
      read(fd, bytes, offset, length, position) {
        work.reads++;
        work.readBytes += length;
        return unsyncedFileSystem.read(fd, bytes, offset, length, position);
      },
      write(fd, bytes, offset, length) {
        work.writtenBytes += length;
        unsyncedFileSystem.write(fd, bytes, offset, length);
      },
    },
  });
}

/** Everything below the store's folder. Unit: bytes. */
function diskBytes(): number {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

/** Memory that is in use, garbage collected. Unit: bytes. */
function memoryInUse(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'zenith-shapes-'));
  work = { writtenBytes: 0, reads: 0, readBytes: 0, appliedValues: 0 };
  store = open(OPTIONS);
  let seed = 7;
  random = (below) => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 0x1_0000_0000) * below);
  };
});

afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

async function created(): Promise<ModelWriter> {
  const timeline = await store.create({ tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) });
  return new ModelWriter(timeline, new StorageModel(at(0)));
}

/** What a flush and the compaction after it do. */
async function settle({ timeline }: ModelWriter): Promise<void> {
  await timeline.flush();
  if (timeline.statistics.levelZeroLayers >= 4) await timeline.compact();
}

function record(length: number): Uint8Array {
  return Uint8Array.from({ length }, () => random(250));
}

/** Reads pages at the head and holds them against the model. Returns how many layer files the worst of them came from. */
function filesOfWorstRead({ timeline, model }: ModelWriter, keys: readonly (readonly [number, number])[]): number {
  const before = store.counts.pagesByLayers.slice();
  for (const [rel, block] of keys)
    expect(readOutcome(timeline, rel, block, model.lastLsn)).toBe(modelOutcome(model, rel, block, model.lastLsn));
  return store.counts.pagesByLayers.findLastIndex((count, i) => count > (before[i] as number));
}

/** What was written and what there is, as multiples of the WAL. */
function expectBounded(wal: Wal, bounds: { readonly written: number; readonly disk: number }): void {
  expect(work.writtenBytes / wal.bytes).toBeLessThanOrEqual(bounds.written);
  expect(diskBytes() / wal.bytes).toBeLessThanOrEqual(bounds.disk);
}

describe('reads stay short and writes bounded with', () => {
  test('one hot page', async () => {
    const writer = await created();
    const wal = new Wal();
    const ends: Lsn[] = [];
    writer.put(1, 0, wal.next(BLCKSZ), ValueKind.image, pageOf(1));
    for (let n = 1; n <= 24_000; n++) {
      const lsn = wal.next(60);
      writer.put(1, 0, lsn, ValueKind.record, record(60));
      writer.advance(lsn);
      if (n % 1777 === 1) ends.push(lsn);
      if (n % 1000 === 0) await settle(writer);
    }
    expectBounded(wal, { written: 2.9, disk: 1.5 }); // 2.2 and 1.17 measured
    expect(filesOfWorstRead(writer, [[1, 0]])).toBeLessThanOrEqual(1);
    for (const end of ends) {
      const before = work.appliedValues;
      expect(readOutcome(writer.timeline, 1, 0, end)).toBe(modelOutcome(writer.model, 1, 0, end));
      expect(work.appliedValues - before).toBeLessThanOrEqual(300); // 226 in the worst
    }
  });

  test('ten thousand relations', async () => {
    await store.close();
    const options = { ...OPTIONS, layerBytesTarget: RELATIONS_LAYER_BYTES };
    store = open(options);
    const writer = await created();
    const wal = new Wal();
    // Made as a schema is: many at a time, each with its first page.
    for (let rel = 0; rel < RELATIONS; rel++) {
      writer.put(rel, 0, wal.next(60), ValueKind.initRecord, record(60));
      if (rel % 20 === 19) writer.advance(wal.end);
      if (rel % 1000 === 999) await settle(writer);
    }
    const madeLsn = wal.end;
    // Few changes everywhere, and each time some of a few pages, as those of the catalog.
    for (let i = 1; i <= 4000; i++) {
      const lsn = wal.next(200);
      if (i % 10 === 0) writer.put(random(HOT_RELATIONS), 0, lsn, ValueKind.record, record(200));
      else writer.put(random(RELATIONS), random(2), lsn, ValueKind.record, record(200));
      writer.advance(lsn);
      if (i % 100 === 0) await settle(writer);
    }
    // Every third is dropped.
    const dropLsn = wal.next(60);
    for (let rel = 0; rel < RELATIONS; rel += 3) writer.setSize(rel, -1, dropLsn);
    writer.advance(dropLsn);
    await settle(writer);
    expectBounded(wal, { written: 7, disk: 4.6 }); // 5.5 and 3.6 measured: a page's image for 70 bytes of WAL, names and entries of 10,000 objects
    const some = [
      ...Array.from({ length: 300 }, () => [random(RELATIONS), random(2)] as const),
      ...Array.from({ length: HOT_RELATIONS }, (_, rel) => [rel, 0] as const),
    ];
    expect(filesOfWorstRead(writer, some)).toBeLessThanOrEqual(6); // 5 measured

    await store.close();
    const memoryBefore = memoryInUse();
    work = { writtenBytes: 0, reads: 0, readBytes: 0, appliedValues: 0 };
    store = open(options);
    expect(work.reads).toBe(0);
    const opened = writer.movedTo(store.get(TENANT, timelineId(1)));
    expect(filesOfWorstRead(opened, some)).toBeLessThanOrEqual(6);
    for (const [rel] of some)
      expect(readOutcome(opened.timeline, rel, 0, madeLsn)).toBe(modelOutcome(writer.model, rel, 0, madeLsn));
    expect(work.appliedValues).toBeLessThanOrEqual(480); // 377 measured, for 620 reads
    const sizeOf = (rel: number): number | undefined => {
      const object = opened.timeline.find(ObjectKind.relation, 1663, 5, rel, 0);
      return opened.timeline.blockCount(object, writer.model.lastLsn);
    };
    const sizes = Array.from({ length: RELATIONS }, (_, rel) => sizeOf(rel));
    // Of layers it is their indexes that are in memory, and what was read: 4 and 11 MB measured.
    expect(work.readBytes).toBeLessThanOrEqual(5.2e6);
    expect(memoryInUse() - memoryBefore).toBeLessThanOrEqual(20e6);
    expect(sizes).toEqual(sizes.map((_, rel) => writer.model.size(rel, writer.model.lastLsn)));
  });

  // LSNs advance here by what a record takes in the WAL, so that amplification is that of bytes of WAL: a table a thousand times smaller than one of 2 GB, flushed after a thousandth of what is flushed by default.
  test.each<{
    shape: string;
    rounds: number;
    records: number;
    length: number;
    order: 'in order' | 'at random';
    content: 'packs' | 'does not pack';
  }>([
    { shape: 'rows of the whole table', rounds: 5, records: 12, length: 480, order: 'in order', content: 'packs' },
    { shape: 'rows of the whole table', rounds: 5, records: 12, length: 480, order: 'at random', content: 'packs' },
    {
      shape: 'rows of the whole table',
      rounds: 5,
      records: 12,
      length: 480,
      order: 'at random',
      content: 'does not pack',
    },
    { shape: 'one row of every page', rounds: 60, records: 1, length: 60, order: 'in order', content: 'packs' },
    { shape: 'one row of every page', rounds: 60, records: 1, length: 60, order: 'at random', content: 'packs' },
  ])('updates in bulk of $shape, $order, several times, of what $content', async (the) => {
    const { rounds, records, length, order, content } = the;
    // Of rows that pack, half is the same everywhere.
    const packed = (bytes: Uint8Array): Uint8Array => (content === 'packs' ? bytes.fill(32, bytes.length / 2) : bytes);
    const writer = await created();
    const ends: Lsn[] = [];
    let next = at(0) as number;
    let unflushed = 0;
    const put = async (block: number, kind: ValueKind, bytes: Uint8Array): Promise<void> => {
      next += bytes.length + RECORD_OVERHEAD;
      next += -next & 7;
      writer.put(1, block, next as Lsn, kind, bytes);
      writer.advance(next as Lsn);
      unflushed += bytes.length + RECORD_OVERHEAD;
      if (unflushed < FLUSH_BYTES) return;
      unflushed = 0;
      await settle(writer);
    };
    for (let block = 0; block < TABLE_BLOCKS; block++) await put(block, ValueKind.image, packed(pageOf(block)));
    for (let round = 0; round < rounds; round++) {
      const blocks = Array.from({ length: TABLE_BLOCKS }, (_, block) => block);
      if (order === 'at random')
        for (let i = TABLE_BLOCKS - 1; i > 0; i--) {
          const j = random(i + 1);
          [blocks[i], blocks[j]] = [blocks[j] as number, blocks[i] as number];
        }
      for (const block of blocks)
        for (let i = 0; i < records; i++) await put(block, ValueKind.record, packed(record(length)));
      ends.push(next as Lsn);
    }
    await settle(writer);
    const walBytes = next - at(0);
    expect(store.counts.walBytes).toBe(walBytes);
    expect(store.counts.writeAmplification).toBeLessThanOrEqual(WRITTEN_PER_WAL_BYTE_MAX);
    const every = Array.from({ length: TABLE_BLOCKS }, (_, block) => [1, block] as const);
    expect(filesOfWorstRead(writer, every)).toBeLessThanOrEqual(FILES_PER_PAGE_MAX);
    // All WAL is retained here, and with it each image that was made on the way.
    expect(writer.timeline.statistics.layerFileBytes).toBeLessThanOrEqual(
      DISK_PER_LOGICAL_AND_WAL_BYTE_MAX[content] * (TABLE_BLOCKS * BLCKSZ + walBytes),
    );
    for (const end of ends)
      for (const block of [0, random(TABLE_BLOCKS), TABLE_BLOCKS - 1])
        expect(readOutcome(writer.timeline, 1, block, end)).toBe(modelOutcome(writer.model, 1, block, end));
  });

  test('a relation that is truncated and filled again', async () => {
    const writer = await created();
    const wal = new Wal();
    const ends: Lsn[] = [];
    const every = Array.from({ length: 150 }, (_, block) => [1, block] as const);
    for (let round = 0; round < 12; round++) {
      for (let block = 0; block < 150; block++) {
        const lsn = wal.next(BLCKSZ);
        writer.put(1, block, lsn, ValueKind.image, pageOf(round * 150 + block));
        writer.advance(lsn);
        if (block % 50 === 49) await settle(writer);
      }
      ends.push(wal.end);
      if (round === 11) break;
      writer.setSize(1, 0, wal.next(60));
      writer.advance(wal.end);
      if (round % 3 === 0) await settle(writer);
    }
    await settle(writer);
    expectBounded(wal, { written: 3.6, disk: 2.1 }); // 2.8 and 1.65 measured
    expect(filesOfWorstRead(writer, every)).toBeLessThanOrEqual(1);
    // Each filling is history that can be read; images are made of what is there, not of what was.
    for (const end of ends)
      expect(readOutcome(writer.timeline, 1, 149, end)).toBe(modelOutcome(writer.model, 1, 149, end));
  });

  test('a parent whose children have overwritten everything', async () => {
    const parent = await created();
    const wal = new Wal();
    const every = Array.from({ length: 120 }, (_, block) => [1, block] as const);
    for (const [rel, block] of every) parent.put(rel, block, wal.next(BLCKSZ), ValueKind.image, pageOf(block));
    parent.advance(wal.end);
    await parent.timeline.flush();
    await parent.timeline.compact();
    const branchLsn = wal.end;
    const parentBytes = parent.timeline.statistics.layerFileBytes;
    for (let child = 0; child < 4; child++) {
      const model = new StorageModel(branchLsn, { model: parent.model, lsn: branchLsn });
      const branch = await store.createBranch(TENANT, timelineId(2 + child), timelineId(1), branchLsn);
      const writer = new ModelWriter(branch, model);
      const own = new Wal();
      own.end = branchLsn;
      const writtenBefore = work.writtenBytes;
      for (let n = 2; n < 5; n++) {
        for (const [rel, block] of every) writer.put(rel, block, own.next(BLCKSZ), ValueKind.image, pageOf(n + block));
        writer.advance(own.end);
        await settle(writer);
      }
      await branch.compact();
      // Its own images answer for it: the parent is not asked.
      const before = store.counts.pagesByLayers.slice();
      const worst = filesOfWorstRead(writer, every);
      expect(store.counts.pagesByLayers[1]).toBe((before[1] as number) + 120);
      expect(worst).toBeLessThanOrEqual(1);
      const ownBytes = own.end - branchLsn;
      expect((work.writtenBytes - writtenBefore) / ownBytes).toBeLessThanOrEqual(3.2); // 2.5 measured
      expect(branch.statistics.layerFileBytes / ownBytes).toBeLessThanOrEqual(1.9); // 1.48 measured
    }
    expect(parent.timeline.statistics.layerFileBytes).toBe(parentBytes);
  });
});
