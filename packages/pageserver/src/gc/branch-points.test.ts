import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatLsn, type Lsn } from '@zenith/base';
import { BLCKSZ } from '@zenith/pg-format';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CommitTime } from '../commit-times/commit-time.ts';
import { ValueKind } from '../key-space/value.ts';
import type { FileSystem } from '../layers/file-system.ts';
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

const BLOCKS = 4;
const VALUES = 240;
const [MAIN, CHILD, GRANDCHILD] = [timelineId(1), timelineId(2), timelineId(3)];
/** Where the child leaves: far below what the policy keeps. */
const POINT = at(100);
/** As long as the tests run. Unit: ms since 1970. */
const LONG = Number.MAX_SAFE_INTEGER;

let root: string;
let stores: TimelineStore[];
let store: TimelineStore;
let main: ModelWriter;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'zenith-points-'));
  stores = [];
  await begin();
});
afterEach(async () => {
  for (const one of stores) await one.close();
  rmSync(root, { recursive: true });
});

function open(folder: string, fileSystem: FileSystem = unsyncedFileSystem): TimelineStore {
  const options = { compactInBackground: false, pageCacheBytes: 0, layerBytesTarget: 4 * BLCKSZ };
  const opened = TimelineStore.open(join(root, folder), { options, redo: chainRedo, fileSystem });
  stores.push(opened);
  return opened;
}

/** A timeline whose every page changes all the time. */
async function begin(fileSystem?: FileSystem): Promise<void> {
  store = open('store', fileSystem);
  const made = await store.create({ tenant: TENANT, timeline: MAIN, pgMajor: 18, initialLsn: at(0) });
  main = new ModelWriter(made, new StorageModel(at(0)));
  for (let n = 1; n <= VALUES; n++) {
    const kind = n % 10 <= BLOCKS ? ValueKind.image : ValueKind.record;
    main.put(0, n % BLOCKS, at(n), kind, kind === ValueKind.image ? pageOf(n) : new Uint8Array(300).fill(n));
    main.timeline.noteCommit(at(n), (n * 1000) as CommitTime);
    main.advance(at(n));
    if (n % 40 === 0) await main.timeline.flush();
  }
}

function collect(of = store, timeline = MAIN): Promise<{ readonly removedLayers: number }> {
  return of.collect(TENANT, timeline, { timeMs: 0, bytes: 0 }, true, () => 1e12);
}

/** What reads of a timeline give at an LSN of the main one. */
function reads(of: TimelineStore, timeline = CHILD, lsn: Lsn = POINT): readonly string[] {
  return Array.from({ length: BLOCKS }, (_, block) => readOutcome(of.get(TENANT, timeline), 0, block, lsn));
}

function expected(lsn: Lsn = POINT): readonly string[] {
  return Array.from({ length: BLOCKS }, (_, block) => modelOutcome(main.model, 0, block, lsn));
}

const NOT_KEPT = Array.from({ length: BLOCKS }, () => 'error lsn-not-available');

/** What is on the disk now, as a killed process leaves it, opened. */
function afterKill(): TimelineStore {
  cpSync(join(root, 'store'), join(root, 'killed'), { recursive: true });
  return open('killed');
}

