import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BLCKSZ } from '@zenith/pg-format';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ValueKind } from '../key-space/value.ts';
import type { StorageOptions } from '../timeline/options.ts';
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

  test('thousands of relations', async () => {
    const writer = await created();
    for (let n = 1; n <= 4000; n++) {
      writer.put(random(3000), random(2), at(n), ValueKind.record, record(400));
      writer.advance(at(n));
      if (n % 250 === 0) await settle(writer);
    }
    expect(
      filesOfWorstRead(
        writer,
        Array.from({ length: 100 }, () => [random(3000), random(2)]),
      ),
    ).toBeLessThanOrEqual(FILES_PER_PAGE_MAX);
    expect(writtenPerLevelZeroByte()).toBeLessThanOrEqual(WRITTEN_PER_LEVEL_ZERO_BYTE_MAX);
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
