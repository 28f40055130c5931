import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Lsn } from '@zenith/base';
import { bytesSource, checksumFile, fetchBytes } from '@zenith/remote-storage';
import { FaultyStorage, type StorageFault } from '@zenith/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { CommitTime } from '../commit-times/commit-time.ts';
import { ObjectKind } from '../key-space/object.ts';
import { ValueKind } from '../key-space/value.ts';
import { flip as flipAt, lastChunkOf } from '../layers/damage.test-support.ts';
import {
  at,
  modelOutcome,
  ModelWriter,
  pageOf,
  StorageModel,
  TENANT,
  timelineId,
} from '../timeline/storage-model.test-support.ts';
import { timelineDirectory } from '../timeline/store-layout.ts';
import { decodeIndex, encodeIndex, INDEX_FILE } from '../timeline/timeline-index.ts';
import { layersDirectory } from '../timeline/timeline-state.ts';
import type { NewTimeline } from '../timeline/timeline-store.ts';
import { layerKey } from './object-keys.ts';
import {
  BLOCKS,
  close,
  collectAll,
  fetchedOutcome,
  type Node,
  play,
  putSome,
  RemoteLab,
  wrongPages,
} from './remote-lab.test-support.ts';
import { newestIndexes } from './rivals.test-support.ts';

const MIB = 1024 * 1024;

/** How long something is waited for that comes for sure. */
const PATIENCE = { timeout: 60_000 };

let lab: RemoteLab;
beforeEach(async () => {
  lab = await RemoteLab.create();
});
afterEach(() => lab.remove());

const open = (directory: string, generation: number, storage?: FaultyStorage): Promise<Node> =>
  lab.open(directory, generation, storage);

test('a pageserver whose disk is lost has everything again that it called remote-consistent, branches too', async () => {
  const node = await open('first', 1);
  const writers = await play(node);
  const said = writers.map(({ timeline }) => timeline.remoteConsistentLsn);
  expect(said).toEqual(writers.map(({ model }) => model.lastLsn));
  await close(node);
  const second = await open('second', 2);
  for (const [i, writer] of writers.entries()) {
    const timeline = second.store.get(TENANT, timelineId(i + 1));
    expect(timeline.diskConsistentLsn).toBe(writer.model.lastLsn);
    expect(timeline.remoteConsistentLsn).toBe(writer.model.lastLsn);
    expect(await wrongPages(second.store, i + 1, writer, writer.model.lastLsn)).toEqual([]);
  }
  await close(second);
});

test('an empty disk serves its first page after the index: only the layers that the page may be in are fetched, once', async () => {
  const node = await open('first', 1);
  const [main] = (await play(node)) as [ModelWriter, ModelWriter];
  await close(node);
  const second = await open('second', 2);
  const fetched = (): string[] =>
    second.storage.operations
      .filter(({ kind, key }) => kind === 'get' && key.startsWith('layers/'))
      .map(({ key }) => key);
  expect(fetched()).toEqual([]);
  const timeline = second.store.get(TENANT, timelineId(1));
  const total = timeline.statistics.deltaLayers + timeline.statistics.imageLayers + timeline.statistics.levelZeroLayers;
  const lsn = at(30);
  const reads = Array.from({ length: 4 }, () => fetchedOutcome(timeline, 1, 2, lsn));
  expect(new Set(await Promise.all(reads))).toEqual(new Set([modelOutcome(main.model, 1, 2, lsn)]));
  const first = fetched();
  expect(first.length).toBeGreaterThan(0);
  expect(first.length).toBeLessThan(total);
  expect(new Set(first).size).toBe(first.length);
  // Compaction has everything fetched before it begins, and history stays as it was.
  await timeline.compact();
  expect(fetched().length).toBe(total);
  expect(await wrongPages(second.store, 1, main, main.model.lastLsn)).toEqual([]);
  await close(second);
  // What came is here for good; what a restart finds absent it fetches.
  const again = await open('second', 3);
  expect(await wrongPages(again.store, 1, main, main.model.lastLsn)).toEqual([]);
  await close(again);
});

