import { bytesSource, fetchBytes } from '@zenith/remote-storage';
import { FaultyStorage } from '@zenith/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TENANT, timelineId } from '../timeline/storage-model.test-support.ts';
import { claimKey, indexKey } from './object-keys.ts';
import { close, play, putSome, RemoteLab } from './remote-lab.test-support.ts';
import { scrub, type ScrubReport } from './scrub.ts';

const MIB = 1024 * 1024;

let lab: RemoteLab;
beforeEach(async () => {
  lab = await RemoteLab.create();
});
afterEach(() => lab.remove());

const look = (deleteOrphans = false, storage = new FaultyStorage(lab.inner)): Promise<ScrubReport> =>
  scrub(storage, { readLayers: true, deleteOrphans });

async function keys(prefix: string): Promise<readonly string[]> {
  return (await lab.inner.list(prefix)).objects.map(({ key }) => key);
}

/** Writes history with generation 1, and closes. */
async function fill(): Promise<void> {
  const node = await lab.open('first', 1);
  await play(node);
  await close(node);
}

/** An object that a death left behind: a layer of generation 1 that no index names. */
async function leave(): Promise<string> {
  const [key = ''] = await keys('layers/');
  const orphan = key.replace(/_[0-9a-f]{8}-[0-9a-f]{8}$/, '_00ffffff-00000001');
  await lab.inner.put(orphan, bytesSource(orphan, new Uint8Array(100)));
  return orphan;
}

test('what a pageserver leaves is sound, and has no orphans', async () => {
  await fill();
  const report = await look();
  expect(report).toMatchObject({ timelines: 2, missing: [], corrupt: [], orphans: [], foreign: [], deleted: [] });
  expect(report.objects).toBe((await keys('')).length);
  expect(report.bytes).toBeGreaterThan(0);
});

test('a layer that is gone is missing; one that was changed or cut, and an index that was changed, are corrupt; each is named', async () => {
  await fill();
  const [gone = '', changed = '', cut = ''] = await keys('layers/');
  const [index = ''] = await keys(`indexes/${TENANT}/${timelineId(2)}`);
  await lab.inner.delete([gone]);
  const flip = async (key: string, at: (length: number) => number): Promise<void> => {
    const bytes = await fetchBytes(lab.inner, key, MIB);
    const offset = at(bytes.length);
    bytes[offset] = (bytes[offset] as number) ^ 0x10;
    await lab.inner.put(key, bytesSource(key, bytes));
  };
  await flip(changed, (length) => length >> 1);
  await lab.inner.put(cut, bytesSource(cut, (await fetchBytes(lab.inner, cut, MIB)).subarray(0, 5000)));
  await flip(index, (length) => length - 20);
  const report = await look();
  expect(report.missing.map(({ key }) => key)).toEqual([gone]);
  expect(report.corrupt.map(({ key }) => key).toSorted()).toEqual([changed, cut, index].toSorted());
  for (const { key, message } of report.corrupt) expect(message).toContain(key);
  // Without reading them only their lengths are known.
  const quick = await scrub(lab.inner, { readLayers: false, deleteOrphans: false });
  expect(quick.corrupt.map(({ key }) => key).toSorted()).toEqual([cut, index].toSorted());
  // Of a timeline whose index cannot be read nothing is called removable.
  expect(report.orphans.filter(({ key }) => key.includes(timelineId(2))).some(({ removable }) => removable)).toBe(
    false,
  );
});

test('an orphan is removed once a newer generation has put an index without it, and not before', async () => {
  await fill();
  const orphan = await leave();
  const mine = await look(true);
  expect(mine.orphans).toEqual([{ key: orphan, bytes: 100, removable: false }]);
  expect(mine.deleted).toEqual([]);
  const node = await lab.open('first', 2);
  await node.remote.settled();
  // Generation 2 has claimed the timeline, but what counts is still an index of generation 1.
  expect((await look(true)).deleted).toEqual([]);
  const timeline = node.store.get(TENANT, timelineId(1));
  timeline.advance((timeline.lastRecordLsn + 8) as typeof timeline.lastRecordLsn);
  await timeline.flush();
  await node.remote.settled();
  expect((await look(true)).deleted).toEqual([orphan]);
  expect(await keys('layers/')).not.toContain(orphan);
  const after = await look();
  expect(after).toMatchObject({ missing: [], corrupt: [] });
  // Timeline 2 has a claim of generation 2 and no index of it yet.
  expect(after.orphans.filter(({ key }) => !key.includes(timelineId(2)))).toEqual([]);
  await close(node);
});

test('nothing is removed when another pageserver takes the timeline between the look and the removal', async () => {
  await fill();
  const node = await lab.open('second', 2);
  await node.remote.settled();
  await close(node);
  const orphan = await leave();
  const removable = (await look()).orphans.filter((one) => one.removable).map(({ key }) => key);
  // What the older generation had before is not needed any more either.
  expect(removable).toContain(orphan);
  expect(removable.length).toBeGreaterThan(1);
  const storage = new FaultyStorage(lab.inner);
  let listings = 0;
  storage.fault = ({ kind }) => {
    if (kind !== 'list' || ++listings !== 2) return undefined;
    const key = claimKey(TENANT, timelineId(1), 3);
    return lab.inner.put(key, bytesSource(key, new TextEncoder().encode('{"writer":"another"}\n')));
  };
  const report = await look(true, storage);
  expect(report.deleted.filter((key) => key.includes(timelineId(1)))).toEqual([]);
  const removed = storage.operations.filter(({ kind }) => kind === 'delete').map(({ key }) => key);
  expect(removed.filter((key) => key.includes(timelineId(1)))).toEqual([]);
  expect(report.deleted.length).toBeGreaterThan(0);
  expect(await keys('layers/')).toContain(orphan);
});

test('beside a pageserver that replaces indexes and removes layers nothing is called missing, and nothing it needs is removed', async () => {
  const node = await lab.open('first', 1);
  const [main] = await play(node);
  if (main === undefined) throw new Error('there is no main');
  const looking = async (looks: number): Promise<void> => {
    for (let n = 0; n < looks; n++) expect(await look(true)).toMatchObject({ missing: [], corrupt: [], deleted: [] });
  };
  for (let round = 0; round < 12; round++) {
    putSome(main, 400 + round * 20, 20);
    const looks = looking(2);
    await main.timeline.flush();
    await main.timeline.compact();
    await node.remote.settled();
    await looks;
  }
  expect(await look()).toMatchObject({ missing: [], corrupt: [], orphans: [] });
  await close(node);
});

test("what is not Zenith's is told and left alone", async () => {
  await fill();
  await lab.inner.put('layers/readme', bytesSource('x', new Uint8Array(3)));
  const index = indexKey(TENANT, timelineId(1), { generation: 1, sequence: 999 }).replace('indexes/', 'indices/');
  await lab.inner.put(index, bytesSource('x', new Uint8Array(3)));
  expect((await look(true)).foreign.toSorted()).toEqual([index, 'layers/readme'].toSorted());
  expect(await keys('')).toEqual(expect.arrayContaining([index, 'layers/readme']));
});
