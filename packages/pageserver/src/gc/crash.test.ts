import type { Lsn } from '@zenith/base';
import { expect, test } from 'vitest';
import { CrashingFileSystem } from '../timeline/crashing-file-system.test-support.ts';
import {
  backgroundEnds,
  BLOCKS,
  inDirectory,
  isInjected,
  putSome,
  RELATIONS,
  seeded,
  SMALL_STORE,
} from '../timeline/power-failure.test-support.ts';
import {
  at,
  chainRedo,
  modelOutcome,
  ModelWriter,
  readOutcome,
  StorageModel,
  TENANT,
  timelineId,
  unsyncedFileSystem,
} from '../timeline/storage-model.test-support.ts';
import { TimelineStore } from '../timeline/timeline-store.ts';
import type { CollectionResult } from './collect.ts';

/** Where the branch is, and what a lease holds: both far below the cutoffs. */
const BRANCH_LSN = at(40);
const LEASE_LSN = at(95);
/** Positions a collection leaves to be read. */
const KEPT = 20;

/** What there was when the machine went down. */
interface Scene {
  main?: ModelWriter;
  branch?: ModelWriter;
  /** Nothing below was asked to be kept of main. */
  cutoff: Lsn;
  /** File operations before the first collection. */
  operationsBefore: number;
}

function collect(store: TimelineStore, n: number): Promise<CollectionResult> {
  return store.collect(TENANT, timelineId(n), { timeMs: 0, bytes: KEPT * 8 }, true, () => 1e12);
}

/** History with a branch and a lease in it, then collections of both lines while one goes on. @returns layers that were removed */
async function play(store: TimelineStore, scene: Scene, fileSystem: CrashingFileSystem): Promise<number> {
  const created = await store.create({ tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) });
  const main = new ModelWriter(created, new StorageModel(at(0)));
  scene.main = main;
  putSome(main, 1, 60);
  await main.timeline.flush();
  const model = new StorageModel(BRANCH_LSN, { model: main.model, lsn: BRANCH_LSN });
  const branch = new ModelWriter(await store.createBranch(TENANT, timelineId(2), timelineId(1), BRANCH_LSN), model);
  scene.branch = branch;
  for (const [from, writer] of [
    [61, main],
    [41, branch],
    [101, main],
    [81, branch],
  ] as const) {
    putSome(writer, from, 40);
    await writer.timeline.flush();
    await writer.timeline.compact();
  }
  await main.timeline.lease({ holder: 'test', lsn: LEASE_LSN, until: Number.MAX_SAFE_INTEGER }, 0);

  scene.operationsBefore = fileSystem.operations;
  scene.cutoff = at(140 - KEPT);
  const first = collect(store, 1);
  putSome(main, 141, 30);
  const results = [await first];
  await main.timeline.flush();
  results.push(await collect(store, 2));
  await main.timeline.compact();
  scene.cutoff = at(170 - KEPT);
  results.push(await collect(store, 1));
  await store.close();
  return results.reduce((sum, { removedLayers }) => sum + removedLayers, 0);
}

/** What is read wrong: of main from the cutoff on, and where the lease is; of the branch from its own cutoff on, for which main has to keep what it branched from. Anywhere else an error is right, and wrong content is not. */
function wrong(scene: Scene): string[] {
  const found: string[] = [];
  const { main, branch, cutoff } = scene;
  for (const writer of [main, branch]) {
    if (writer === undefined) continue;
    const { timeline, model } = writer;
    const isKept = (lsn: number): boolean =>
      writer === main ? lsn >= cutoff || lsn === LEASE_LSN : lsn >= at(120 - KEPT);
    const asked = new Set<number>([cutoff - 8, cutoff, LEASE_LSN, timeline.initialLsn, timeline.lastRecordLsn]);
    for (let lsn: number = timeline.initialLsn; lsn < timeline.lastRecordLsn; lsn += 8 * 13) asked.add(lsn);
    for (const lsn of [...asked].filter((one) => one >= timeline.initialLsn && one <= timeline.lastRecordLsn))
      for (let rel = 0; rel < RELATIONS; rel++)
        for (let block = 0; block < BLOCKS; block++) {
          const outcome = readOutcome(timeline, rel, block, lsn as Lsn);
          const expected = modelOutcome(model, rel, block, lsn as Lsn);
          if (outcome !== expected && (isKept(lsn) || !outcome.startsWith('error lsn-')))
            found.push(`relation ${rel} block ${block} at ${lsn}: ${outcome}, not ${expected}`);
        }
  }
  return found;
}

test('a power failure at any file operation of a collection loses nothing that is kept, and what it left undone the next one does', async () => {
  const whole: Scene = { cutoff: at(0), operationsBefore: 0 };
  const undisturbed = new CrashingFileSystem(Number.POSITIVE_INFINITY, true);
  await inDirectory(async (directory) => {
    const store = TimelineStore.open(directory, { options: SMALL_STORE, redo: chainRedo, fileSystem: undisturbed });
    expect(await play(store, whole, undisturbed)).toBeGreaterThan(8);
  });
  expect(undisturbed.operations - whole.operationsBefore).toBeGreaterThan(60);

  for (let failAt = whole.operationsBefore; failAt < undisturbed.operations; failAt++) {
    await inDirectory(async (directory) => {
      const fileSystem = new CrashingFileSystem(failAt, true);
      const scene: Scene = { cutoff: at(0), operationsBefore: 0 };
      const before = TimelineStore.open(directory, { options: SMALL_STORE, redo: chainRedo, fileSystem });
      await play(before, scene, fileSystem).catch((error: unknown) => expect(isInjected(error)).toBe(true));
      expect(fileSystem.crashed).toBe(true);
      await backgroundEnds();
      fileSystem.loseUnsynced(seeded(failAt));

      const store = TimelineStore.open(directory, {
        options: SMALL_STORE,
        redo: chainRedo,
        fileSystem: unsyncedFileSystem,
      });
      expect([...store.broken.values()]).toEqual([]);
      const [main, branch] = ([scene.main, scene.branch] as ModelWriter[]).map((writer, i) => {
        const moved = writer.movedTo(store.get(TENANT, timelineId(i + 1)));
        moved.replayInto(moved.timeline);
        return moved;
      }) as [ModelWriter, ModelWriter];
      expect(wrong({ ...scene, main, branch })).toEqual([]);
      await main.timeline.flush();
      await branch.timeline.flush();
      const { cutoff } = await collect(store, 1);
      expect(cutoff).toBeGreaterThanOrEqual(scene.cutoff);
      await collect(store, 2);
      expect(wrong({ main, branch, cutoff, operationsBefore: 0 })).toEqual([]);
      await store.close();
    });
  }
}, 240_000);