test('a layer that cannot be fetched fails the read with its name, and the next read tries again', async () => {
  const node = await open('first', 1);
  const [main] = (await play(node)) as [ModelWriter, ModelWriter];
  await close(node);
  const second = await open('second', 2);
  const timeline = second.store.get(TENANT, timelineId(1));
  await second.remote.settled();
  second.storage.fault = ({ kind }) => (kind === 'get' ? 'fail' : undefined);
  await expect(timeline.fetching(() => timeline.find(ObjectKind.relation, 1663, 5, 1, 0))).rejects.toThrow(/layers\//);
  second.storage.fault = () => undefined;
  expect(await fetchedOutcome(timeline, 1, 2, at(30))).toBe(modelOutcome(main.model, 1, 2, at(30)));
  // A damaged object is never data.
  for (const { key } of (await lab.inner.list('layers/')).objects) {
    const bytes = await fetchBytes(lab.inner, key, MIB);
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
    await lab.inner.put(key, bytesSource(key, bytes));
  }
  const third = await open('third', 3);
  expect(await fetchedOutcome(third.store.get(TENANT, timelineId(1)), 1, 2, at(30))).toMatch(
    /error the object has a wrong checksum \(.*layers\//,
  );
  await close(third);
  await close(second);
});

test('remote storage holds what the newest indexes name, and nothing else', async () => {
  const node = await open('first', 1);
  await play(node);
  await close(node);
  const named = new Set<string>();
  for (const { index, layers } of await newestIndexes(lab))
    for (const [fileName, { generation }] of layers) named.add(layerKey(TENANT, index.timeline, fileName, generation));
  const keys = (await lab.inner.list('')).objects.map(({ key }) => key);
  expect(new Set(keys.filter((key) => key.startsWith('layers/')))).toEqual(named);
  expect(keys.filter((key) => key.startsWith('indexes/')).length).toBe(2);
  expect(keys.filter((key) => key.startsWith('claims/')).length).toBe(2);
});

test('a load that flushes faster than layers are put does not keep everything from becoming durable', async () => {
  const { store, remote, storage, dataDirectory } = await open('first', 1);
  const wanted = { tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) } as const;
  const main = new ModelWriter(await store.create(wanted), new StorageModel(at(0)));
  await remote.settled();
  const written = (): string[] => readdirSync(layersDirectory(timelineDirectory(dataDirectory, TENANT, timelineId(1))));
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const first = new Set<string>();
  /** What was durable when the first layer of the second flush was put. */
  const durable: Lsn[] = [];
  storage.fault = ({ kind, key }) => {
    if (kind !== 'put' || !key.startsWith('layers/')) return undefined;
    if (first.size === 0 || [...first].some((name) => key.includes(name))) return held;
    durable.push(main.timeline.remoteConsistentLsn);
    return undefined;
  };
  putSome(main, 1, 40);
  await main.timeline.flush();
  for (const name of written()) first.add(name);
  const firstLsn = main.timeline.diskConsistentLsn;
  putSome(main, 41, 30);
  await main.timeline.flush();
  release();
  await remote.settled();
  expect(durable[0]).toBe(firstLsn);
  expect(main.timeline.remoteConsistentLsn).toBe(main.model.lastLsn);
  expect((await newestIndexes(lab)).map(({ layers }) => new Set(layers.keys()))).toEqual([new Set(written())]);
  await close({ store, remote, storage, dataDirectory });
});

/** Changes one bit in the middle of a file, where it is. Again: as it was. */
function flip(path: string): void {
  const bytes = readFileSync(path);
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] as number) ^ 1;
  writeFileSync(path, bytes);
}

const newTimeline = (n: number): NewTimeline => ({
  tenant: TENANT,
  timeline: timelineId(n),
  pgMajor: 18,
  initialLsn: at(0),
});

