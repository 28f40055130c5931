import { BLCKSZ } from '@zenith/pg-format';
import { temporaryDirectory } from '@zenith/testing';
import { expect, test, vi } from 'vitest';
import { ObjectTable } from '../key-space/object-table.ts';
import { ValueKind } from '../key-space/value.ts';
import { LayerFile } from '../layers/layer-file.ts';
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
} from './storage-model.test-support.ts';
import { TimelineStore } from './timeline-store.ts';

const [RELATIONS, BLOCKS, ROUNDS] = [4, 12, 3];

test('after a start a read opens the layers that may hold its page, and what it reads again costs no key as text', async () => {
  const directory = temporaryDirectory();
  const open = (): TimelineStore =>
    TimelineStore.open(directory.path, {
      redo: chainRedo,
      fileSystem: unsyncedFileSystem,
      options: { compactInBackground: false, layerBytesTarget: 4 * BLCKSZ, pageCacheBytes: 0 },
    });
  const before = open();
  const timeline = await before.create({ tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) });
  const writer = new ModelWriter(timeline, new StorageModel(at(0)));
  for (let n = 1; n <= ROUNDS * RELATIONS * BLOCKS; n++) {
    writer.put(1 + (n % RELATIONS), Math.floor(n / RELATIONS) % BLOCKS, at(n), ValueKind.image, pageOf(n));
    writer.advance(at(n));
    if (n % (RELATIONS * BLOCKS) !== 0) continue;
    await timeline.flush();
    await timeline.compact();
  }
  const layers = timeline.layers.layers.length;
  expect(layers).toBeGreaterThan(ROUNDS * RELATIONS * 2);
  await before.close();

  const opened = vi.spyOn(LayerFile.prototype, 'openHere');
  const after = open();
  const reopened = writer.movedTo(after.get(TENANT, timelineId(1)));
  const readAll = (rel: number): void => {
    for (let block = 0; block < BLOCKS; block++)
      for (let n = 1; n <= ROUNDS * RELATIONS * BLOCKS; n += 7)
        expect(readOutcome(reopened.timeline, rel, block, at(n))).toBe(modelOutcome(reopened.model, rel, block, at(n)));
  };
  readAll(2);
  const needed = opened.mock.calls.length;
  expect(needed).toBeGreaterThan(ROUNDS);
  expect(needed).toBeLessThan(layers * 0.7);
  const texts = vi.spyOn(ObjectTable.prototype, 'storedKey');
  readAll(2);
  expect(opened).toHaveBeenCalledTimes(needed);
  expect(texts).not.toHaveBeenCalled();
  for (let rel = 1; rel <= RELATIONS; rel++) readAll(rel);
  expect(opened.mock.calls.length).toBeGreaterThan(needed);
  vi.restoreAllMocks();
  await after.close();
  directory.remove();
});
