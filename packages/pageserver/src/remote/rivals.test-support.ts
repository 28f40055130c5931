import { fetchBytes, fetchObject } from '@zenith/remote-storage';
import { expect } from 'vitest';
import { type ModelWriter, TENANT, timelineId } from '../timeline/storage-model.test-support.ts';
import { layerKey, parseIndexKey } from './object-keys.ts';
import { decodeRemoteIndex, type RemoteIndex } from './remote-index.ts';
import { close, play, putSome, type RemoteLab, wrongPages } from './remote-lab.test-support.ts';

/** Longest index of a timeline here. Unit: bytes. */
const INDEX_BYTES_MAX = 1024 * 1024;

/** The newest index of each timeline in remote storage; every object it names is there and right. */
export async function newestIndexes({ inner }: RemoteLab): Promise<RemoteIndex[]> {
  const newest = new Map<string, string>();
  for (const { key } of (await inner.list('indexes/')).objects) {
    const parsed = parseIndexKey(key);
    if (parsed !== undefined) newest.set(parsed.timeline, key);
  }
  const found: RemoteIndex[] = [];
  for (const key of newest.values()) {
    const remote = decodeRemoteIndex(await fetchBytes(inner, key, INDEX_BYTES_MAX), key);
    const { tenant, timeline, layers } = remote.index;
    for (const { fileName, fileBytes, crc32c } of layers) {
      const layer = remote.layers.get(fileName);
      expect(layer).toBeDefined();
      // It was taken when the layer was written, unless an index from before that was made up.
      if (crc32c !== undefined) expect(layer?.crc32c).toBe(crc32c);
      if (layer === undefined) continue;
      const sink = { begin: () => undefined, write: () => undefined };
      const expected = { length: fileBytes, crc32c: layer.crc32c };
      await fetchObject(inner, layerKey(tenant, timeline, fileName, layer.generation), expected, sink);
    }
    found.push(remote);
  }
  return found;
}

/** Two pageservers claim one timeline: the older one can neither replace the index, nor remove an object, nor call anything durable; the younger one goes on, and serves what it says. */
export async function rivalGenerations(lab: RemoteLab): Promise<void> {
  const old = await lab.open('old', 1);
  const [main] = (await play(old)) as [ModelWriter, ModelWriter];
  const before = main.timeline.remoteConsistentLsn;
  const young = await lab.open('young', 2);
  expect(young.store.get(TENANT, timelineId(1)).remoteConsistentLsn).toBe(before);
  await young.remote.settled();
  // All but what the older one adds in vain: objects of its own generation.
  const objects = async (): Promise<string[]> =>
    (await lab.inner.list('')).objects.map(({ key }) => key).filter((key) => !/-00000001$|\/00000001-/.test(key));
  const seen = await objects();
  old.storage.operations.length = 0;
  putSome(main, 200, 30);
  await main.timeline.flush();
  await main.timeline.compact();
  await old.remote.settled();
  expect(old.remote.status(TENANT, timelineId(1))?.state).toBe('superseded');
  expect(old.remote.gauges.superseded).toBe(1);
  expect(main.timeline.remoteConsistentLsn).toBe(before);
  expect(old.storage.operations.filter(({ kind }) => kind === 'delete')).toEqual([]);
  expect(await objects()).toEqual(seen);
  const newest = (await newestIndexes(lab)).find(({ index }) => index.timeline === timelineId(1));
  expect(newest).toMatchObject({ generation: 2, index: { diskConsistentLsn: before } });
  expect(await wrongPages(young.store, 1, main, before)).toEqual([]);
  await close(young);
  await close(old);
}