/** Waits until the upload of a layer of timeline 1 is refused; the other timelines go on and it stays where it was. Then its file is made right again. */
async function refusedUntilRight(node: Node, main: ModelWriter, path: string): Promise<string> {
  const { store, remote } = node;
  const failure = (): string => remote.status(TENANT, timelineId(1))?.failure?.message ?? '';
  await expect.poll(failure, PATIENCE).toContain(path);
  const message = failure();
  const other = new ModelWriter(await store.create(newTimeline(9)), new StorageModel(at(0)));
  putSome(other, 1, 30);
  await other.timeline.flush();
  await expect.poll(() => other.timeline.remoteConsistentLsn, PATIENCE).toBe(other.model.lastLsn);
  expect(main.timeline.diskConsistentLsn).toBe(main.model.lastLsn);
  expect(main.timeline.remoteConsistentLsn).toBeLessThanOrEqual(at(0));
  const keys = (await lab.inner.list(`layers/${TENANT}/${timelineId(1)}/`)).objects;
  expect(keys).toEqual([]);
  expect(remote.status(TENANT, timelineId(1))?.state).toBe('retrying');
  flip(path);
  await remote.settled();
  expect(remote.status(TENANT, timelineId(1))).toMatchObject({ state: 'idle', failure: undefined });
  expect(main.timeline.remoteConsistentLsn).toBe(main.model.lastLsn);
  expect(await newestIndexes(lab)).toHaveLength(2);
  return message;
}

test.for(['claims/', 'layers/'])(
  'a layer that rots after it was written, before its upload begins or during its put (of %s), is not uploaded; once it is right again it is',
  async (held) => {
    let [release, reached] = [(): void => undefined, (): void => undefined];
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const isReached = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const storage = new FaultyStorage(lab.inner);
    storage.fault = ({ kind, key }) => {
      if (kind !== 'put' || !key.startsWith(held) || !key.includes(timelineId(1))) return undefined;
      reached();
      return released;
    };
    const node = await open('first', 1, storage);
    const main = new ModelWriter(await node.store.create(newTimeline(1)), new StorageModel(at(0)));
    const isAttached = held === 'layers/';
    if (isAttached) await node.remote.settled();
    putSome(main, 1, 40);
    await main.timeline.flush();
    await isReached;
    const directory = layersDirectory(timelineDirectory(node.dataDirectory, TENANT, timelineId(1)));
    const path = join(directory, readdirSync(directory)[0] as string);
    flip(path);
    release();
    const message = await refusedUntilRight(node, main, path);
    expect(message).toContain('put a sound copy in its place');
    // Where remote storage has nothing yet, nothing would be left.
    expect(message.includes(`remove ${dirname(directory)} and start it again`)).toBe(isAttached);
    expect(lab.warnings).toEqual(['an upload failed and will be tried again']);
    await close(node);
  },
);

test('a layer that was put into remote storage as bad as it is costs the read with file and offset, and is fetched once, not for each read', async () => {
  const before = await open('first', 1);
  before.storage.fault = () => 'fail';
  const main = new ModelWriter(await before.store.create(newTimeline(1)), new StorageModel(at(0)));
  putSome(main, 1, 40);
  await main.timeline.flush();
  await close(before);
  const folder = timelineDirectory(before.dataDirectory, TENANT, timelineId(1));
  const index = decodeIndex(readFileSync(join(folder, INDEX_FILE)), INDEX_FILE);
  const [layer] = index.layers;
  if (layer === undefined) throw new Error('there is no layer');
  const path = join(layersDirectory(folder), layer.fileName);
  const { start } = lastChunkOf(path, ObjectKind.relation);
  flipAt(path, start);
  // As by who wrote it wrong.
  const { crc32c } = await checksumFile(path);
  writeFileSync(join(folder, INDEX_FILE), encodeIndex({ ...index, layers: [{ ...layer, crc32c }] }));
  const node = await lab.open('first', 2, undefined, { pageCacheBytes: 0, indexCacheBytes: 0 });
  await node.remote.settled();
  const timeline = node.store.get(TENANT, timelineId(1));
  const wrong = async (): Promise<Set<string>> => {
    const errors = new Set<string>();
    for (let block = 0; block < BLOCKS; block++) {
      const is = await fetchedOutcome(timeline, 0, block, main.model.lastLsn);
      if (is !== modelOutcome(main.model, 0, block, main.model.lastLsn)) errors.add(is);
    }
    return errors;
  };
  for (let time = 1; time <= 3; time++) {
    const errors = [...(await wrong())];
    expect(errors).toEqual([expect.stringContaining(`${path} at byte ${start}`)]);
    expect(errors[0]).toContain('remote storage has the same');
  }
  expect(node.storage.operations.filter(({ kind, key }) => kind === 'get' && key.startsWith('layers/'))).toHaveLength(
    1,
  );
  await close(node);
});

