import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BLCKSZ } from '@zenith/pg-format';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
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

const PAGES = 60;
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'zenith-compact-'));
});

afterEach(() => rmSync(directory, { recursive: true }));

function layerNames(): string[] {
  return readdirSync(join(directory, 'tenants', TENANT, 'timelines', timelineId(1), 'layers'));
}

/** A timeline of 60 pages in six image layers of ten. */
async function imported(more: {
  imageTiersMin: number;
  imageDeltaFraction: number;
  imageTiersMax: number;
}): Promise<{ store: TimelineStore; writer: ModelWriter; model: StorageModel }> {
  const options = { compactInBackground: false, layerBytesTarget: 10 * BLCKSZ, pageCacheBytes: 0, ...more };
  const store = TimelineStore.open(directory, { redo: chainRedo, fileSystem: unsyncedFileSystem, options });
  const load = store.importTimeline({ tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) });
  const model = new StorageModel(at(0));
  for (let block = 0; block < PAGES; block++) {
    load.writer.put(ObjectKind.relation, 1663, 5, 1, 0, block, pageOf(block), 0, BLCKSZ);
    model.values.set(`1/${block}`, [{ lsn: at(0), kind: ValueKind.image, bytes: pageOf(block) }]);
  }
  load.writer.put(ObjectKind.relationSize, 1663, 5, 1, 0, 0, Uint8Array.of(PAGES, 0, 0, 0), 0, 4);
  model.sizes.set(1, [{ lsn: at(0), size: PAGES }]);
  const writer = new ModelWriter(await load.finish(), model);
  return { store, writer, model };
}

describe('compaction', () => {
  test('writes images of the partition that changes, of its pages only, and leaves the others alone', async () => {
    const { store, writer, model } = await imported({ imageTiersMin: 1, imageDeltaFraction: 0.3, imageTiersMax: 100 });
    const { timeline } = writer;
    expect(timeline.statistics.imageLayers).toBe(7);
    for (let n = 1; n <= 40; n++) {
      writer.put(1, 20 + (n % 10), at(n), ValueKind.image, pageOf(1000 + n));
      writer.advance(at(n));
    }
    writer.put(1, 5, at(41), ValueKind.record, Uint8Array.of(1, 2, 3));
    writer.advance(at(41));
    await timeline.flush();
    const before = new Set(layerNames());
    expect(await timeline.compact()).toMatchObject({ mergedLayers: 1, imageLayers: 1 });
    const images = layerNames().filter(
      (name) => !before.has(name) && name.includes('_' + at(41).toString(16).padStart(16, '0')),
    );
    expect(images).toHaveLength(1);
    // Blocks 20 to 29 of the relation: the range is in the name.
    expect(images[0]).toContain('00000014');
    expect(images[0]).toContain('0000001d');
    for (let block = 0; block < PAGES; block++)
      for (const n of [0, 13, 41])
        expect(readOutcome(timeline, 1, block, at(n))).toBe(modelOutcome(model, 1, block, at(n)));
    await store.close();
  });

  test('writes images in the end however little changes, so that the tiers above an image stay few', async () => {
    const { store, writer } = await imported({ imageTiersMin: 2, imageDeltaFraction: 0.9, imageTiersMax: 4 });
    const created: number[] = [];
    for (let round = 0; round < 9; round++) {
      writer.put(1, 7, at(round + 1), ValueKind.record, Uint8Array.of(round));
      writer.advance(at(round + 1));
      await writer.timeline.flush();
      created.push((await writer.timeline.compact()).imageLayers);
    }
    expect(created).toEqual([0, 0, 0, 1, 0, 0, 0, 1, 0]);
    await store.close();
  });

  test('writes images of what was loaded in bulk with its first run, and not again for the few changes after it', async () => {
    const options = { compactInBackground: false, layerBytesTarget: 100 * BLCKSZ, pageCacheBytes: 0 };
    const store = TimelineStore.open(directory, { redo: chainRedo, fileSystem: unsyncedFileSystem, options });
    const timeline = await store.create({ tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) });
    const writer = new ModelWriter(timeline, new StorageModel(at(0)));
    for (let block = 0; block < PAGES; block++) writer.put(1, block, at(1), ValueKind.image, pageOf(block));
    writer.advance(at(1));
    await timeline.flush();
    expect((await timeline.compact()).imageLayers).toBeGreaterThan(0);
    const { imageBytes } = store.counts;
    for (let n = 2; n < 6; n++) {
      writer.put(1, n, at(n), ValueKind.record, Uint8Array.of(n));
      writer.advance(at(n));
      await timeline.flush();
      await timeline.compact();
    }
    // The relation's partition is large against what has changed.
    expect(store.counts.imageBytes - imageBytes).toBeLessThan(imageBytes / 2);
    for (let block = 0; block < PAGES; block++)
      expect(readOutcome(timeline, 1, block, at(5))).toBe(modelOutcome(writer.model, 1, block, at(5)));
    await store.close();
  });

  test('does not copy what was dropped or truncated into images', async () => {
    const { store, writer, model } = await imported({ imageTiersMin: 1, imageDeltaFraction: 0, imageTiersMax: 1 });
    for (let block = 0; block < 20; block++) writer.put(2, block, at(1), ValueKind.image, pageOf(block));
    writer.setSize(2, -1, at(2));
    writer.setSize(1, 4, at(2));
    writer.put(1, 0, at(2), ValueKind.record, Uint8Array.of(1));
    writer.advance(at(2));
    await writer.timeline.flush();
    const before = writer.timeline.statistics.imageFileBytes;
    const result = await writer.timeline.compact();
    expect(result.imageLayers).toBeGreaterThan(0);
    expect(writer.timeline.statistics.imageFileBytes - before).toBeLessThan((4 + 3 * result.imageLayers + 2) * BLCKSZ);
    expect(readOutcome(writer.timeline, 2, 3, at(1))).toBe(modelOutcome(model, 2, 3, at(1)));
    expect(readOutcome(writer.timeline, 1, 50, at(1))).toBe(modelOutcome(model, 1, 50, at(1)));
    expect(readOutcome(writer.timeline, 1, 50, at(2))).toBe('error no-such-block');
    await store.close();
  });

  test('that is interrupted by the end of the process leaves the layers as they were and no files of its own', async () => {
    const { store, writer, model } = await imported({ imageTiersMin: 1, imageDeltaFraction: 0, imageTiersMax: 1 });
    for (let n = 1; n <= 3000; n++) {
      writer.put(1, n % PAGES, at(n), ValueKind.image, pageOf(n));
      writer.advance(at(n));
    }
    await writer.timeline.flush();
    const before = layerNames().toSorted();
    await Promise.all([expect(writer.timeline.compact()).rejects.toMatchObject({ code: 'closing' }), store.close()]);
    expect(layerNames().toSorted()).toEqual(before);
    const again = TimelineStore.open(directory, { redo: chainRedo, fileSystem: unsyncedFileSystem });
    expect(readOutcome(again.get(TENANT, timelineId(1)), 1, 7, at(2999))).toBe(modelOutcome(model, 1, 7, at(2999)));
    await again.close();
  });
});