describe('a branch that is being removed', () => {
  beforeEach(async () => {
    await store.createBranch(TENANT, CHILD, MAIN, POINT);
  });

  test('is whole when the process is killed on the way, although history was collected meanwhile', async () => {
    let killed: TimelineStore | undefined;
    await store.remove(TENANT, CHILD, async () => {
      expect((await collect()).removedLayers).toBeGreaterThan(0);
      killed = afterKill();
    });
    expect(reads(killed as TimelineStore)).toEqual(expected());
    // It is gone: what was kept for it is not any more.
    await collect();
    expect(reads(store, MAIN)).toEqual(NOT_KEPT);
  });

  test('keeps its ancestor from being removed until it is gone', async () => {
    let outcome: unknown;
    await store.remove(TENANT, CHILD, async () => {
      outcome = await store.remove(TENANT, MAIN, () => Promise.resolve()).catch((error: unknown) => error);
    });
    expect(outcome).toMatchObject({ code: 'timeline-has-branches' });
    await store.remove(TENANT, MAIN, () => Promise.resolve());
    expect(store.list()).toEqual([]);
  });

  test('is whole at the next start when the removal failed', async () => {
    await store.close();
    let isReadOnly = false;
    store = open('store', {
      ...unsyncedFileSystem,
      unlink(path) {
        if (isReadOnly && path.includes(CHILD)) throw new Error('the disk is read-only');
        unsyncedFileSystem.unlink(path);
      },
    });
    isReadOnly = true;
    await expect(store.remove(TENANT, CHILD, () => Promise.resolve())).rejects.toThrow('the disk is read-only');
    expect((await collect()).removedLayers).toBeGreaterThan(0);
    expect(reads(afterKill())).toEqual(expected());
    isReadOnly = false;
    await store.remove(TENANT, CHILD, () => Promise.resolve());
    await store.remove(TENANT, MAIN, () => Promise.resolve());
    expect(store.list()).toEqual([]);
  });
});

describe('a branch that could not be made', () => {
  let failures: number;
  let attempt: Promise<unknown>;
  beforeEach(async () => {
    await store.close();
    const syncDirectory = (path: string): Promise<void> =>
      failures > 0 && path.endsWith(CHILD) && existsSync(`${path}/index.json`) && failures-- > 0
        ? Promise.reject(new Error('the disk does not answer'))
        : Promise.resolve();
    failures = 0;
    store = open('store', { ...unsyncedFileSystem, syncDirectory, unlink });
    attempt = Promise.resolve();
  });

  /** What is left of a branch cannot be removed while the disk does not answer. */
  function unlink(path: string): void {
    if (failures > 0 && path.includes(CHILD)) throw new Error('the disk does not answer');
    unsyncedFileSystem.unlink(path);
  }

  async function fail(times: number): Promise<void> {
    failures = times;
    attempt = store.createBranch(TENANT, CHILD, MAIN, POINT);
    await expect(attempt).rejects.toThrow('the disk does not answer');
    expect((await collect()).removedLayers).toBeGreaterThan(0);
  }

  test('leaves nothing: nothing is kept for it, and it is not there after the next start', async () => {
    await fail(1);
    expect(existsSync(join(root, 'store/tenants', TENANT, 'timelines', CHILD))).toBe(false);
    expect(afterKill().find(TENANT, CHILD)).toBeUndefined();
    await expect(store.createBranch(TENANT, CHILD, MAIN, POINT)).rejects.toMatchObject({ code: 'lsn-outside-history' });
  });

  test('and of which something is left is whole after the next start', async () => {
    await fail(Number.POSITIVE_INFINITY);
    expect(reads(afterKill())).toEqual(expected());
  });
});