test('a layer of an index from before it had checksums of layers is uploaded if those in the layer are right', async () => {
  const before = await open('first', 1);
  before.storage.fault = () => 'fail';
  const main = new ModelWriter(await before.store.create(newTimeline(1)), new StorageModel(at(0)));
  putSome(main, 1, 40);
  await main.timeline.flush();
  await close(before);
  const folder = timelineDirectory(before.dataDirectory, TENANT, timelineId(1));
  const index = decodeIndex(readFileSync(join(folder, INDEX_FILE)), INDEX_FILE);
  const layers = index.layers.map((layer) => ({ ...layer, crc32c: undefined }));
  writeFileSync(join(folder, INDEX_FILE), encodeIndex({ ...index, layers }));
  const path = join(layersDirectory(folder), layers[0]?.fileName ?? '');
  flip(path);
  const node = await open('first', 2);
  const again = new ModelWriter(node.store.get(TENANT, timelineId(1)), main.model);
  expect(await refusedUntilRight(node, again, path)).toContain('put a sound copy in its place');
  await close(node);
});

test('a restart goes on where it was: nothing is uploaded twice, and with nothing new no index is put', async () => {
  const node = await open('first', 1);
  const writers = await play(node);
  await close(node);
  const again = await open('first', 2);
  await again.remote.settled();
  expect(again.storage.operations.filter(({ kind, key }) => kind === 'put' && !key.startsWith('claims/'))).toEqual([]);
  const main = again.store.get(TENANT, timelineId(1));
  expect(main.remoteConsistentLsn).toBe(writers[0]?.model.lastLsn);
  await close(again);
});

test('a layer whose put seemed to fail, and that is replaced before it is put again, is removed', async () => {
  const node = await open('first', 1);
  const main = new ModelWriter(await node.store.create(newTimeline(1)), new StorageModel(at(0)));
  await node.remote.settled();
  let [release, lost] = [(): void => undefined, ''];
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  node.storage.fault = ({ kind, key }) => {
    if (lost !== '') return released;
    if (kind !== 'put' || !key.startsWith('layers/')) return undefined;
    lost = key;
    return 'lose-response';
  };
  putSome(main, 1, 40);
  await main.timeline.flush();
  await main.timeline.compact();
  release();
  await node.remote.settled();
  const named = (await newestIndexes(lab)).flatMap(({ index, layers }) =>
    [...layers].map(([fileName, { generation }]) => layerKey(TENANT, index.timeline, fileName, generation)),
  );
  expect(named).not.toContain(lost);
  expect((await lab.inner.list('layers/')).objects.map(({ key }) => key).toSorted()).toEqual(named.toSorted());
  expect(main.timeline.remoteConsistentLsn).toBe(main.model.lastLsn);
  await close(node);
});

/** Every fault at every one of so many operations. */
function* everyFault(operations: number): Generator<{ readonly failAt: number; readonly fault: StorageFault }> {
  for (let failAt = 1; failAt < operations; failAt++)
    for (const fault of ['fail', 'lose-response', 'tear'] as const) yield { failAt, fault };
}

