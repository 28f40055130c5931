import type { Lsn } from '@zenith/base';
import { BLCKSZ } from '@zenith/pg-format';
import { expect, test } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import { CrashingFileSystem } from './crashing-file-system.test-support.ts';
import {
  backgroundEnds,
  BLOCKS,
  inDirectory,
  isInjected,
  putSome,
  RELATIONS,
  seeded,
  SMALL_STORE,
} from './power-failure.test-support.ts';
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
import type { Timeline } from './timeline.ts';
import { TimelineStore } from './timeline-store.ts';

/** What had been reported when the machine went down. */
interface Reported {
  readonly writers: ModelWriter[];
  readonly durable: Lsn[];
}

/** Everything a store does that changes files. After each step it notes how far each timeline says it is durable. */
async function play(store: TimelineStore, reported: Reported): Promise<void> {
  const note = (): void =>
    reported.writers.forEach(({ timeline }, i) => {
      reported.durable[i] = timeline.diskConsistentLsn;
    });
  const load = store.importTimeline({ tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) });
  const model = new StorageModel(at(0));
  for (let block = 0; block < 9; block++) {
    const bytes = pageOf(block);
    load.writer.put(ObjectKind.relation, 1663, 5, 0, 0, block, bytes, 0, BLCKSZ);
    model.values.set(`0/${block}`, [{ lsn: at(0), kind: ValueKind.image, bytes }]);
  }
  load.writer.put(ObjectKind.relationSize, 1663, 5, 0, 0, 0, Uint8Array.of(9, 0, 0, 0), 0, 4);
  model.sizes.set(0, [{ lsn: at(0), size: 9 }]);
  const main = new ModelWriter(await load.finish(), model);
  reported.writers.push(main);
  note();
  putSome(main, 1, 60);
  await main.timeline.flush();
  note();
  putSome(main, 61, 30);
  const branchModel = new StorageModel(at(70), { model, lsn: at(70) });
  const branch = new ModelWriter(await store.createBranch(TENANT, timelineId(2), timelineId(1), at(70)), branchModel);
  reported.writers.push(branch);
  note();
  putSome(branch, 100, 25);
  await Promise.all([branch.timeline.flush(), main.timeline.flush()]);
  note();
  const compaction = main.timeline.compact();
  putSome(main, 130, 20);
  await Promise.all([main.timeline.flush(), compaction]);
  note();
  await branch.timeline.compact();
  note();
  await store.close();
  note();
}

function expectReadable(timeline: Timeline, model: StorageModel, upTo: Lsn): void {
  const wrong: string[] = [];
  for (let lsn = timeline.initialLsn as number; lsn <= upTo; lsn += 8 * 19)
    wrong.push(...wrongAt(timeline, model, lsn as Lsn));
  wrong.push(...wrongAt(timeline, model, upTo));
  expect(wrong).toEqual([]);
}

function wrongAt(timeline: Timeline, model: StorageModel, lsn: Lsn): string[] {
  const wrong: string[] = [];
  for (let rel = 0; rel < RELATIONS; rel++) {
    for (let block = 0; block < BLOCKS + 4; block++) {
      const [outcome, expected] = [readOutcome(timeline, rel, block, lsn), modelOutcome(model, rel, block, lsn)];
      if (outcome !== expected) wrong.push(`relation ${rel} block ${block} at ${lsn}: ${outcome}, not ${expected}`);
    }
  }
  return wrong;
}

async function countOperations(): Promise<number> {
  const fileSystem = new CrashingFileSystem(Number.POSITIVE_INFINITY, true);
  await inDirectory(async (directory) => {
    const reported: Reported = { writers: [], durable: [] };
    await play(TimelineStore.open(directory, { options: SMALL_STORE, redo: chainRedo, fileSystem }), reported);
    expect(reported.writers[0]?.timeline.statistics).toMatchObject({ levelZeroLayers: 0, memoryLayerBytes: 0 });
    expect(reported.writers[0]?.timeline.statistics.imageLayers).toBeGreaterThan(3);
  });
  return fileSystem.operations;
}

