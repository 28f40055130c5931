import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CorruptionError } from '@zenith/base';
import { allocatePage, BLCKSZ } from '@zenith/pg-format';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import { flip } from '../layers/damage.test-support.ts';
import type { FileSystem } from '../layers/file-system.ts';
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
} from './storage-model.test-support.ts';
import { TimelineStore } from './timeline-store.ts';

const OPTIONS = { pageCacheBytes: 0, compactInBackground: false };
const RELATIONS = 2;
const BLOCKS = 300;

/** A store with one L0 layer of 600 pages (three index blocks), and a second timeline that nobody damages. */
let sound: string;
const model = new StorageModel(at(0));

beforeAll(async () => {
  sound = mkdtempSync(join(tmpdir(), 'zenith-sound-'));
  const store = open(sound);
  const writer = new ModelWriter(
    await store.create({ tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) }),
    model,
  );
  let n = 1;
  for (let rel = 0; rel < RELATIONS; rel++) {
    for (let block = 0; block < BLOCKS; block++, n++) {
      writer.put(rel, block, at(n), ValueKind.initRecord, Uint8Array.of(n, n >> 8, 1, 2, 3));
      writer.put(rel, block, at(n), ValueKind.record, Uint8Array.of(n, n >> 8, 4));
      writer.advance(at(n));
    }
  }
  const other = await store.create({ tenant: TENANT, timeline: timelineId(2), pgMajor: 18, initialLsn: at(0) });
  other.put(other.intern(ObjectKind.checkpoint, 0, 0, 0, 0), 0, at(1), ValueKind.image, Uint8Array.of(7), 0, 1);
  other.advance(at(1));
  await store.close();
});

afterAll(() => rmSync(sound, { recursive: true }));

/** Reads of files fail. */
let isDiskBroken = false;

const fileSystem: FileSystem = {
  ...unsyncedFileSystem,
  read(...given) {
    if (isDiskBroken) throw Object.assign(new Error('EIO: i/o error, read'), { code: 'EIO', syscall: 'read' });
    return unsyncedFileSystem.read(...given);
  },
};

function open(directory: string): TimelineStore {
  return TimelineStore.open(directory, { options: OPTIONS, redo: chainRedo, fileSystem });
}