test('whatever fails once is made good: at every operation, before it, in its middle, and after its effect', async () => {
  const counting = await open('counting', 1);
  await play(counting);
  await close(counting);
  const operations = counting.storage.operations.length;
  expect(operations).toBeGreaterThan(30);
  let injected = 0;
  for (const { failAt, fault } of everyFault(operations)) {
    lab.remove();
    lab = await RemoteLab.create();
    const storage = new FaultyStorage(lab.inner);
    storage.fault = ({ number }) => (number === failAt ? (injected++, fault) : undefined);
    const node = await open('first', 1, storage);
    const writers = await play(node);
    expect(writers.map(({ timeline }) => timeline.remoteConsistentLsn)).toEqual(
      writers.map(({ model }) => model.lastLsn),
    );
    await close(node);
    expect((await newestIndexes(lab)).length).toBe(2);
  }
  // How many operations a play takes depends on how uploads and steps overlap.
  expect(injected).toBeGreaterThan(2 * operations);
}, 600_000);

test('a pageserver that dies at any operation, its disk with it, has lost nothing that it called remote-consistent', async () => {
  const counting = await open('counting', 1);
  await play(counting);
  await close(counting);
  const operations = counting.storage.operations.length;
  let behind = 0;
  for (const { failAt, fault } of everyFault(operations)) {
    lab.remove();
    lab = await RemoteLab.create();
    const storage = new FaultyStorage(lab.inner);
    let died: () => void = () => undefined;
    const dead = new Promise<void>((resolve) => {
      died = resolve;
    });
    // From its death on nothing of it reaches remote storage.
    storage.fault = ({ number }) => {
      if (number < failAt) return undefined;
      died();
      return number === failAt ? fault : 'fail';
    };
    const node = await open('first', 1, storage);
    const playing = play(node);
    await Promise.race([dead, playing]);
    const said = [1, 2].map((n) => node.store.find(TENANT, timelineId(n))?.remoteConsistentLsn ?? 0);
    await node.remote.close(0);
    const writers = await playing;
    await node.store.close();
    await newestIndexes(lab);
    const second = await open('second', 2);
    for (const [i, writer] of writers.entries()) {
      const timeline = second.store.find(TENANT, timelineId(i + 1));
      if (timeline === undefined) {
        expect(said[i]).toBe(0);
        continue;
      }
      expect(timeline.diskConsistentLsn).toBeGreaterThanOrEqual(said[i] as number);
      if (timeline.diskConsistentLsn < writer.model.lastLsn) behind++;
      const { ancestor } = timeline;
      if (ancestor !== undefined && ancestor.timeline.lastRecordLsn < ancestor.lsn) continue; // its WAL comes first
      expect(await wrongPages(second.store, i + 1, writer, timeline.diskConsistentLsn)).toEqual([]);
    }
    await close(second);
  }
  expect(behind).toBeGreaterThan(5);
}, 600_000);

test('of two data directories with one generation the second is turned away', async () => {
  const first = await open('first', 5);
  const [main] = (await play(first)) as [ModelWriter, ModelWriter];
  const second = await open('second', 5);
  expect(second.store.list()).toEqual([]);
  putSome(main, 200, 30);
  await main.timeline.flush();
  await first.remote.settled();
  expect(main.timeline.remoteConsistentLsn).toBe(main.model.lastLsn);
  await close(first);
  await close(second);
});

test('a data directory that was put back from an older day is told, and harms nothing', async () => {
  const first = await open('first', 1);
  await play(first);
  await close(first);
  const second = await open('second', 2);
  const model = new StorageModel(at(0));
  const main = new ModelWriter(second.store.get(TENANT, timelineId(1)), model);
  model.lastLsn = main.timeline.lastRecordLsn;
  await main.timeline.fetchForIngest();
  putSome(main, 200, 30);
  await main.timeline.flush();
  await second.remote.settled();
  await close(second);
  const back = await open('first', 3);
  await back.remote.settled();
  expect(back.remote.status(TENANT, timelineId(1))).toMatchObject({ state: 'diverged' });
  expect(back.remote.status(TENANT, timelineId(1))?.failure?.message).toMatch(
    /remove .*\/first\/.* and start it again/,
  );
  expect(back.store.get(TENANT, timelineId(1)).remoteConsistentLsn).toBe(0);
  const ofMain = back.storage.operations.filter(({ key }) => key.includes(timelineId(1)));
  expect(ofMain.filter(({ kind }) => kind === 'delete' || kind === 'put').map(({ key }) => key)).toEqual([
    expect.stringContaining('claims/') as string,
  ]);
  await close(back);
});

