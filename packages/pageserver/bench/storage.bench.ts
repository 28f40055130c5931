/**
 * The storage engine against floors of the same run: a copy of 8 KiB, a cached pread. Prints ns per operation and the ratio to the floor; only the ratios travel between machines.
 * Run: npx tsx --conditions=source packages/pageserver/bench/storage.bench.ts
 */
import { mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lsn as asLsn, type TenantId, type TimelineId } from '@zenith/base';
import { allocatePage, BLCKSZ } from '@zenith/pg-format';
import { ObjectKind } from '../src/key-space/object.ts';
import { ValueKind } from '../src/key-space/value.ts';
import type { PageRedo } from '../src/timeline/redo.ts';
import { TimelineStore } from '../src/timeline/timeline-store.ts';

const BLOCKS = 16_384;
const RECORDS = 1_000_000;
const READS = 100_000;
const TENANT = 'b'.repeat(32) as TenantId;
const TIMELINE = 'c'.repeat(32) as TimelineId;
const START = 0x100_0000;

/** As cheap as redo can be: what is measured is the storage engine. */
const redo: PageRedo = {
  applyRecord: (_major, bytes, _view, offset, _length, _lsn, page) => {
    page.bytes[100] = bytes[offset] as number;
  },
  applyOperation: () => undefined,
};

function report(name: string, count: number, milliseconds: number, floorNs?: number): number {
  const ns = (milliseconds * 1e6) / count;
  console.log(
    `${name.padEnd(64)} ${ns.toFixed(0).padStart(9)} ns ${(1e9 / ns).toFixed(0).padStart(10)}/s${floorNs === undefined ? '' : `  ${(ns / floorNs).toFixed(2)}× floor`}`,
  );
  return ns;
}

