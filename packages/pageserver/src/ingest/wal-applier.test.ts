import { CorruptionError, type Lsn } from '@zenith/base';
import { RM_DBASE_ID, RM_HEAP_ID, RM_XLOG_ID, WalStreamEncoder, XLOG_SWITCH, allocatePage } from '@zenith/pg-format';
import { expect, it } from 'vitest';
import { ObjectKind } from '../key-space/object.ts';
import { data, Head, heapRecord, NO_LOAD, referenceTo, SYSTEM_ID } from './head.test-support.ts';
import { Pacer } from './pacer.ts';
import type { IngestTarget } from './target.ts';
import { WalApplier } from './wal-applier.ts';
import { WalIngest } from './wal-ingest.ts';

const INIT_PAGE = 0x80;
const RECORDS = 2000;

it('gives everything else its turn within a tenth of a millisecond: a read sees ingest advance by a few records at a time', async () => {
  const head = await Head.create();
  const start = head.timeline.lastRecordLsn;
  const encoder = new WalStreamEncoder(18, start, { systemId: SYSTEM_ID, previousLsn: (start - 8) as Lsn });
  const ends: Lsn[] = [];
  for (let n = 0; n < RECORDS; n++) {
    const tuple = data([2, 1], [2, 0x0802], [1, 24], [1, 0], [4, n]);
    const blocks = [{ id: 0, spc: 1663, db: 5, rel: 16384, fork: 0, block: n, willInit: true, data: tuple }];
    const record = { rmid: RM_HEAP_ID, info: INIT_PAGE, xid: 1000, mainData: data([2, 1], [1, 0]), blocks };
    ends.push(encoder.append(record).endLsn);
  }
  // Each look at the clock finds that 10 µs have passed.
  let ms = 0;
  const ingest = { isDone: false };
  const streamed = head.stream(encoder.bytes, () => (ms += 0.01)).finally(() => (ingest.isDone = true));
  const seen: number[] = [];
  while (!ingest.isDone) {
    seen.push(ends.filter((end) => end <= head.timeline.lastRecordLsn).length);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await streamed;
  seen.push(ends.filter((end) => end <= head.timeline.lastRecordLsn).length);
  expect(seen.at(-1)).toBe(RECORDS);
  const steps = seen.slice(1).map((count, turn) => count - (seen[turn] as number));
  expect(Math.max(...steps)).toBeLessThanOrEqual(100);
  expect(steps.filter((step) => step > 0).length).toBeGreaterThanOrEqual(RECORDS / 100);
  expect(head.blockHistory(16384, RECORDS - 1)).toHaveLength(1);
  await head.close();
});

it('begins the copy of a database anew when a page of it could not be fetched, on the next stream', async () => {
  const head = await Head.create();
  const { timeline } = head;
  const start = timeline.lastRecordLsn;
  const encoder = new WalStreamEncoder(18, start, { systemId: SYSTEM_ID, previousLsn: (start - 8) as Lsn });
  const tuple = data([2, 1], [2, 0x0802], [1, 24], [1, 0], [4, 7]);
  for (let block = 0; block < 3; block++) {
    const blocks = [{ id: 0, spc: 1663, db: 5, rel: 16384, fork: 0, block, willInit: true, data: tuple }];
    encoder.append({ rmid: RM_HEAP_ID, info: INIT_PAGE, xid: 1000, mainData: data([2, 1], [1, 0]), blocks });
  }
  const before = encoder.bytes.length;
  const copied = encoder.append({
    rmid: RM_DBASE_ID,
    info: 0,
    mainData: data([4, 16390], [4, 1663], [4, 5], [4, 1663]),
  }).endLsn;
  let unreadable = 2;
  const target = withUnreadablePages(timeline, (block) => block === 1 && unreadable-- > 0);
  const pacer = new Pacer(() => 0, NO_LOAD);
  const first = new WalIngest(target, pacer);
  await expect(new WalApplier(target, first, pacer).apply(encoder.bytes)).rejects.toThrow('remote storage is down');
  expect(timeline.lastRecordLsn).toBe(start + before);

  const second = WalIngest.at(target, pacer, first);
  await new WalApplier(target, second, pacer).apply(encoder.bytes.subarray(before));
  expect(timeline.lastRecordLsn).toBe(copied);
  await timeline.flush();
  const copy = timeline.find(ObjectKind.relation, 1663, 16390, 16384, 0);
  expect(timeline.blockCount(copy, copied)).toBe(3);
  expect(timeline.blockCount(copy, (copied - 8) as Lsn)).toBeUndefined();
  for (let block = 0; block < 3; block++) timeline.readPage(copy, block, copied, allocatePage());
  await head.close();
});

it('ends with what it has in hand when it is told to, also while there is no room for more', async () => {
  const head = await Head.create();
  const start = head.timeline.lastRecordLsn;
  const encoder = new WalStreamEncoder(18, start, { systemId: SYSTEM_ID, previousLsn: (start - 8) as Lsn });
  for (let n = 0; n < 100; n++)
    encoder.append({ rmid: RM_DBASE_ID, info: 0x10, mainData: data([4, 16390], [4, 1663]) });
  const stop = new AbortController();
  let isAsked = (): void => undefined;
  const asked = new Promise<void>((resolve) => (isAsked = resolve));
  const pacer = new Pacer(
    () => 0,
    {
      pagesRead: 0,
      backpressure: () => {
        isAsked();
        return new Promise(() => undefined);
      },
    },
    stop.signal,
  );
  const applied = new WalApplier(head.timeline, head.ingest, pacer).apply(encoder.bytes);
  await asked;
  stop.abort();
  await applied;
  expect(head.timeline.lastRecordLsn).toBe(start + encoder.bytes.length);
  await head.close();
});

it.each([
  ['a look at the clock', 7],
  ['none', 1],
])(
  'flushes while the rest of a segment is on its way after a switch record with %s, which counts once it has come',
  async (_, records) => {
    const head = await Head.create();
    const { timeline } = head;
    const start = timeline.lastRecordLsn;
    const encoder = new WalStreamEncoder(18, start, { systemId: SYSTEM_ID, previousLsn: (start - 8) as Lsn });
    let before = start;
    for (let block = 0; block < records; block++) before = encoder.append(heapRecord(block)).endLsn;
    // The first that is heard of this transaction: it asked for its number and then for the switch.
    const after = encoder.append({ rmid: RM_XLOG_ID, info: XLOG_SWITCH, xid: 5000 }).endLsn;
    const last = encoder.append(heapRecord(1)).endLsn;
    const { bytes } = encoder;
    const applier = new WalApplier(timeline, head.ingest, hurried());
    const arrived = before - start + 1000;
    await applier.apply(bytes.subarray(0, arrived));
    expect(timeline.lastRecordLsn).toBe(before);
    await timeline.flush();
    expect(timeline.diskConsistentLsn).toBe(before);
    expect(head.counters().nextXid).toBe(1001n);
    await applier.apply(bytes.subarray(arrived, after - start));
    expect(timeline.lastRecordLsn).toBe(after);
    expect(head.counters().nextXid).toBe(5001n);
    expect(head.counters(before).nextXid).toBe(1001n);
    await applier.apply(bytes.subarray(after - start));
    expect(timeline.lastRecordLsn).toBe(last);
    await timeline.flush();
    expect(head.counters(after).nextXid).toBe(5001n);
    await head.close();
  },
);

it('a record that cannot be understood leaves what is before it whole and flushed, and nothing of itself', async () => {
  const head = await Head.create();
  const { timeline } = head;
  const start = timeline.lastRecordLsn;
  const encoder = new WalStreamEncoder(18, start, { systemId: SYSTEM_ID, previousLsn: (start - 8) as Lsn });
  let good = start;
  let previousLsn = start;
  for (let block = 0; block < 3; block++) ({ endLsn: good, lsn: previousLsn } = encoder.append(heapRecord(block)));
  // Its first relation has grown before the second proves impossible.
  const blocks = [referenceTo(16384, 5), { ...referenceTo(16385, 0x7000_0000), id: 1 }];
  encoder.append({ ...heapRecord(0), xid: 7000, blocks });
  const applied = new WalApplier(timeline, head.ingest, unhurried()).apply(encoder.bytes);
  await expect(applied).rejects.toThrow(CorruptionError);
  expect(timeline.lastRecordLsn).toBe(good);
  await timeline.flush();
  expect(timeline.diskConsistentLsn).toBe(good);
  expect([head.size(16384), head.size(16385), head.counters().nextXid]).toEqual([3, undefined, 1001n]);

  // Where the bad record was, others can be put.
  const other = new WalStreamEncoder(18, good, { systemId: SYSTEM_ID, previousLsn });
  other.append(heapRecord(4));
  await new WalApplier(timeline, WalIngest.at(timeline, unhurried(), head.ingest), unhurried()).apply(other.bytes);
  await timeline.flush();
  expect(timeline.diskConsistentLsn).toBe(other.endLsn);
  expect([head.size(16384), head.size(16385), head.counters().nextXid]).toEqual([5, undefined, 1001n]);
  expect(head.blockHistory(16384, 3)).toEqual([]);
  expect(head.blockHistory(16384, 4)).toHaveLength(1);
  await head.close();
});

it('what comes before the copy of a database is flushed while a page of that cannot be fetched', async () => {
  const head = await Head.create();
  const { timeline } = head;
  const start = timeline.lastRecordLsn;
  const encoder = new WalStreamEncoder(18, start, { systemId: SYSTEM_ID, previousLsn: (start - 8) as Lsn });
  let before = start;
  for (let block = 0; block < 3; block++) before = encoder.append(heapRecord(block)).endLsn;
  encoder.append({ rmid: RM_DBASE_ID, info: 0, mainData: data([4, 16390], [4, 1663], [4, 5], [4, 1663]) });
  const target = withUnreadablePages(timeline, (block) => block === 1);
  const applied = new WalApplier(target, new WalIngest(target, unhurried()), unhurried()).apply(encoder.bytes);
  await expect(applied).rejects.toThrow('remote storage is down');
  await timeline.flush();
  expect(timeline.diskConsistentLsn).toBe(before);
  expect(timeline.blockCount(timeline.find(ObjectKind.relation, 1663, 16390, 16384, 0), before)).toBeUndefined();
  await head.close();
});

function withUnreadablePages(timeline: IngestTarget, isUnreadable: (block: number) => boolean): IngestTarget {
  const readPage: IngestTarget['readPage'] = (object, block, lsn, page) => {
    if (isUnreadable(block)) throw new Error('remote storage is down');
    timeline.readPage(object, block, lsn, page);
  };
  return new Proxy(timeline, {
    get(of, name) {
      if (name === 'readPage') return readPage;
      const value: unknown = Reflect.get(of, name, of);
      return typeof value === 'function' ? (value.bind(of) as unknown) : value;
    },
  });
}

function unhurried(): Pacer {
  return new Pacer(() => 0, NO_LOAD);
}

/** Each look at the clock finds that a slice is over. */
function hurried(): Pacer {
  let ms = 0;
  return new Pacer(() => ms++, NO_LOAD);
}