test('without remote storage what is here is served, and uploads go on when it is back', async () => {
  const first = await open('first', 1);
  const writers = await play(first);
  await close(first);
  const storage = new FaultyStorage(lab.inner);
  storage.fault = () => 'fail';
  await expect(open('empty', 2, storage)).rejects.toMatchObject({ code: 'unavailable' });
  const again = await open('first', 2, storage);
  const [main] = writers as [ModelWriter, ModelWriter];
  expect(await wrongPages(again.store, 1, main, main.model.lastLsn)).toEqual([]);
  expect(again.remote.status(TENANT, timelineId(1))?.state).toMatch(/uploading|retrying/);
  storage.fault = () => undefined;
  await again.remote.settled();
  expect(again.store.get(TENANT, timelineId(1)).remoteConsistentLsn).toBe(main.model.lastLsn);
  await close(again);
});

test('a start does not wait for remote storage that says nothing: what is here is served', async () => {
  const first = await open('first', 1);
  const [main] = (await play(first)) as [ModelWriter, ModelWriter];
  await close(first);
  const storage = new FaultyStorage(lab.inner);
  const list = storage.list.bind(storage);
  storage.list = (_, options) =>
    new Promise((_resolve, reject) => {
      options?.signal?.addEventListener('abort', () => reject(options.signal?.reason as Error));
    });
  const again = await lab.open('first', 2, storage, {}, 1);
  expect(await wrongPages(again.store, 1, main, main.model.lastLsn)).toEqual([]);
  storage.list = list;
  await close(again);
});

test('a removed timeline is gone from remote storage as well: a pageserver with an empty disk does not restore it, and an older one cannot bring it back', async () => {
  const node = await open('a', 1);
  await play(node);
  const removed = ({ store }: Node): Promise<void> => store.remove(TENANT, timelineId(2), () => Promise.resolve());
  await removed(node);
  await removed(node); // again, and harmless
  const keys = (await lab.inner.list('', {})).objects
    .map(({ key }) => key)
    .filter((key) => key.includes(timelineId(2)));
  expect(keys.map((key) => key.split('/')[0])).toEqual(['claims']);
  await close(node);
  const other = await open('b', 2);
  expect(other.store.list().map(({ timeline }) => timeline)).toEqual([timelineId(1)]);
  await close(other);
  const old = await open('a', 1);
  await expect(old.remote.remove(TENANT, timelineId(1))).rejects.toMatchObject({ code: 'superseded' });
  expect((await lab.inner.list('indexes/', {})).objects.length).toBeGreaterThan(0);
  await close(old);
});

/** A timeline whose history can be collected beyond the branch that it has. */
async function playOn(node: Node): Promise<readonly [ModelWriter, ModelWriter]> {
  const [main, branch] = (await play(node)) as [ModelWriter, ModelWriter];
  for (let n = 200; n < 240; n++) {
    main.put(n % 3, (n * 7) % 6, at(n), ValueKind.image, pageOf(n));
    main.timeline.noteCommit(at(n), n as CommitTime);
    main.advance(at(n));
  }
  await main.timeline.flush();
  await node.remote.settled();
  return [main, branch];
}

