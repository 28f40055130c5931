import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { allocatePage, BLCKSZ } from '@zenith/pg-format';
import { FaultyStorage } from '@zenith/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import {
  at,
  modelOutcome,
  ModelWriter,
  pageOf,
  StorageModel,
  TENANT,
  timelineId,
} from '../timeline/storage-model.test-support.ts';
import type { Timeline } from '../timeline/timeline.ts';
import {
  close,
  fetchedOutcome,
  type Node,
  play,
  putSome,
  RELATIONS,
  RemoteLab,
  wrongPages,
} from './remote-lab.test-support.ts';

const PAGE = allocatePage();

/** No budget at all: whatever may go goes. */
const NOTHING = { diskBytes: 0 };

let lab: RemoteLab;
beforeEach(async () => {
  lab = await RemoteLab.create();
});
afterEach(() => lab.remove());

/** Layer files that are on the disk. */
function filesOf({ dataDirectory }: Node, n: number): readonly string[] {
  return readdirSync(join(dataDirectory, 'tenants', TENANT, 'timelines', timelineId(n), 'layers'));
}

function layersOf(timeline: Timeline): number {
  const { levelZeroLayers, deltaLayers, imageLayers } = timeline.statistics;
  return levelZeroLayers + deltaLayers + imageLayers;
}

/** A timeline with relations of images, each a layer file of its own of some 400 KiB. */
async function writeLarge({ store, remote }: Node, relations: number): Promise<ModelWriter> {
  const wanted = { tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) } as const;
  const writer = new ModelWriter(await store.create(wanted), new StorageModel(at(0)));
  let n = 1;
  for (let rel = 0; rel < relations; rel++)
    for (let block = 0; block < 50; block++, n++) {
      writer.put(rel, block, at(n), ValueKind.image, pageOf(n));
      writer.advance(at(n));
    }
  await writer.timeline.flush();
  await writer.timeline.compact();
  await remote.settled();
  return writer;
}

test('a store without any room keeps what ingest needs, fetches the rest to read it, and gives every page right: after compactions and restarts too', async () => {
  const node = await lab.open('first', 1, undefined, NOTHING);
  const [main, branch] = (await play(node)) as [ModelWriter, ModelWriter];
  expect(node.store.disk.evictedLayers).toBeGreaterThan(0);
  expect(main.timeline.statistics.absentLayers).toBeGreaterThan(0);
  expect(filesOf(node, 1).length).toBe(layersOf(main.timeline) - main.timeline.statistics.absentLayers);
  // What ingest looks at is here, without any wait.
  for (const { timeline, model } of [main, branch])
    for (let rel = 0; rel < RELATIONS; rel++)
      expect(timeline.blockCount(timeline.find(ObjectKind.relation, 1663, 5, rel, 0), model.lastLsn)).toBe(
        model.size(rel, model.lastLsn),
      );
  expect(await wrongPages(node.store, 1, main, main.model.lastLsn)).toEqual([]);
  expect(await wrongPages(node.store, 2, branch, branch.model.lastLsn)).toEqual([]);
  putSome(main, 300, 60);
  await main.timeline.flush();
  await main.timeline.compact();
  await node.remote.settled();
  expect(await wrongPages(node.store, 1, main, main.model.lastLsn)).toEqual([]);
  await close(node);
  const again = await lab.open('first', 2, undefined, NOTHING);
  expect(again.store.get(TENANT, timelineId(1)).statistics.absentLayers).toBeGreaterThan(0);
  expect(await wrongPages(again.store, 1, main, main.model.lastLsn)).toEqual([]);
  expect(await wrongPages(again.store, 2, branch, branch.model.lastLsn)).toEqual([]);
  await close(again);
});

test('no layer goes that remote storage does not have by an index that counts', async () => {
  const storage = new FaultyStorage(lab.inner);
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  storage.fault = ({ kind, key }) => (kind === 'put' && key.startsWith('indexes/') ? held : undefined);
  const node = await lab.open('first', 1, storage, NOTHING);
  const wanted = { tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) } as const;
  const main = new ModelWriter(await node.store.create(wanted), new StorageModel(at(0)));
  putSome(main, 1, 60);
  await main.timeline.flush();
  await main.timeline.compact();
  expect(node.store.disk.evictedLayers).toBe(0);
  expect(filesOf(node, 1).length).toBe(layersOf(main.timeline));
  release();
  await node.remote.settled();
  expect(node.store.disk.evictedLayers).toBeGreaterThan(0);
  // Superseded: the objects are another's to remove.
  const young = await lab.open('young', 2);
  await young.remote.settled();
  putSome(main, 100, 60);
  await main.timeline.flush();
  await main.timeline.compact();
  await node.remote.settled();
  expect(node.remote.status(TENANT, timelineId(1))?.state).toBe('superseded');
  const { evictedLayers } = node.store.disk;
  node.store.get(TENANT, timelineId(1)).relieve();
  await main.timeline.flush();
  expect(node.store.disk.evictedLayers).toBe(evictedLayers);
  expect(filesOf(node, 1).length).toBe(layersOf(main.timeline) - main.timeline.statistics.absentLayers);
  await close(young);
  await close(node);
});