function timed(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

let seed = 42;
function random(below: number): number {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return Math.floor((seed / 0x1_0000_0000) * below);
}

const directory = mkdtempSync(join(tmpdir(), 'zenith-bench-'));
try {
  const store = TimelineStore.open(directory, { redo, options: { compactInBackground: false } });
  const load = store.importTimeline({ tenant: TENANT, timeline: TIMELINE, pgMajor: 18, initialLsn: asLsn(START) });
  const image = new Uint8Array(BLCKSZ).fill(7);
  let started = performance.now();
  for (let block = 0; block < BLOCKS; block++) {
    load.writer.put(ObjectKind.relation, 1663, 5, 16384, 0, block, image, 0, BLCKSZ);
    const pause = load.writer.backpressure();
    if (pause !== undefined) await pause;
  }
  const size = new Uint8Array(4);
  new DataView(size.buffer).setUint32(0, BLOCKS, true);
  load.writer.put(ObjectKind.relationSize, 1663, 5, 16384, 0, 0, size, 0, 4);
  const timeline = await load.finish();
  const importMs = performance.now() - started;
  console.log(
    `import of ${(BLOCKS * BLCKSZ) / 1e6} MB with fsync: ${((BLOCKS * BLCKSZ) / 1e3 / importMs).toFixed(0)} MB/s`,
  );

  // Floors: a copy of a page, a cached pread of a page.
  const from = new Uint8Array(64 * BLCKSZ);
  const page = allocatePage();
  const copyNs = report(
    'floor: copy of 8 KiB',
    1_000_000,
    timed(() => {
      for (let i = 0; i < 1_000_000; i++) page.bytes.set(from.subarray((i & 63) * BLCKSZ, ((i & 63) + 1) * BLCKSZ));
    }),
  );
  const plain = openSync(join(directory, 'plain'), 'w+');
  for (let block = 0; block < BLOCKS; block++) writeSync(plain, image);
  const preadNs = report(
    'floor: cached pread of 8 KiB',
    READS,
    timed(() => {
      for (let i = 0; i < READS; i++) readSync(plain, page.bytes, 0, BLCKSZ, random(BLOCKS) * BLCKSZ);
    }),
  );
  const out = new Uint8Array(16 * BLCKSZ);
  const pread16Ns = report(
    'floor: cached pread of 16 × 8 KiB, a page',
    READS,
    timed(() => {
      for (let i = 0; i < READS / 16; i++) readSync(plain, out, 0, out.length, random(BLOCKS - 16) * BLCKSZ);
    }),
  );

  const relation = timeline.find(ObjectKind.relation, 1663, 5, 16384, 0);
  const at0 = asLsn(START);
  report(
    'readPage, image layer, random',
    READS,
    timed(() => {
      for (let i = 0; i < READS; i++) timeline.readPage(relation, random(BLOCKS), at0, page);
    }),
    preadNs,
  );
  report(
    'readPages of 16, image layer, a page',
    READS,
    timed(() => {
      for (let i = 0; i < READS / 16; i++) timeline.readPages(relation, random(BLOCKS - 16), 16, at0, out, 0);
    }),
    pread16Ns,
  );

  // Ingest: records of 80 bytes on random blocks.
  const record = new Uint8Array(80).fill(9);
  const target = new Uint8Array(80);
  const putFloor = report(
    'floor: copy of 80 bytes',
    RECORDS,
    timed(() => {
      for (let i = 0; i < RECORDS; i++) for (let n = 0; n < 80; n++) target[n] = record[n] as number;
    }),
  );
  let n = 1;
  let stalled = 0;
  started = performance.now();
  for (let i = 0; i < RECORDS; i++, n++) {
    const lsn = asLsn(START + n * 8);
    timeline.put(relation, random(BLOCKS), lsn, ValueKind.record, record, 0, record.length);
    timeline.advance(lsn);
    const pause = timeline.backpressure();
    if (pause !== undefined) {
      const paused = performance.now();
      await pause;
      stalled += performance.now() - paused;
    }
  }
  report('put + advance + backpressure, 80 bytes', RECORDS, performance.now() - started - stalled, putFloor);
  const head = timeline.lastRecordLsn;
  report(
    'readPage at the head, in-memory layer over image, random',
    READS / 10,
    timed(() => {
      for (let i = 0; i < READS / 10; i++) timeline.readPage(relation, random(BLOCKS), head, page);
    }),
    preadNs,
  );
  report(
    'readPage of one hot page at the head',
    READS,
    timed(() => {
      for (let i = 0; i < READS; i++) timeline.readPage(relation, 7, head, page);
    }),
    copyNs,
  );
  started = performance.now();
  await timeline.flush();
  const flushMs = performance.now() - started;
  console.log(
    `flush of ${RECORDS} values: ${flushMs.toFixed(0)} ms, ${(RECORDS / flushMs / 1000).toFixed(2)} M values/s`,
  );
  report(
    'readPage at the head, L0 layer (61 records) over image, random',
    READS / 10,
    timed(() => {
      for (let i = 0; i < READS / 10; i++) timeline.readPage(relation, random(BLOCKS), head, page);
    }),
    preadNs,
  );
  started = performance.now();
  const compacted = await timeline.compact();
  console.log(`compaction: ${(performance.now() - started).toFixed(0)} ms, ${JSON.stringify(compacted)}`);

  // A chain of ten branches, reading through all of them.
  let branch = timeline;
  started = performance.now();
  for (let i = 0; i < 10; i++)
    branch = await store.createBranch(
      TENANT,
      (i + 1).toString(16).padStart(32, '0') as TimelineId,
      branch.timeline,
      head,
    );
  console.log(`createBranch: ${((performance.now() - started) / 10).toFixed(2)} ms each, with fsync`);
  report(
    'readPages of 16 at the start through ten ancestors, a page',
    READS,
    timed(() => {
      for (let i = 0; i < READS / 16; i++) branch.readPages(relation, random(BLOCKS - 16), 16, at0, out, 0);
    }),
    pread16Ns,
  );

  // A page with a hundred thousand changes.
  for (let i = 0; i < 100_000; i++, n++) {
    const lsn = asLsn(START + n * 8);
    timeline.put(relation, 3, lsn, ValueKind.record, record, 0, record.length);
    timeline.advance(lsn);
  }
  report(
    'first readPage of a page with 100,000 changes in memory',
    1,
    timed(() => timeline.readPage(relation, 3, timeline.lastRecordLsn, page)),
  );
  await timeline.flush();
  report(
    'readPage of it at random LSNs, after the flush',
    10_000,
    timed(() => {
      for (let i = 0; i < 10_000; i++)
        timeline.readPage(relation, 3, asLsn(START + (n - 1 - random(100_000)) * 8), page);
    }),
    preadNs,
  );
  console.log(
    `memory ${(store.memoryBytes / 1e6).toFixed(0)} MB of layers and caches; ${JSON.stringify({ ...timeline.statistics })}`,
  );
  await store.close();
} finally {
  rmSync(directory, { recursive: true });
}
