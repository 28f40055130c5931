import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

/** What the policy promises: layers written for each byte of an L0 layer, and layer files a read of a page asks. */
const WRITTEN_PER_LEVEL_ZERO_BYTE_MAX = 5;
const FILES_PER_PAGE_MAX = 10;
/** Layers written for each byte of WAL, and disk for each byte of pages and of retained WAL. */
const WRITTEN_PER_WAL_BYTE_MAX = 5;
const DISK_PER_LOGICAL_AND_WAL_BYTE_MAX = {
  packs: 2,
  /** Each byte of deltas, and the images that are due with half a partition of them. */
  'does not pack': 1 + 1 / DEFAULT_STORAGE_OPTIONS.imageDeltaFraction,
};

const RELATIONS = 10_000;

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

let directory: string;
let store: TimelineStore;
let random: (below: number) => number;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'zenith-shapes-'));
  store = TimelineStore.open(directory, { redo: chainRedo, fileSystem: unsyncedFileSystem, options: OPTIONS });
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

function writtenPerLevelZeroByte(): number {
  const { levelZeroBytes, runBytes, imageBytes } = store.counts;
  return (levelZeroBytes + runBytes + imageBytes) / levelZeroBytes;
}

describe('reads stay short and writes bounded with', () => {
  test('one hot page', async () => {
    const writer = await created();
    for (let n = 1; n <= 24_000; n++) {
      writer.put(1, 0, at(n), ValueKind.record, record(60));
      writer.advance(at(n));
      if (n % 1000 === 0) await settle(writer);
    }
    expect(filesOfWorstRead(writer, [[1, 0]])).toBeLessThanOrEqual(FILES_PER_PAGE_MAX);
    expect(writtenPerLevelZeroByte()).toBeLessThanOrEqual(WRITTEN_PER_LEVEL_ZERO_BYTE_MAX);
    for (let n = 1; n <= 24_000; n += 1777)
      expect(readOutcome(writer.timeline, 1, 0, at(n))).toBe(modelOutcome(writer.model, 1, 0, at(n)));
  });

  test('ten thousand relations', async () => {
    const writer = await created();
    let n = 1;
    // Made as a schema is: many at a time, each with its first page.
    for (let rel = 0; rel < RELATIONS; rel++) {
      writer.put(rel, 0, at(n), ValueKind.initRecord, record(60));
      if (rel % 20 === 19) writer.advance(at(n++));
      if (rel % 1000 === 999) await settle(writer);
    }
    const madeLsn = at(n - 1);
    for (let i = 1; i <= 6000; i++, n++) {
      writer.put(random(RELATIONS), random(2), at(n), ValueKind.record, record(200));
      writer.advance(at(n));
      if (i % 500 === 0) await settle(writer);
    }
    // Every third is dropped.
    for (let rel = 0; rel < RELATIONS; rel += 3) writer.setSize(rel, -1, at(n));
    writer.advance(at(n));
    await settle(writer);
    const some = Array.from({ length: 300 }, () => [random(RELATIONS), random(2)] as const);
    expect(filesOfWorstRead(writer, some)).toBeLessThanOrEqual(FILES_PER_PAGE_MAX);
    expect(writtenPerLevelZeroByte()).toBeLessThanOrEqual(WRITTEN_PER_LEVEL_ZERO_BYTE_MAX);

    await store.close();
    store = TimelineStore.open(directory, { redo: chainRedo, fileSystem: unsyncedFileSystem, options: OPTIONS });
    const opened = writer.movedTo(store.get(TENANT, timelineId(1)));
    expect(filesOfWorstRead(opened, some)).toBeLessThanOrEqual(FILES_PER_PAGE_MAX);
    for (const [rel] of some)
      expect(readOutcome(opened.timeline, rel, 0, madeLsn)).toBe(modelOutcome(writer.model, rel, 0, madeLsn));
    const sizeOf = (rel: number): number | undefined => {
      const object = opened.timeline.find(ObjectKind.relation, 1663, 5, rel, 0);
      return opened.timeline.blockCount(object, writer.model.lastLsn);
    };
    const sizes = Array.from({ length: RELATIONS }, (_, rel) => sizeOf(rel));
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
    let n = 1;
    const ends: number[] = [];
    for (let round = 0; round < 12; round++) {
      for (let block = 0; block < 150; block++, n++) {
        writer.put(1, block, at(n), ValueKind.initRecord, record(900));
        writer.advance(at(n));
      }
      ends.push(n - 1);
      await settle(writer);
      if (round === 11) break;
      writer.setSize(1, 0, at(n));
      writer.advance(at(n++));
      await settle(writer);
    }
    expect(
      filesOfWorstRead(
        writer,
        Array.from({ length: 150 }, (_, block) => [1, block]),
      ),
    ).toBeLessThanOrEqual(FILES_PER_PAGE_MAX);
    // Each filling is history that can be read; images are made of what is there, not of what was.
    for (const end of ends)
      expect(readOutcome(writer.timeline, 1, 149, at(end))).toBe(modelOutcome(writer.model, 1, 149, at(end)));
    expect(store.counts.imageBytes).toBeLessThanOrEqual(12 * 150 * (BLCKSZ + 64) * 1.2);
  });

  test('a parent whose children have overwritten everything', async () => {
    const parent = await created();
    for (let block = 0; block < 120; block++) parent.put(1, block, at(1), ValueKind.image, pageOf(block));
    parent.advance(at(1));
    await parent.timeline.flush();
    await parent.timeline.compact();
    const parentBytes = parent.timeline.statistics.layerFileBytes;
    for (let child = 0; child < 4; child++) {
      const model = new StorageModel(at(1), { model: parent.model, lsn: at(1) });
      const branch = await store.createBranch(TENANT, timelineId(2 + child), timelineId(1), at(1));
      const writer = new ModelWriter(branch, model);
      for (let n = 2; n < 5; n++) {
        for (let block = 0; block < 120; block++) writer.put(1, block, at(n), ValueKind.image, pageOf(n + block));
        writer.advance(at(n));
        await settle(writer);
      }
      await branch.compact();
      // Its own images answer for it: the parent is not asked.
      const before = store.counts.pagesByLayers.slice();
      expect(
        filesOfWorstRead(
          writer,
          Array.from({ length: 120 }, (_, block) => [1, block]),
        ),
      ).toBeLessThanOrEqual(FILES_PER_PAGE_MAX);
      expect(store.counts.pagesByLayers[1]).toBe((before[1] as number) + 120);
      expect(branch.statistics.layerFileBytes).toBeLessThan(parentBytes * 6);
    }
    expect(parent.timeline.statistics.layerFileBytes).toBe(parentBytes);
    expect(writtenPerLevelZeroByte()).toBeLessThanOrEqual(WRITTEN_PER_LEVEL_ZERO_BYTE_MAX);
  });
});