test('those read longest ago go first, and as many as are too many', async () => {
  const room = 4 * 60 * BLCKSZ;
  const node = await lab.open('first', 1, undefined, { diskBytes: room, layerBytesTarget: 40 * BLCKSZ });
  const { timeline, model } = await writeLarge(node, 8);
  expect(node.store.disk.residentBytes).toBeLessThanOrEqual(room);
  expect(node.store.disk.residentBytes).toBeGreaterThan(room / 2);
  const isHere = (rel: number): boolean => {
    const { absentLayers } = timeline.statistics;
    try {
      timeline.readPage(timeline.find(ObjectKind.relation, 1663, 5, rel, 0), 20, model.lastLsn, PAGE);
      return true;
    } catch (error) {
      expect(timeline.hasRemedy(error)).toBe(true);
      expect(timeline.statistics.absentLayers).toBe(absentLayers);
      return false;
    }
  };
  const downloads = (): number => node.storage.operations.filter(({ kind }) => kind === 'get').length;
  for (const [i, rel] of [0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0].entries()) {
    const before = downloads();
    expect(await fetchedOutcome(timeline, rel, 20, model.lastLsn)).toBe(modelOutcome(model, rel, 20, model.lastLsn));
    // Read again and again, it stays while others come and go.
    if (rel === 0 && i > 0) expect(downloads()).toBe(before);
  }
  expect(downloads()).toBeGreaterThan(3);
  expect([0, 6].map(isHere)).toEqual([true, true]);
  expect([1, 2].map(isHere)).toEqual([false, false]);
  expect(node.store.disk.residentBytes).toBeLessThanOrEqual(room);
  await close(node);
});

test('after a restart the summaries of absent layers say what is not in them: nothing is fetched for it', async () => {
  const options = { diskBytes: 0, layerBytesTarget: 40 * BLCKSZ };
  const node = await lab.open('first', 1, undefined, options);
  const { model } = await writeLarge(node, 3);
  await close(node);
  const again = await lab.open('first', 2, undefined, options);
  const timeline = again.store.get(TENANT, timelineId(1));
  const { residentBytes } = again.store.disk;
  const { absentLayers } = timeline.statistics;
  expect(absentLayers).toBeGreaterThanOrEqual(3);
  await expect(
    timeline.fetching(() => timeline.blockCount(timeline.find(ObjectKind.relation, 1663, 5, 0, 1), model.lastLsn)),
  ).resolves.toBeUndefined();
  expect(again.store.disk.residentBytes).toBe(residentBytes);
  expect(again.storage.operations.filter(({ kind, key }) => kind === 'get' && key.startsWith('layers/'))).not.toEqual(
    [],
  );
  expect(await fetchedOutcome(timeline, 2, 7, model.lastLsn)).toBe(modelOutcome(model, 2, 7, model.lastLsn));
  await close(again);
});

test('while remote storage is away what is here is read, what is not fails and says so, and both are read when it is back', async () => {
  const node = await lab.open('first', 1, undefined, { diskBytes: 3 * 60 * BLCKSZ, layerBytesTarget: 40 * BLCKSZ });
  const { timeline, model } = await writeLarge(node, 6);
  const read = (rel: number): Promise<string> => fetchedOutcome(timeline, rel, 20, model.lastLsn);
  await read(0);
  node.storage.fault = ({ kind }) => (kind === 'get' ? 'fail' : undefined);
  expect(await read(0)).toBe(modelOutcome(model, 0, 20, model.lastLsn));
  const outcomes = await Promise.all([1, 2, 3, 4, 5].map(read));
  expect(outcomes).toContain('error unavailable');
  node.storage.fault = () => undefined;
  for (let rel = 0; rel < 6; rel++) expect(await read(rel)).toBe(modelOutcome(model, rel, 20, model.lastLsn));
  await close(node);
}, 60_000);

test('a page whose layers together are more than the room is read all the same', async () => {
  const node = await lab.open('first', 1, undefined, {
    ...NOTHING,
    imageTiersMin: 100,
    imageTiersMax: 100,
    imageAfterValues: 1000,
    // Fewer index blocks than layers: each look needs the files again.
    indexCacheBytes: 0,
  });
  const wanted = { tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) } as const;
  const main = new ModelWriter(await node.store.create(wanted), new StorageModel(at(0)));
  for (let tier = 0; tier < 12; tier++) {
    for (let n = tier * 10 + 1; n <= tier * 10 + 10; n++) {
      main.put(0, 3, at(n), ValueKind.record, Uint8Array.of(n, 2, 3));
      main.advance(at(n));
    }
    await main.timeline.flush();
    await main.timeline.compact();
  }
  await node.remote.settled();
  expect(main.timeline.statistics.absentLayers).toBe(12);
  node.storage.operations.length = 0;
  const outcomes = await Promise.all(
    Array.from({ length: 8 }, () => fetchedOutcome(main.timeline, 0, 3, main.model.lastLsn)),
  );
  expect(new Set(outcomes)).toEqual(new Set([modelOutcome(main.model, 0, 3, main.model.lastLsn)]));
  const fetched = new Set(node.storage.operations.filter(({ kind }) => kind === 'get').map(({ key }) => key));
  expect(fetched.size).toBe(12);
  expect(main.timeline.statistics.absentLayers).toBe(12);
  await close(node);
});
