// How long redo takes for one record of the frequent kinds, against floors of the same run: a copy of an 8 KiB page, which is what a
// full-page image would cost, and a copy of the record's own bytes.
//   npx tsx --conditions=source packages/redo/bench/redo.ts
import { INVALID_LSN, lsn } from '@zenith/base';
import {
  BLCKSZ,
  RM_BTREE_ID,
  RM_HEAP_ID,
  WalRecord,
  allocatePage,
  decodeRecord,
  encodeRecord,
  type RecordSpec,
} from '@zenith/pg-format';
import { redoBlock } from '../src/index.ts';
import { block, pack, u16, u32, u8 } from '../src/record-builder.test-support.ts';

const MIN_MS = 400;

function decoded(spec: RecordSpec): WalRecord {
  const bytes = encodeRecord(spec, lsn(0x1000));
  const record = new WalRecord();
  decodeRecord(18, bytes, new DataView(bytes.buffer), 0, INVALID_LSN, lsn(0x5000), record);
  return record;
}

function heapInsert(offsetNumber: number, length: number): RecordSpec {
  const init = offsetNumber === 1;
  const data = pack(u16(4), u16(0x0902), u8(24), new Uint8Array(length).fill(offsetNumber));
  return {
    rmid: RM_HEAP_ID,
    info: init ? 0x80 : 0,
    xid: 800,
    mainData: pack(u16(offsetNumber), u8(0)),
    blocks: [block(0, 7, { willInit: init, data })],
  };
}

function hotUpdate(oldOffset: number, newOffset: number): RecordSpec {
  const data = pack(u16(30), u16(40), u16(4), u16(0x2902), u8(24), u8(0), new Uint8Array(8).fill(5));
  return {
    rmid: RM_HEAP_ID,
    info: 0x40,
    xid: 801,
    mainData: pack(u32(801), u16(oldOffset), u8(0), u8(0x60), u32(0), u16(newOffset)),
    blocks: [block(0, 7, { data })],
  };
}

function leafInsert(offsetNumber: number, key: number): RecordSpec {
  return {
    rmid: RM_BTREE_ID,
    info: 0,
    mainData: pack(u16(offsetNumber)),
    blocks: [block(0, 3, { data: pack(u16(0), u16(key), u16(1), u16(16), u32(key), u32(0)) })],
  };
}

const newLeafRoot: RecordSpec = {
  rmid: RM_BTREE_ID,
  info: 0xa0,
  mainData: pack(u32(3), u32(0)),
  blocks: [
    block(0, 3, { willInit: true }),
    block(2, 0, {
      willInit: true,
      data: pack(u32(4), u32(3), u32(0), u32(3), u32(0), u32(0), u8(1), new Uint8Array(3)),
    }),
  ],
};

const image = allocatePage();
image.bytes.fill(3);

/** Records that are applied one after the other to one page, over and over: the first one makes the page anew. */
const cases: readonly (readonly [name: string, specs: readonly RecordSpec[]])[] = [
  ['heap insert, 60-byte rows', Array.from({ length: 85 }, (_, i) => heapInsert(i + 1, 37))],
  ['heap insert, 150-byte rows', Array.from({ length: 45 }, (_, i) => heapInsert(i + 1, 127))],
  [
    'HOT update, 100-byte rows',
    [
      ...Array.from({ length: 5 }, (_, i) => heapInsert(i + 1, 77)),
      ...Array.from({ length: 55 }, (_, i) => hotUpdate(i + 1, i + 6)),
    ],
  ],
  ['btree leaf insert, ascending', [newLeafRoot, ...Array.from({ length: 300 }, (_, i) => leafInsert(i + 1, i))]],
  ['btree leaf insert, descending', [newLeafRoot, ...Array.from({ length: 300 }, (_, i) => leafInsert(1, 300 - i))]],
  [
    'full-page image',
    [
      {
        rmid: 0,
        info: 0xb0,
        blocks: [block(0, 3, { image: { bytes: image.bytes, apply: true, holeOffset: 0, holeLength: 0 } })],
      },
    ],
  ],
];

/** Nanoseconds for one call of `action`, which stands for `count` things. */
function time(count: number, action: () => void): number {
  for (let i = 0; i < 200; i++) action();
  let rounds = 0;
  const start = performance.now();
  while (performance.now() - start < MIN_MS) {
    for (let i = 0; i < 20; i++) action();
    rounds += 20;
  }
  return ((performance.now() - start) * 1e6) / (rounds * count);
}

const page = allocatePage();
const copied = allocatePage();
const pageCopy = time(1, () => copied.bytes.set(page.bytes));
console.log(`floor: copy of a page ${pageCopy.toFixed(0)} ns`);
for (const [name, specs] of cases) {
  const records = specs.map(decoded);
  const heapBefore = process.memoryUsage().heapUsed;
  const redo = time(records.length, () => {
    for (const record of records) redoBlock(18, record, 0, page);
  });
  const allocated = process.memoryUsage().heapUsed - heapBefore;
  const target = new Uint8Array(BLCKSZ);
  const copy = time(records.length, () => {
    for (const record of records) target.set(record.bytes.subarray(0, Math.min(record.bytes.length, BLCKSZ)), 0);
  });
  console.log(
    `${name.padEnd(32)} ${redo.toFixed(0).padStart(6)} ns a record, ${(redo / pageCopy).toFixed(2)}× a page copy, ${(redo / copy).toFixed(1)}× a copy of the record; heap ${(allocated / 1024).toFixed(0)} KiB`,
  );
}
