import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { allocatePage } from '@zenith/pg-format';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import type { FileSystem } from '../layers/file-system.ts';
import {
  at,
  chainRedo,
  ModelWriter,
  pageOf,
  StorageModel,
  TENANT,
  timelineId,
  unsyncedFileSystem,
} from './storage-model.test-support.ts';
import { TimelineStore } from './timeline-store.ts';

let directory: string;
let store: TimelineStore;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'zenith-remove-'));
  store = open();
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

const settled = (): Promise<void> => Promise.resolve();

function open(fileSystem: FileSystem = unsyncedFileSystem): TimelineStore {
  return TimelineStore.open(directory, { redo: chainRedo, fileSystem, options: { compactInBackground: false } });
}

function folder(n: number): string {
  return join(directory, 'tenants', TENANT, 'timelines', timelineId(n));
}

async function withPages(): Promise<ModelWriter> {
  const main = new ModelWriter(
    await store.create({ tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) }),
    new StorageModel(at(0)),
  );
  main.put(1, 0, at(1), ValueKind.image, pageOf(1));
  main.advance(at(1));
  await main.timeline.flush();
  main.put(1, 1, at(2), ValueKind.image, pageOf(2));
  main.advance(at(2));
  return main;
}

test('a removed timeline is gone: from the disk, for readers, for those who wait, and after a restart; its memory is given back', async () => {
  const { timeline } = await withPages();
  const waiting = timeline.waitForLsn(at(9), { timeoutMs: 60_000 }).catch((error: unknown) => error);
  const object = timeline.find(ObjectKind.relation, 1663, 5, 1, 0);
  await store.remove(TENANT, timelineId(1), settled);
  expect(await waiting).toMatchObject({ code: 'no-such-timeline' });
  expect(() => timeline.readPage(object, 0, at(1), allocatePage())).toThrow(
    expect.objectContaining({ code: 'no-such-timeline' }),
  );
  expect(() => store.get(TENANT, timelineId(1))).toThrow(expect.objectContaining({ code: 'no-such-timeline' }));
  expect(existsSync(folder(1))).toBe(false);
  await store.close();
  store = open();
  expect(store.list()).toEqual([]);
  await store.remove(TENANT, timelineId(1), settled); // again, and harmless
  await withPages(); // the id is free
});

test('one whose history others share is not removed; its branches can be, and then it', async () => {
  const { timeline } = await withPages();
  const child = await store.createBranch(TENANT, timelineId(2), timelineId(1), at(1));
  const making = store.createBranch(TENANT, timelineId(3), timelineId(2), at(1));
  for (const n of [1, 2])
    await expect(store.remove(TENANT, timelineId(n), settled)).rejects.toMatchObject({ code: 'timeline-has-branches' });
  await making;
  const read = (): void => child.readPage(child.find(ObjectKind.relation, 1663, 5, 1, 0), 0, at(1), allocatePage());
  expect(read).not.toThrow();
  await store.remove(TENANT, timelineId(3), settled);
  await store.remove(TENANT, timelineId(2), settled);
  expect(read).toThrow(expect.objectContaining({ code: 'no-such-timeline' }));
  timeline.readPage(timeline.find(ObjectKind.relation, 1663, 5, 1, 0), 0, at(1), allocatePage());
  await store.remove(TENANT, timelineId(1), settled);
  expect(store.list()).toEqual([]);
});

test('whatever dies on the way, the timeline is all there or all gone at the next start', async () => {
  let outcomes = '';
  for (let survives = 0; survives < 4; survives++) {
    await store.close();
    rmSync(directory, { recursive: true });
    let left = Number.POSITIVE_INFINITY;
    const die = (): void => {
      if (left-- <= 0) throw new Error('dead');
    };
    store = open({
      ...unsyncedFileSystem,
      unlink: (path) => (die(), unsyncedFileSystem.unlink(path)),
      syncDirectory: (path) => (die(), unsyncedFileSystem.syncDirectory(path)),
      removeDirectory: (path) => (die(), unsyncedFileSystem.removeDirectory(path)),
    });
    const main = await withPages();
    await main.timeline.flush();
    left = survives;
    const failed = await store.remove(TENANT, timelineId(1), settled).then(
      () => false,
      () => true,
    );
    left = Number.POSITIVE_INFINITY;
    await store.close();
    store = open();
    const isThere = store.find(TENANT, timelineId(1)) !== undefined;
    expect(existsSync(folder(1))).toBe(isThere);
    outcomes += `${failed ? 'failed' : 'done'}:${isThere ? 'there' : 'gone'} `;
  }
  expect(outcomes).toBe('failed:there failed:gone failed:gone done:gone ');
});
