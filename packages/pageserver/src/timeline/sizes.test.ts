import { lsn, type Lsn } from '@zenith/base';
import { BLCKSZ } from '@zenith/pg-format';
import { temporaryDirectory } from '@zenith/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import { pageOf, TENANT, timelineId, unsyncedFileSystem } from './storage-model.test-support.ts';
import { TimelineStore } from './timeline-store.ts';
import type { Timeline } from './timeline.ts';

let directory: ReturnType<typeof temporaryDirectory>;
let store: TimelineStore;
beforeEach(() => {
  directory = temporaryDirectory();
  store = TimelineStore.open(directory.path, {
    options: { compactInBackground: false },
    fileSystem: unsyncedFileSystem,
  });
});
afterEach(async () => {
  await store.close();
  directory.remove();
});

/** Makes a relation of so many blocks, and flushes it. */
async function write(timeline: Timeline, rel: number, blocks: number, from: number): Promise<void> {
  const relation = timeline.intern(ObjectKind.relation, 1663, 5, rel, 0);
  const size = timeline.intern(ObjectKind.relationSize, 1663, 5, rel, 0);
  for (let block = 0; block < blocks; block++)
    timeline.put(relation, block, lsn(from), ValueKind.image, pageOf(from + block), 0, BLCKSZ);
  const bytes = new Uint8Array(blocks === 0 ? [] : Uint32Array.of(blocks).buffer);
  timeline.put(size, 0, lsn(from), ValueKind.image, bytes, 0, bytes.length);
  timeline.advance(lsn(from));
  await timeline.flush();
}

test('logical is what there is at the end, history its own WAL, unique the layers that no branch reads', async () => {
  const main = await store.create({ tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: lsn(1000) });
  await write(main, 1, 10, 2000);
  await write(main, 2, 3, 3000);
  const layers = (timeline: Timeline): number => timeline.statistics.layerFileBytes;
  expect(await store.sizes(TENANT, timelineId(1))).toEqual({
    logicalBytes: 13 * BLCKSZ,
    historyBytes: 2000,
    uniqueBytes: layers(main),
  });
  const shared = layers(main);
  const child = await store.createBranch(TENANT, timelineId(2), timelineId(1), 3000 as Lsn);
  expect(await store.sizes(TENANT, timelineId(2))).toEqual({
    logicalBytes: 13 * BLCKSZ,
    historyBytes: 0,
    uniqueBytes: 0,
  });
  expect(await store.sizes(TENANT, timelineId(1))).toMatchObject({ uniqueBytes: 0 });
  await write(main, 3, 5, 4000);
  await write(child, 1, 0, 3500);
  expect(await store.sizes(TENANT, timelineId(1))).toEqual({
    logicalBytes: 18 * BLCKSZ,
    historyBytes: 3000,
    uniqueBytes: layers(main) - shared,
  });
  expect(await store.sizes(TENANT, timelineId(2))).toEqual({
    logicalBytes: 3 * BLCKSZ,
    historyBytes: 500,
    uniqueBytes: layers(child),
  });
});
