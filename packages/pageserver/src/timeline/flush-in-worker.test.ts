import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BLCKSZ } from '@zenith/pg-format';
import { afterEach, beforeEach, describe, expect, type MockInstance, test, vi } from 'vitest';
import { ValueKind } from '../key-space/value.ts';
import { FAULTS_FOLDER } from '../workers/faulty-layer-worker.test-support.ts';
import { LayerWorkerPool } from '../workers/layer-worker-pool.ts';
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

const ENTRY = new URL('../workers/faulty-layer-worker.test-support.ts', import.meta.url);
const BLOCKS = 40;
const VALUES = 2000;

let directory: string;
let pool: LayerWorkerPool;
let run: MockInstance<LayerWorkerPool['run']>;
let warnings: string[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'zenith-flush-'));
  mkdirSync(join(directory, 'faults'));
  process.env[FAULTS_FOLDER] = join(directory, 'faults');
  pool = new LayerWorkerPool({ count: 1, entry: ENTRY });
  run = vi.spyOn(pool, 'run');
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

function layersOf(store: string, timeline = 1): string {
  return join(directory, store, 'tenants', TENANT, 'timelines', timelineId(timeline), 'layers');
}

function open(folder: string, workers: LayerWorkerPool | undefined): TimelineStore {
  return TimelineStore.open(join(directory, folder), {
    redo: chainRedo,
    fileSystem: unsyncedFileSystem,
    log: { info: () => undefined, warn: (_fields, message) => warnings.push(message) },
    options: {
      compactInBackground: false,
      workerFlushBytes: 1,
      imageAfterValues: 20,
      pageCacheBytes: 0,
      retryDelayMs: 1e6,
      retryDelayMsMax: 1e6,
    },
    ...(workers === undefined ? {} : { workers }),
  });
}

async function timelineIn(store: TimelineStore): Promise<ModelWriter> {
  const timeline = await store.create({ tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) });
  return new ModelWriter(timeline, new StorageModel(at(0)));
}

/** Puts values on many pages, most of them on a few. */
function fill(writer: ModelWriter, from: number): void {
  for (let n = from; n < from + VALUES; n++) {
    const block = n % 3 === 0 ? n % 4 : (n * 7) % BLOCKS;
    if (n % 97 === 0) writer.put(1, block, at(n), ValueKind.image, pageOf(n));
    else writer.put(1 + (n % 2), block, at(n), ValueKind.record, Uint8Array.of(n & 255, n >> 8, 3, 4));
    writer.advance(at(n));
  }
}

function expectSame(writer: ModelWriter, lsns: readonly number[]): void {
  for (const rel of [1, 2])
    for (let block = 0; block < BLOCKS; block++)
      for (const n of lsns)
        expect(readOutcome(writer.timeline, rel, block, at(n))).toBe(modelOutcome(writer.model, rel, block, at(n)));
}

async function held(): Promise<void> {
  await vi.waitFor(() => expect(existsSync(fault('held'))).toBe(true), { timeout: 60_000 });
}

function namesIn(writer: ModelWriter): string[] {
  return writer.timeline.layers.layers.map(({ name }) => name).sort();
}

