import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BLCKSZ } from '@zenith/pg-format';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { ValueKind } from '../key-space/value.ts';
import { close, play, putSome, RemoteLab, wrongPages } from '../remote/remote-lab.test-support.ts';
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
import { FAULTS_FOLDER } from '../workers/faulty-layer-worker.test-support.ts';
import { LayerWorkerPool } from '../workers/layer-worker-pool.ts';

const ENTRY = new URL('../workers/faulty-layer-worker.test-support.ts', import.meta.url);
const BLOCKS = 80;
const VALUES = 4000;

let directory: string;
let pool: LayerWorkerPool;
let warnings: string[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'zenith-workers-'));
  mkdirSync(join(directory, 'faults'));
  process.env[FAULTS_FOLDER] = join(directory, 'faults');
  pool = new LayerWorkerPool({ count: 1, entry: ENTRY });
  warnings = [];
});

afterEach(async () => {
  await pool.close();
  delete process.env[FAULTS_FOLDER];
  rmSync(directory, { recursive: true });
});

function fault(name: string): string {
  return join(directory, 'faults', name);
}

function layersOf(store: string, timeline: number): string {
  return join(directory, store, 'tenants', TENANT, 'timelines', timelineId(timeline), 'layers');
}

/** Every layer file of a timeline by what its name says but the generation. */
function filesOf(store: string, timeline: number): Map<string, string> {
  const folder = layersOf(store, timeline);
  return new Map(
    readdirSync(folder).map((name) => [
      name.slice(0, name.lastIndexOf('_')),
      readFileSync(join(folder, name)).toString('base64'),
    ]),
  );
}

function open(folder: string, workers: LayerWorkerPool | undefined): TimelineStore {
  return TimelineStore.open(join(directory, folder), {
    redo: chainRedo,
    fileSystem: unsyncedFileSystem,
    log: { info: () => undefined, warn: (_fields, message) => warnings.push(message) },
    options: {
      compactInBackground: false,
      layerBytesTarget: 16 * BLCKSZ,
      imageAfterValues: 20,
      imageDeltaFraction: 0.01,
      pageCacheBytes: 0,
    },
    ...(workers === undefined ? {} : { workers }),
  });
}

/** Puts values on many pages and flushes four times. */
async function fill(writer: ModelWriter, from: number): Promise<void> {
  for (let n = from; n < from + VALUES; n++) {
    const block = (n * 7 + (n % 3)) % BLOCKS;
    if (n % 97 === 0) writer.put(1, block, at(n), ValueKind.image, pageOf(n));
    else writer.put(1 + (n % 2), block, at(n), ValueKind.record, Uint8Array.of(n & 255, n >> 8, 3, 4));
    writer.advance(at(n));
    if (n % (VALUES / 4) === 0) await writer.timeline.flush();
  }
  await writer.timeline.flush();
}

async function timelineIn(store: TimelineStore): Promise<ModelWriter> {
  const timeline = await store.create({ tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) });
  return new ModelWriter(timeline, new StorageModel(at(0)));
}

function expectSame(writer: ModelWriter, lsns: readonly number[]): void {
  for (const rel of [1, 2])
    for (let block = 0; block < BLOCKS; block++)
      for (const n of lsns)
        expect(readOutcome(writer.timeline, rel, block, at(n))).toBe(modelOutcome(writer.model, rel, block, at(n)));
}

