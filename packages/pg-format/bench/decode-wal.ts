// How fast WAL is decoded, against floors of the same run: the CRC of the same records and a copy of the same bytes.
//   npx tsx --conditions=source packages/pg-format/bench/decode-wal.ts [file]
// Without a file (WAL of PostgreSQL 18 from a segment start on) it makes a mix as OLTP writes it: heap and btree changes, commits, a few images.
import { readFileSync } from 'node:fs';
import { crc32c, type Lsn, type SystemId } from '@zenith/base';
import {
  WalRecord,
  WalStreamDecoder,
  WalStreamEncoder,
  readWalPageAddress,
  readWalSystemId,
  type BlockSpec,
} from '../src/index.ts';

const CHUNK = 128 * 1024;
const ROUNDS = 12;
const RECORDS = 200_000;

interface Input {
  readonly bytes: Uint8Array;
  readonly start: Lsn;
  readonly systemId: SystemId;
}

function make(): Input {
  const systemId = '7412345678901234567' as SystemId;
  const start = 0x12_0000_0000 as Lsn; // beyond 32 bits, as in a server of some age
  const encoder = new WalStreamEncoder(18, start, { systemId });
  const block = (rel: number, number: number, length: number): readonly BlockSpec[] => [
    { id: 0, spc: 1663, db: 5, rel, fork: 0, block: number, data: new Uint8Array(length).fill(number) },
  ];
  for (let i = 0; i < RECORDS; i++) {
    const kind = i % 8;
    if (i % 400 === 0)
      encoder.append({
        rmid: 0,
        info: 0xb0,
        blocks: [
          {
            id: 0,
            spc: 1663,
            db: 5,
            rel: 9,
            fork: 0,
            block: i,
            image: { bytes: new Uint8Array(5000).fill(i), apply: true, holeOffset: 600, holeLength: 3192 },
          },
        ],
      });
    else if (kind < 3)
      encoder.append({
        rmid: 10,
        info: 0x40,
        xid: i,
        blocks: block(1, i, 70 + (i % 60)),
        mainData: new Uint8Array(14),
      });
    else if (kind < 4)
      encoder.append({ rmid: 10, info: 0, xid: i, blocks: block(2, i, 40), mainData: new Uint8Array(3) });
    else if (kind < 7)
      encoder.append({ rmid: 11, info: 0, xid: i, blocks: block(3, i, 24), mainData: new Uint8Array(2) });
    else encoder.append({ rmid: 1, info: 0, xid: i, mainData: new Uint8Array(8) });
  }
  return { bytes: encoder.bytes, start, systemId };
}

function load(file: string): Input {
  const bytes = readFileSync(file);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = readWalPageAddress(view, 0);
  return { bytes, start: header, systemId: readWalSystemId(view, 0) };
}

const input = process.argv[2] === undefined ? make() : load(process.argv[2]);
const record = new WalRecord();

function decode(): number {
  const decoder = new WalStreamDecoder(18, input.start, { systemId: input.systemId });
  for (let at = 0; at < input.bytes.length && decoder.end === undefined; at += CHUNK) {
    decoder.push(input.bytes.subarray(at, Math.min(at + CHUNK, input.bytes.length)));
    while (decoder.next(record)) continue;
  }
  return decoder.statistics.recordCount;
}

const places: number[] = [];
{
  const decoder = new WalStreamDecoder(18, input.start, { systemId: input.systemId });
  decoder.push(input.bytes);
  while (decoder.next(record))
    if (record.bytes.length === input.bytes.length) places.push(record.offset, record.totalLength);
}

function checksums(): number {
  let sum = 0;
  for (let i = 0; i < places.length; i += 2) {
    const offset = places[i] as number;
    sum ^= crc32c(
      input.bytes,
      offset,
      offset + 20,
      crc32c(input.bytes, offset + 24, offset + (places[i + 1] as number)),
    );
  }
  return sum;
}

const target = new Uint8Array(input.bytes.length);

function best(work: () => unknown): number {
  let least = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const from = performance.now();
    work();
    least = Math.min(least, performance.now() - from);
  }
  return least;
}

const count = decode();
const decodeMs = best(decode);
const checksumMs = best(checksums);
const copyMs = best(() => target.set(input.bytes));
const megabytes = input.bytes.length / 1e6;
console.log(`${count} records, ${megabytes.toFixed(1)} MB, ${(input.bytes.length / count).toFixed(0)} bytes each`);
console.log(
  `decode    ${((decodeMs * 1e6) / count).toFixed(0)} ns/record  ${(count / decodeMs / 1e3).toFixed(2)} M records/s  ${((megabytes / decodeMs) * 1e3).toFixed(0)} MB/s`,
);
console.log(
  `checksums ${((checksumMs * 1e6) / count).toFixed(0)} ns/record  (${(decodeMs / checksumMs).toFixed(2)}× of this is decode)`,
);
console.log(
  `copy      ${((copyMs * 1e6) / count).toFixed(0)} ns/record  (${(decodeMs / copyMs).toFixed(1)}× of this is decode)`,
);