/** Runs `work` on a copy of the store in which `damage` has been done to the layer file. */
async function withDamage(
  damage: (path: string) => void,
  work: (store: TimelineStore, path: string) => void | Promise<void>,
): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'zenith-corrupt-'));
  try {
    cpSync(sound, directory, { recursive: true });
    const layers = join(directory, 'tenants', TENANT, 'timelines', timelineId(1), 'layers');
    const path = join(layers, readdirSync(layers)[0] as string);
    damage(path);
    const store = open(directory);
    try {
      await work(store, path);
      const other = store.get(TENANT, timelineId(2));
      expect(other.readSmall(other.find(ObjectKind.checkpoint, 0, 0, 0, 0), at(1))).toEqual(Uint8Array.of(7));
    } finally {
      await store.close();
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** Sound pages read right, damaged ones throw an error that names the file. Returns how many are damaged. */
function expectRightOrCorrupt(store: TimelineStore, path: string): number {
  const timeline = store.get(TENANT, timelineId(1));
  const page = allocatePage();
  let damaged = 0;
  for (let rel = 0; rel < RELATIONS; rel++) {
    for (let block = 0; block < BLOCKS; block++) {
      const outcome = readOutcome(timeline, rel, block, model.lastLsn);
      if (outcome === modelOutcome(model, rel, block, model.lastLsn)) continue;
      damaged++;
      let thrown: unknown;
      try {
        timeline.readPage(timeline.find(ObjectKind.relation, 1663, 5, rel, 0), block, model.lastLsn, page);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toBeInstanceOf(CorruptionError);
      expect((thrown as Error).message).toContain(path);
      expect((thrown as Error).message).toMatch(/at byte \d+/);
    }
  }
  return damaged;
}

describe('a damaged layer file', () => {
  test('is read right while it is not damaged', () =>
    withDamage(
      () => undefined,
      (store, path) => expect(expectRightOrCorrupt(store, path)).toBe(0),
    ));

  test('costs the pages whose chunk is damaged and no others', () =>
    withDamage(
      (path) => flip(path, BLCKSZ + 5 * 40),
      (store, path) => expect(expectRightOrCorrupt(store, path)).toBe(1),
    ));

  test('costs the pages of the index block that is damaged and no others', async () => {
    const size = readFileSync(soundPath()).length;
    const summary = 3 * 32 + 4 * 16;
    await withDamage(
      (path) => flip(path, size - 64 - summary - 2 * BLCKSZ + 100),
      (store, path) => {
        const damaged = expectRightOrCorrupt(store, path);
        expect(damaged).toBeGreaterThan(100);
        expect(damaged).toBeLessThan(RELATIONS * BLOCKS);
      },
    );
  });

  test('is never read wrong, wherever a bit is flipped', async () => {
    const size = readFileSync(soundPath()).length;
    let lostLayers = 0;
    let damagedPages = 0;
    for (let offset = 3; offset < size; offset += 1361) {
      await withDamage(
        (path) => flip(path, offset),
        (store, path) => {
          const damaged = expectRightOrCorrupt(store, path);
          if (damaged === RELATIONS * BLOCKS) lostLayers++;
          else damagedPages += damaged;
        },
      );
    }
    expect(lostLayers).toBeGreaterThan(3);
    expect(damagedPages).toBeGreaterThan(300);
  }, 120_000);

  test('that is shorter costs what is in it, one that is gone keeps its timeline closed, with an error that names it', async () => {
    const size = readFileSync(soundPath()).length;
    for (const length of [0, 100, BLCKSZ, size - 65, size - 1]) {
      await withDamage(
        (path) => truncateSync(path, length),
        (store, path) => expect(expectRightOrCorrupt(store, path)).toBe(RELATIONS * BLOCKS),
      );
    }
    await withDamage(
      (path) => rmSync(path),
      (store, path) => expect(() => store.get(TENANT, timelineId(1))).toThrow(path),
    );
  });

  test('makes a compaction fail and stays, with everything else as it was', () =>
    withDamage(
      (path) => flip(path, BLCKSZ + 5 * 40),
      async (store, path) => {
        const timeline = store.get(TENANT, timelineId(1));
        await expect(timeline.compact()).rejects.toThrow(path);
        expect(timeline.statistics).toMatchObject({ levelZeroLayers: 1, deltaLayers: 0 });
        expect(expectRightOrCorrupt(store, path)).toBe(1);
      },
    ));
});

test('a disk that does not give the bytes fails the read with the file and the offset, and what it gives later is read', () =>
  withDamage(
    () => undefined,
    (store, path) => {
      const timeline = store.get(TENANT, timelineId(1));
      const outcome = (): string => readOutcome(timeline, 1, 7, model.lastLsn);
      isDiskBroken = true;
      try {
        expect(outcome()).toMatch(/EIO.*layers/);
        expect(outcome()).toContain(`${path} at byte `);
      } finally {
        isDiskBroken = false;
      }
      expect(outcome()).toBe(modelOutcome(model, 1, 7, model.lastLsn));
    },
  ));

describe('a damaged index', () => {
  test('keeps its timeline closed, with an error that names it, and removes no layer', async () => {
    const indexOf = (path: string): string => join(path, '..', '..', 'index.json');
    await withDamage(
      (path) => flip(indexOf(path), 150),
      (store, path) => {
        expect(() => store.get(TENANT, timelineId(1))).toThrow(CorruptionError);
        expect(() => store.get(TENANT, timelineId(1))).toThrow('index.json');
        expect(readFileSync(path).length).toBeGreaterThan(0);
      },
    );
  });
});

function soundPath(): string {
  const layers = join(sound, 'tenants', TENANT, 'timelines', timelineId(1), 'layers');
  return join(layers, readdirSync(layers)[0] as string);
}