describe('compaction in a worker', () => {
  test('makes the same files byte for byte as without, of a timeline and of a branch', async () => {
    for (const [folder, workers] of [
      ['inline', undefined],
      ['worker', pool],
    ] as const) {
      const store = open(folder, workers);
      const writer = await timelineIn(store);
      const run = vi.spyOn(pool, 'run');
      await fill(writer, 1);
      const first = await writer.timeline.compact();
      expect(first.mergedLayers).toBeGreaterThan(3);
      expect(first.imageLayers).toBeGreaterThan(1);
      expectSame(writer, [1, VALUES / 2, VALUES]);
      const branch = await store.createBranch(TENANT, timelineId(2), timelineId(1), at(VALUES));
      const child = new ModelWriter(branch, new StorageModel(at(VALUES), { model: writer.model, lsn: at(VALUES) }));
      await fill(child, VALUES + 1);
      const second = await branch.compact();
      expect(second.imageLayers).toBeGreaterThan(1);
      expectSame(child, [1, VALUES, VALUES + VALUES / 2, 2 * VALUES]);
      expect(run).toHaveBeenCalledTimes(workers === undefined ? 0 : 4);
      run.mockRestore();
      await store.close();
    }
    for (const timeline of [1, 2]) expect(filesOf('worker', timeline)).toEqual(filesOf('inline', timeline));
  });

  test('is begun anew when the worker dies in the middle, and nothing of the lost one is left', async () => {
    const store = open('store', pool);
    const writer = await timelineIn(store);
    await fill(writer, 1);
    writeFileSync(fault('die'), '');
    const result = await writer.timeline.compact();
    expect(existsSync(fault('die'))).toBe(false);
    expect(result.mergedLayers).toBeGreaterThan(3);
    expect(warnings).toEqual(['a worker was lost: compaction is begun anew']);
    expectSame(writer, [1, VALUES]);
    expect(readdirSync(layersOf('store', 1)).sort()).toEqual(
      writer.timeline.layers.layers.map(({ name }) => name).sort(),
    );
    await store.close();
  });

  test('fails with a clear error when the worker dies again, and the timeline goes on', async () => {
    const store = open('store', pool);
    const writer = await timelineIn(store);
    await fill(writer, 1);
    const dying = vi.spyOn(pool, 'run').mockImplementation(async (job, duties, signal) => {
      writeFileSync(fault('die'), '');
      return await LayerWorkerPool.prototype.run.call(pool, job, duties, signal);
    });
    await expect(writer.timeline.compact()).rejects.toThrow('a worker thread was lost: it ended with code 7');
    dying.mockRestore();
    expectSame(writer, [1, VALUES]);
    await fill(writer, VALUES + 1);
    expect((await writer.timeline.compact()).mergedLayers).toBeGreaterThan(7);
    expectSame(writer, [1, VALUES, 2 * VALUES]);
    await store.close();
  });

  test('ends with the store, leaves the layers as they were and no files of its own', async () => {
    const store = open('store', pool);
    const writer = await timelineIn(store);
    await fill(writer, 1);
    const before = readdirSync(layersOf('store', 1)).sort();
    writeFileSync(fault('hold'), '');
    const ended = writer.timeline.compact().catch((error: unknown) => (error as Error).message);
    await vi.waitFor(() => expect(existsSync(fault('held'))).toBe(true), { timeout: 60_000 });
    const closing = store.close();
    // The timeline reads as ever while the worker is in the middle of it.
    expect(readOutcome(writer.timeline, 1, 3, at(VALUES))).toBe(modelOutcome(writer.model, 1, 3, at(VALUES)));
    await new Promise((resolve) => setImmediate(resolve));
    rmSync(fault('hold'));
    await closing;
    expect(await ended).toContain('shutting down');
    expect(readdirSync(layersOf('store', 1)).sort()).toEqual(before);
  });

  test('of a branch keeps what the ancestor replaces meanwhile on the disk until it is done', async () => {
    const store = open('store', pool);
    const writer = await timelineIn(store);
    await fill(writer, 1);
    const branch = await store.createBranch(TENANT, timelineId(2), timelineId(1), at(VALUES));
    const child = new ModelWriter(branch, new StorageModel(at(VALUES), { model: writer.model, lsn: at(VALUES) }));
    await fill(child, VALUES + 1);
    writeFileSync(fault('hold'), '');
    const compacting = branch.compact();
    await vi.waitFor(() => expect(existsSync(fault('held'))).toBe(true), { timeout: 60_000 });
    const old = writer.timeline.layers.layers.map(({ name }) => name);
    // One that is not held.
    process.env[FAULTS_FOLDER] = directory;
    const second = new LayerWorkerPool({ count: 1, entry: ENTRY });
    const run = vi.spyOn(pool, 'run').mockImplementation((...job) => second.run(...job));
    await writer.timeline.compact();
    run.mockRestore();
    await second.close();
    expect(readdirSync(layersOf('store', 1))).toEqual(expect.arrayContaining(old));
    rmSync(fault('hold'));
    await compacting;
    expectSame(child, [1, VALUES, 2 * VALUES]);
    const left = readdirSync(layersOf('store', 1));
    expect(left.sort()).toEqual(writer.timeline.layers.layers.map(({ name }) => name).sort());
    expect(old.every((name) => !left.includes(name))).toBe(true);
    await store.close();
  });

  test('asks for layers that are only in remote storage, and gives every page right', async () => {
    const lab = await RemoteLab.create();
    const node = await lab.open('first', 1, undefined, { diskBytes: 0 }, undefined, pool);
    const fetched = vi.spyOn(node.remote, 'fetch');
    const run = vi.spyOn(pool, 'run');
    const [main, branch] = (await play(node)) as [ModelWriter, ModelWriter];
    for (let round = 0; round < 3; round++) {
      putSome(main, 200 + 100 * round, 60);
      putSome(branch, 200 + 100 * round, 60);
      for (const { timeline } of [main, branch]) {
        await timeline.flush();
        await node.remote.settled();
        await timeline.compact();
        await node.remote.settled();
      }
    }
    expect(run.mock.calls.length).toBeGreaterThan(8);
    expect(fetched).toHaveBeenCalled();
    expect(main.timeline.statistics.absentLayers).toBeGreaterThan(0);
    expect(await wrongPages(node.store, 1, main, main.model.lastLsn)).toEqual([]);
    expect(await wrongPages(node.store, 2, branch, branch.model.lastLsn)).toEqual([]);
    await close(node);
    lab.remove();
  });
});