describe('leases', () => {
  test('whose end was not durable yet keep nothing at the next start that was dropped meanwhile', async () => {
    await main.timeline.lease({ holder: 'a', lsn: POINT, until: LONG }, 0);
    for (const end of [
      () => main.timeline.releaseLease('a'),
      () => main.timeline.lease({ holder: 'a', lsn: at(VALUES), until: LONG }, 0),
    ]) {
      await store.close();
      rmSync(root, { recursive: true });
      const held: (() => void)[] = [];
      let isHeld = false;
      await begin({
        ...unsyncedFileSystem,
        rename(from, to) {
          if (!isHeld || !to.endsWith('leases.json')) return unsyncedFileSystem.rename(from, to);
          return new Promise<void>((resolve) => held.push(resolve)).then(() => unsyncedFileSystem.rename(from, to));
        },
      });
      await main.timeline.lease({ holder: 'a', lsn: POINT, until: LONG }, 0);
      isHeld = true;
      const ended = end();
      expect((await collect()).removedLayers).toBeGreaterThan(0);
      const killed = afterKill();
      await collect(killed);
      expect(killed.get(TENANT, MAIN).leases(0)).toMatchObject([{ holder: 'a', lsn: POINT }]);
      expect(reads(killed, MAIN)).toEqual(NOT_KEPT);
      await expect(killed.createBranch(TENANT, CHILD, MAIN, POINT)).rejects.toMatchObject({
        code: 'lsn-outside-history',
      });
      isHeld = false;
      await expect.poll(() => held.length).toBe(1);
      for (const resolve of held) resolve();
      await ended;
    }
  });

  test('of a branch below its branch point are kept by the timelines that have the history', async () => {
    await store.createBranch(TENANT, CHILD, MAIN, POINT);
    await store.createBranch(TENANT, GRANDCHILD, CHILD, POINT);
    const below = at(70);
    await store.get(TENANT, GRANDCHILD).lease({ holder: 'a', lsn: below, until: LONG }, 0);
    expect((await collect()).removedLayers).toBeGreaterThan(0);
    for (const timeline of [MAIN, CHILD, GRANDCHILD]) {
      await collect(store, timeline);
      expect(reads(store, timeline, below)).toEqual(expected(below));
    }
    const killed = afterKill();
    await collect(killed);
    expect(reads(killed, GRANDCHILD, below)).toEqual(expected(below));
    await store.get(TENANT, GRANDCHILD).releaseLease('a');
    await collect();
    expect(reads(store, GRANDCHILD, below)).toEqual(NOT_KEPT);
  });

  test('of which it is not known what they keep, because their file is damaged, keep all history of the tenant; pages are served', async () => {
    await store.createBranch(TENANT, CHILD, MAIN, POINT);
    const below = at(70);
    await store.get(TENANT, CHILD).lease({ holder: 'a', lsn: below, until: LONG }, 0);
    await store.close();
    const path = join(root, 'store/tenants', TENANT, 'timelines', CHILD, 'leases.json');
    const sound = readFileSync(path, 'utf8');
    writeFileSync(path, sound.replace(formatLsn(below), formatLsn(at(71))));
    for (const holder of ['b', 'c']) {
      store = open('store');
      // Whoever takes a lease meanwhile gets it, and does not make the others forgotten.
      await store.get(TENANT, CHILD).lease({ holder, lsn: below, until: LONG }, 0);
      for (const timeline of [MAIN, CHILD]) {
        const collecting = collect(store, timeline);
        await expect(collecting).rejects.toMatchObject({ code: 'history-needed' });
        await expect(collecting).rejects.toThrow(`remove ${path} to forget them`);
      }
      expect(reads(store)).toEqual(expected());
      expect(reads(store, CHILD, below)).toEqual(expected(below));
      await store.close();
    }
    writeFileSync(path, sound);
    store = open('store');
    expect((await collect()).removedLayers).toBeGreaterThan(0);
    expect(reads(store, CHILD, below)).toEqual(expected(below));
  });

  test('do not make a branch leave a timeline below its own history', async () => {
    const child = await store.createBranch(TENANT, CHILD, MAIN, POINT);
    const below = at(70);
    await child.lease({ holder: 'a', lsn: below, until: LONG }, 0);
    const writer = new ModelWriter(child, new StorageModel(POINT, { model: main.model, lsn: POINT }));
    for (let n = 101; n <= 140; n++) {
      writer.put(0, 0, at(n), ValueKind.image, pageOf(n));
      child.noteCommit(at(n), n as CommitTime);
      writer.advance(at(n));
    }
    await child.flush();
    await collect(store, CHILD);
    expect(child.gcCutoff).toBeGreaterThan(POINT);
    await expect(store.createBranch(TENANT, GRANDCHILD, CHILD, below)).rejects.toMatchObject({
      code: 'lsn-outside-history',
    });
  });
});
