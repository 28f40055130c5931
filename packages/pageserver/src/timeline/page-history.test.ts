import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BLCKSZ } from '@zenith/pg-format';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { NO_OBJECT } from '../key-space/object-table.ts';
import { ValueKind } from '../key-space/value.ts';
import {
  at,
  chainRedo,
  ModelWriter,
  StorageModel,
  TENANT,
  timelineId,
  unsyncedFileSystem,
} from './storage-model.test-support.ts';
import type { HistoryLimits } from './page-history.ts';
import { TimelineStore } from './timeline-store.ts';
import type { Timeline } from './timeline.ts';

const ALL: HistoryLimits = { valuesMax: 1000, bytesMax: 1 << 30 };
const REL = 7;
let directory: string;
let store: TimelineStore;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'zenith-history-'));
  store = TimelineStore.open(directory, {
    redo: chainRedo,
    fileSystem: unsyncedFileSystem,
    // Images in every chain of 8 values, and image layers as soon as there is anything to make them from.
    options: { compactInBackground: false, imageAfterValues: 8, imageTiersMin: 1, imageDeltaFraction: 0 },
  });
});
afterEach(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

async function created(): Promise<ModelWriter> {
  const timeline = await store.create({ tenant: TENANT, timeline: timelineId(1), pgMajor: 18, initialLsn: at(0) });
  return new ModelWriter(timeline, new StorageModel(at(0)));
}

/** The history as the model has it, the newest first. */
function expected(model: StorageModel, block: number, upTo: number): string[] {
  return (model.values.get(`${REL}/${block}`) ?? [])
    .filter(({ lsn }) => lsn <= at(upTo))
    .map(({ lsn, kind, bytes }) => `${lsn} ${kind} ${Buffer.from(bytes).toString('hex')}`)
    .toReversed();
}

function historyOf(
  timeline: Timeline,
  block: number,
  upTo: number,
  limits = ALL,
): { values: string[]; complete: boolean } {
  const object = timeline.find(ObjectKind.relation, 1663, 5, REL, 0);
  const { values, complete } = timeline.pageHistory(object, block, at(upTo), limits);
  return {
    complete,
    values: values.map(({ lsn, kind, bytes }) => `${lsn} ${kind} ${Buffer.from(bytes).toString('hex')}`),
  };
}

/** Values of all kinds for two blocks, LSNs [from, to). */
function write(writer: ModelWriter, from: number, to: number): void {
  for (let n = from; n < to; n++) {
    const kind = n % 7 === 0 ? ValueKind.initRecord : n % 5 === 0 ? ValueKind.operation : ValueKind.record;
    writer.put(REL, n % 2, at(n), kind, Uint8Array.of(1, n));
    writer.advance(at(n));
  }
}

test('a page has the same history in memory, in flushed layers and in compacted ones', async () => {
  const writer = await created();
  const { timeline, model } = writer;
  write(writer, 1, 60);
  const whole = { values: expected(model, 1, 59), complete: true };
  expect(whole.values).toHaveLength(30);
  expect(historyOf(timeline, 1, 59)).toEqual(whole);
  expect(historyOf(timeline, 1, 30)).toEqual({ values: expected(model, 1, 30), complete: true });
  await timeline.flush();
  expect(historyOf(timeline, 1, 59)).toEqual(whole);
  for (const from of [60, 90]) {
    write(writer, from, from + 30);
    await timeline.flush();
  }
  expect(await timeline.compact()).toMatchObject({ mergedLayers: 3 });
  write(writer, 120, 140);
  for (const upTo of [139, 125, 119, 70, 2])
    for (const block of [0, 1])
      expect(historyOf(timeline, block, upTo)).toEqual({ values: expected(model, block, upTo), complete: true });
});

test('a branch shows what it shares, up to the branch point, and its own', async () => {
  const writer = await created();
  write(writer, 1, 20);
  await writer.timeline.flush();
  await writer.timeline.compact();
  const child = await store.createBranch(TENANT, timelineId(2), timelineId(1), at(10));
  write(writer, 20, 30);
  const model = new StorageModel(at(10), { model: writer.model, lsn: at(10) });
  const own = new ModelWriter(child, model);
  own.put(REL, 1, at(40), ValueKind.record, Uint8Array.of(9, 9));
  own.advance(at(40));
  expect(historyOf(child, 1, 40)).toEqual({
    complete: true,
    values: [`${at(40)} ${ValueKind.record} 0909`, ...expected(writer.model, 1, 10)],
  });
});

test('as much as is asked for, the newest', async () => {
  const writer = await created();
  write(writer, 1, 40);
  const all = expected(writer.model, 1, 39);
  for (const isFlushed of [false, true]) {
    if (isFlushed) await writer.timeline.flush();
    expect(historyOf(writer.timeline, 1, 39, { ...ALL, valuesMax: 3 })).toEqual({
      values: all.slice(0, 3),
      complete: false,
    });
    expect(historyOf(writer.timeline, 1, 39, { ...ALL, valuesMax: all.length }).complete).toBe(true);
    expect(historyOf(writer.timeline, 1, 39, { ...ALL, bytesMax: 3 })).toEqual({
      values: all.slice(0, 2),
      complete: false,
    });
  }
});

test('an imported page begins with its image', async () => {
  const writer = await created();
  writer.put(REL, 0, at(1), ValueKind.image, new Uint8Array(BLCKSZ).fill(3));
  writer.put(REL, 0, at(2), ValueKind.record, Uint8Array.of(1, 2));
  writer.advance(at(2));
  expect(historyOf(writer.timeline, 0, 2)).toEqual({ values: expected(writer.model, 0, 2), complete: true });
});

test('what was never written has no history', async () => {
  const { timeline, ...writer } = await created();
  const other = new ModelWriter(timeline, writer.model);
  write(other, 1, 3);
  expect(() => historyOf(timeline, 5, 2)).toThrow(expect.objectContaining({ code: 'no-such-block' }));
  expect(() => timeline.pageHistory(NO_OBJECT, 0, at(2), ALL)).toThrow(
    expect.objectContaining({ code: 'no-such-block' }),
  );
  expect(() => historyOf(timeline, 0, 3)).toThrow(expect.objectContaining({ code: 'lsn-not-available' }));
});