describe('a flush in a worker', () => {
  test('makes the same file byte for byte as without, images between values included, of a timeline and of a branch', async () => {
    const files = new Map<string, string>();
    for (const [folder, workers] of [
      ['inline', undefined],
      ['worker', pool],
    ] as const) {
      const store = open(folder, workers);
      const writer = await timelineIn(store);
      fill(writer, 1);
      await writer.timeline.flush();
      fill(writer, VALUES + 1);
      await writer.timeline.flush();
      const branch = await store.createBranch(TENANT, timelineId(2), timelineId(1), at(2 * VALUES));
      const child = new ModelWriter(
        branch,
        new StorageModel(at(2 * VALUES), { model: writer.model, lsn: at(2 * VALUES) }),
      );
      fill(child, 2 * VALUES + 1);
      await branch.flush();
      expect(run).toHaveBeenCalledTimes(workers === undefined ? 0 : 3);
      // Two of them had older layers to look at; none was told of any.
      expect(run.mock.calls.flatMap(([{ timelines }]) => timelines.flatMap(({ layers }) => layers))).toEqual([]);
      expectSame(child, [1, VALUES, 2 * VALUES, 3 * VALUES]);
      for (const timeline of [1, 2])
        for (const name of readdirSync(layersOf(folder, timeline)))
          files.set(`${folder} ${name}`, readFileSync(join(layersOf(folder, timeline), name)).toString('base64'));
      await store.close();
    }
    const inline = [...files].filter(([name]) => name.startsWith('inline'));
    expect(inline).toHaveLength(3);
    expect(files.size).toBe(6);
    for (const [name, bytes] of inline) {
      // More than the values take: there are images between them.
      expect(bytes.length).toBeGreaterThan(50 * BLCKSZ);
      expect(files.get(name.replace('inline', 'worker'))).toBe(bytes);
    }
  });

  test('leaves the layer readable in memory until its file is published, and ingest goes on meanwhile', async () => {
    const store = open('store', pool);
    const writer = await timelineIn(store);
    fill(writer, 1);
    writeFileSync(fault('hold'), '');
    const flushed = writer.timeline.flush();
    await held();
    expectSame(writer, [1, VALUES / 2, VALUES]);
    fill(writer, VALUES + 1);
    expectSame(writer, [1, VALUES, 2 * VALUES]);
    expect(writer.timeline.diskConsistentLsn).toBe(at(0));
    expect(namesIn(writer)).toEqual([]);
    rmSync(fault('hold'));
    await flushed;
    expect(writer.timeline.diskConsistentLsn).toBe(at(VALUES));
    expect(namesIn(writer)).toHaveLength(1);
    // The memory of the flushed layer is used again.
    fill(writer, 2 * VALUES + 1);
    expectSame(writer, [1, VALUES, 2 * VALUES, 3 * VALUES]);
    await store.close();
  });

  test('is waited for by the closing of the store, after which everything is durable', async () => {
    const store = open('store', pool);
    const writer = await timelineIn(store);
    fill(writer, 1);
    writeFileSync(fault('hold'), '');
    const flushed = writer.timeline.flush();
    await held();
    fill(writer, VALUES + 1);
    const closing = store.close();
    rmSync(fault('hold'));
    await closing;
    await flushed;
    const again = open('store', undefined);
    const reopened = writer.movedTo(again.get(TENANT, timelineId(1)));
    expect(reopened.timeline.lastRecordLsn).toBe(at(2 * VALUES));
    expectSame(reopened, [1, VALUES, 2 * VALUES]);
    await again.close();
  });

  test('is waited for by the removal of its timeline, which leaves nothing', async () => {
    const store = open('store', pool);
    const writer = await timelineIn(store);
    fill(writer, 1);
    writeFileSync(fault('hold'), '');
    const flushed = writer.timeline.flush();
    await held();
    const removed = store.remove(TENANT, timelineId(1), () => Promise.resolve());
    rmSync(fault('hold'));
    await removed;
    await flushed;
    expect(store.find(TENANT, timelineId(1))).toBeUndefined();
    expect(existsSync(layersOf('store'))).toBe(false);
    await store.close();
  });

  test('that finds the disk full fails, keeps everything readable and leaves no file; the next succeeds', async () => {
    const store = open('store', pool);
    const writer = await timelineIn(store);
    fill(writer, 1);
    writeFileSync(fault('full'), '');
    await expect(writer.timeline.flush()).rejects.toThrow('no space left');
    expect(writer.timeline.isFlushFailing).toBe(true);
    expect(writer.timeline.diskConsistentLsn).toBe(at(0));
    expect(readdirSync(layersOf('store'))).toEqual([]);
    expectSame(writer, [1, VALUES]);
    rmSync(fault('full'));
    await writer.timeline.flush();
    expect(writer.timeline.isFlushFailing).toBe(false);
    expect(writer.timeline.diskConsistentLsn).toBe(at(VALUES));
    expectSame(writer, [1, VALUES]);
    await store.close();
  });

  test('whose worker dies in the middle is done without one, and nothing of the lost one is left', async () => {
    const store = open('store', pool);
    const writer = await timelineIn(store);
    fill(writer, 1);
    writeFileSync(fault('die'), '');
    await writer.timeline.flush();
    expect(existsSync(fault('die'))).toBe(false);
    expect(warnings).toEqual(['a worker was lost: the layer is written without one']);
    expect(writer.timeline.diskConsistentLsn).toBe(at(VALUES));
    expect(readdirSync(layersOf('store'))).toEqual(namesIn(writer));
    expectSame(writer, [1, VALUES]);
    await store.close();
  });

  test('does not wait for a compaction', async () => {
    const store = open('store', pool);
    const writer = await timelineIn(store);
    // One that is never held.
    process.env[FAULTS_FOLDER] = directory;
    fill(writer, 1);
    await writer.timeline.flush();
    process.env[FAULTS_FOLDER] = join(directory, 'faults');
    writeFileSync(fault('hold'), '');
    const compacting = writer.timeline.compact();
    await held();
    fill(writer, VALUES + 1);
    await writer.timeline.flush();
    expect(writer.timeline.diskConsistentLsn).toBe(at(2 * VALUES));
    rmSync(fault('hold'));
    expect((await compacting).mergedLayers).toBe(2);
    expect(run.mock.calls.map(([{ work }]) => work.kind)).toEqual(['flush', 'merge', 'flush', 'merge', 'images']);
    expectSame(writer, [1, VALUES, 2 * VALUES]);
    await store.close();
  });

  test('keeps the layers that compaction replaces meanwhile, of its ancestor too, on the disk until it is done', async () => {
    const store = open('store', pool);
    const writer = await timelineIn(store);
    fill(writer, 1);
    await writer.timeline.flush();
    const branch = await store.createBranch(TENANT, timelineId(2), timelineId(1), at(VALUES));
    const child = new ModelWriter(branch, new StorageModel(at(VALUES), { model: writer.model, lsn: at(VALUES) }));
    fill(child, VALUES + 1);
    await branch.flush();
    fill(child, 2 * VALUES + 1);
    writeFileSync(fault('hold'), '');
    const flushed = branch.flush();
    await held();
    const old = [writer, child].map(namesIn);
    // Workers that are not held.
    process.env[FAULTS_FOLDER] = directory;
    const second = new LayerWorkerPool({ count: 1, entry: ENTRY });
    run.mockImplementation((...job) => second.run(...job));
    await writer.timeline.compact();
    await branch.compact();
    await second.close();
    expect(namesIn(writer)).not.toEqual(old[0]);
    expect(namesIn(child)).not.toEqual(old[1]);
    for (const [index, names] of old.entries())
      expect(readdirSync(layersOf('store', index + 1))).toEqual(expect.arrayContaining(names));
    rmSync(fault('hold'));
    await flushed;
    for (const [index, one] of [writer, child].entries())
      expect(readdirSync(layersOf('store', index + 1)).sort()).toEqual(namesIn(one));
    expectSame(child, [1, VALUES, 2 * VALUES, 3 * VALUES]);
    await store.close();
  });

  test('of a branch is not handed over while history of its ancestor is in memory only', async () => {
    const store = open('store', pool);
    const writer = await timelineIn(store);
    fill(writer, 1);
    const branch = await store.createBranch(TENANT, timelineId(2), timelineId(1), at(VALUES));
    const child = new ModelWriter(branch, new StorageModel(at(VALUES), { model: writer.model, lsn: at(VALUES) }));
    fill(child, VALUES + 1);
    await branch.flush();
    expect(run).not.toHaveBeenCalled();
    expectSame(child, [1, VALUES, 2 * VALUES]);
    await store.close();
  });
});