test('a timeline that is gone here and not yet there has its history kept: it is whole when the next start restores it', async () => {
  const node = await open('a', 1);
  const [, branch] = await playOn(node);
  node.storage.fault = ({ kind, key }) => (kind === 'delete' && key.includes(timelineId(2)) ? 'fail' : undefined);
  const removing = node.store.remove(TENANT, timelineId(2), () => Promise.resolve());
  await expect(removing).rejects.toMatchObject({ code: 'unavailable' });
  expect(await collectAll(node)).toBeGreaterThan(0);
  await node.remote.settled();
  await close(node);
  const again = await open('a', 2);
  const first = branch.timeline.initialLsn;
  expect(again.store.get(TENANT, timelineId(2)).initialLsn).toBe(first);
  expect(await wrongPages(again.store, 2, branch, first)).toEqual([]);
  await again.store.remove(TENANT, timelineId(2), () => Promise.resolve());
  await collectAll(again);
  await close(again);
  const last = await open('b', 3);
  expect(last.store.list().map(({ timeline }) => timeline)).toEqual([timelineId(1)]);
  await close(last);
});

test('history is collected on a disk that has the indexes only: what the cutoff is looked for in is fetched', async () => {
  const node = await open('a', 1);
  const [main, branch] = await playOn(node);
  await close(node);
  const empty = await open('b', 2);
  expect(await collectAll(empty)).toBeGreaterThan(0);
  expect(empty.store.get(TENANT, timelineId(1)).gcCutoff).toBe(main.model.lastLsn);
  expect(await wrongPages(empty.store, 2, branch, branch.timeline.initialLsn)).toEqual([]);
  await close(empty);
});

test('history is kept while it is not known what remote storage has, and while it has a timeline that is not here', async () => {
  const node = await open('a', 1);
  const [, branch] = await playOn(node);
  await close(node);
  // A disk that lost one of two, and a start at which remote storage does not answer.
  rmSync(join(lab.root, 'a/tenants', TENANT, 'timelines', timelineId(2)), { recursive: true });
  const storage = new FaultyStorage(lab.inner);
  storage.fault = () => 'fail';
  const silent = await open('a', 2, storage);
  await expect(collectAll(silent)).rejects.toThrow(/history is kept while what remote storage may have/);
  const stillUnknown = 'it is still not known which timelines only remote storage has';
  await expect.poll(() => lab.warnings, PATIENCE).toContain(stillUnknown);
  storage.fault = () => undefined;
  await expect
    .poll(() => collectAll(silent).catch((error: Error) => error.message), PATIENCE)
    .toMatch(new RegExp(`history is kept while timeline ${timelineId(2)}`));
  expect(lab.warnings.filter((one) => one === stillUnknown)).toHaveLength(1);
  await close(silent);
  const again = await open('a', 3);
  expect(await wrongPages(again.store, 2, branch, branch.timeline.initialLsn)).toEqual([]);
  expect(await collectAll(again)).toBeGreaterThan(0);
  expect(await wrongPages(again.store, 2, branch, branch.timeline.initialLsn)).toEqual([]);
  await close(again);
});

test('history is collected again once remote storage has answered and has nothing that is not here, or it was removed', async () => {
  const node = await open('a', 1);
  await playOn(node);
  await close(node);
  const storage = new FaultyStorage(lab.inner);
  storage.fault = () => 'fail';
  const silent = await open('a', 2, storage);
  storage.fault = () => undefined;
  await expect.poll(() => collectAll(silent).catch(() => 0), PATIENCE).toBeGreaterThan(0);
  await close(silent);
  rmSync(join(lab.root, 'a/tenants', TENANT, 'timelines', timelineId(2)), { recursive: true });
  const faulty = new FaultyStorage(lab.inner);
  faulty.fault = ({ key }) => (key.includes(timelineId(2)) ? 'fail' : undefined);
  const partial = await open('a', 3, faulty);
  await expect(collectAll(partial)).rejects.toMatchObject({ code: 'history-needed' });
  faulty.fault = () => undefined;
  await partial.store.remove(TENANT, timelineId(2), () => Promise.resolve());
  await collectAll(partial);
  await close(partial);
});
