import type { Lsn } from '@zenith/base';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { CommitTime } from '../commit-times/commit-time.ts';
import { ValueKind } from '../key-space/value.ts';
import {
  at,
  modelOutcome,
  type ModelWriter,
  pageOf,
  TENANT,
  timelineId,
} from '../timeline/storage-model.test-support.ts';
import {
  BLOCKS,
  close,
  collectAll,
  fetchedOutcome,
  type Node,
  play,
  RELATIONS,
  RemoteLab,
  wrongPages,
} from './remote-lab.test-support.ts';
import { newestIndexes, rivalGenerations } from './rivals.test-support.ts';

let lab: RemoteLab;
beforeEach(async () => {
  lab = await RemoteLab.create();
});
afterEach(() => lab.remove());

test('of two generations the older one can neither replace the index, nor remove an object, nor call anything durable', () =>
  rivalGenerations(lab));

/** Every timeline of the node has what was called remote-consistent, and right. @param reads also by reading all of it */
async function expectAll(
  { store }: Node,
  writers: readonly ModelWriter[],
  said: readonly number[],
  reads: boolean,
): Promise<void> {
  for (const [i, writer] of writers.entries()) {
    const timeline = store.get(TENANT, timelineId(i + 1));
    expect(timeline.diskConsistentLsn).toBeGreaterThanOrEqual(said[i] as number);
    const { ancestor } = timeline;
    if (ancestor !== undefined && ancestor.timeline.lastRecordLsn < ancestor.lsn) continue; // its WAL comes first
    if (reads) expect(await wrongPages(store, i + 1, writer, timeline.diskConsistentLsn)).toEqual([]);
  }
}

test('at whichever operation of an older generation a newer one takes the timelines: every object that counts is there, and all that either called remote-consistent', async () => {
  const counting = await lab.open('counting', 1);
  await play(counting);
  await close(counting);
  const operations = counting.storage.operations.length;
  let [superseded, behind] = [0, 0];
  for (let takenAt = 0; takenAt < operations; takenAt++) {
    lab.remove();
    lab = await RemoteLab.create();
    const old = await lab.open('old', 1);
    let taking: Promise<Node> | undefined;
    const take = async (): Promise<Node> => {
      const young = await lab.open('young', 2);
      await young.remote.settled();
      return young;
    };
    old.storage.fault = ({ number }) => {
      if (number < takenAt || taking !== undefined) return undefined;
      taking = take();
      return taking.then(() => undefined);
    };
    const writers = await play(old);
    superseded += old.remote.gauges.superseded;
    const said = writers.map(({ timeline }) => timeline.remoteConsistentLsn);
    await newestIndexes(lab);
    await close(old);
    const young = await taking;
    if (young === undefined) continue; // this play took fewer
    const main = young.store.find(TENANT, timelineId(1));
    if (main !== undefined && main.diskConsistentLsn < (writers[0]?.model.lastLsn ?? 0)) behind++;
    await close(young);
    // A third one has what both left.
    const last = await lab.open('last', 3);
    // What is there was compared with its checksums.
    await expectAll(last, writers, said, takenAt % 4 === 0);
    await close(last);
  }
  expect(superseded).toBeGreaterThan(operations / 2);
  expect(behind).toBeGreaterThan(operations / 2);
}, 600_000);

test('an older generation whose disk has not all of its layers reads no other page instead of one that the newer has removed: it fails and names the object', async () => {
  const old = await lab.open('old', 1, undefined, { diskBytes: 0 });
  const [main] = (await play(old)) as [ModelWriter, ModelWriter];
  for (let n = 200; n < 240; n++) {
    main.put(n % RELATIONS, (n * 7) % BLOCKS, at(n), ValueKind.image, pageOf(n));
    main.timeline.noteCommit(at(n), n as CommitTime);
    main.advance(at(n));
  }
  await main.timeline.flush();
  await main.timeline.compact();
  await old.remote.settled();
  expect(main.timeline.statistics.absentLayers).toBeGreaterThan(0);
  const young = await lab.open('young', 2);
  expect(await collectAll(young)).toBeGreaterThan(0);
  await young.remote.settled();
  const outcomes = new Map<string, number>();
  for (let lsn = main.timeline.initialLsn as number; lsn <= main.model.lastLsn; lsn += 8 * 7)
    for (let rel = 0; rel < RELATIONS; rel++)
      for (let block = 0; block < BLOCKS; block++) {
        const is = await fetchedOutcome(main.timeline, rel, block, lsn as Lsn);
        const kind = is === modelOutcome(main.model, rel, block, lsn as Lsn) ? 'right' : is;
        outcomes.set(kind, (outcomes.get(kind) ?? 0) + 1);
      }
  expect([...outcomes.keys()].toSorted()).toEqual(['error not-found', 'right']);
  await close(young);
  await close(old);
});