test('a power failure at any file operation loses nothing that was reported durable, and ingest goes on from there', async () => {
  const operations = await countOperations();
  expect(operations).toBeGreaterThan(80);
  let lostRuns = 0;
  for (let failAt = 0; failAt < operations; failAt++) {
    await inDirectory(async (directory) => {
      const fileSystem = new CrashingFileSystem(failAt, true);
      const reported: Reported = { writers: [], durable: [] };
      // Failing to remove a compacted layer is not a failure.
      await Promise.resolve()
        .then(() =>
          play(TimelineStore.open(directory, { options: SMALL_STORE, redo: chainRedo, fileSystem }), reported),
        )
        .catch((error: unknown) => expect(isInjected(error)).toBe(true));
      expect(fileSystem.crashed).toBe(true);
      await backgroundEnds();
      fileSystem.loseUnsynced(seeded(failAt));
      const store = TimelineStore.open(directory, {
        options: SMALL_STORE,
        redo: chainRedo,
        fileSystem: unsyncedFileSystem,
      });
      expect([...store.broken.values()]).toEqual([]);
      for (const [i, { model }] of reported.writers.entries()) {
        const timeline = store.get(TENANT, timelineId(i + 1));
        expect(timeline.diskConsistentLsn).toBeGreaterThanOrEqual(reported.durable[i] as Lsn);
        if (timeline.diskConsistentLsn < model.lastLsn) lostRuns++;
        if (timeline.ancestor !== undefined && timeline.ancestor.timeline.lastRecordLsn < timeline.ancestor.lsn)
          reported.writers[0]?.replayInto(timeline.ancestor.timeline);
        expectReadable(timeline, model, timeline.diskConsistentLsn);
      }
      for (const [i, writer] of reported.writers.entries()) {
        const timeline = store.get(TENANT, timelineId(i + 1));
        writer.replayInto(timeline);
        await timeline.flush();
        await timeline.compact();
        expectReadable(timeline, writer.model, writer.model.lastLsn);
      }
      await store.close();
    });
  }
  expect(lostRuns).toBeGreaterThan(10);
}, 240_000);

test('a file operation that fails once fails its flush or compaction only: durability never passes it, and the next attempt succeeds', async () => {
  const operations = await countOperations();
  let failures = 0;
  for (let failAt = 12; failAt < operations; failAt++) {
    await inDirectory(async (directory) => {
      const fileSystem = new CrashingFileSystem(failAt, false);
      const store = TimelineStore.open(directory, { options: SMALL_STORE, redo: chainRedo, fileSystem });
      const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
        try {
          return await work();
        } catch (error) {
          expect(isInjected(error)).toBe(true);
          failures++;
          return undefined;
        }
      };
      const timeline =
        (await attempt(() =>
          store.create({ tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) }),
        )) ?? (await store.create({ tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) }));
      const writer = new ModelWriter(timeline, new StorageModel(at(0)));
      for (let round = 0; round < 6; round++) {
        putSome(writer, 1 + round * 20, 20);
        const before = timeline.diskConsistentLsn;
        const done = await attempt(async () => {
          await timeline.flush();
          return true;
        });
        if (done === undefined) expect(timeline.diskConsistentLsn).toBe(before);
        else expect(timeline.diskConsistentLsn).toBe(timeline.lastRecordLsn);
        if (round % 2 === 1) await attempt(() => timeline.compact());
        expectReadable(timeline, writer.model, timeline.lastRecordLsn);
      }
      await attempt(() => store.close());
      const again = TimelineStore.open(directory, {
        options: SMALL_STORE,
        redo: chainRedo,
        fileSystem: unsyncedFileSystem,
      });
      expect([...again.broken.values()]).toEqual([]);
      const reopened = again.get(TENANT, timelineId(1));
      writer.replayInto(reopened);
      expectReadable(reopened, writer.model, writer.model.lastLsn);
      await again.close();
    });
  }
  expect(failures).toBeGreaterThan(20);
}, 240_000);
