import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32c, formatLsn, type Lsn } from '@zenith/base';
import { createControl, initialHistory, nodeId, type TermHistory } from '@zenith/consensus';
import { RM_LOGICALMSG_ID, RM_XLOG_ID, walSegmentFileName, WalStreamEncoder, XLOG_SWITCH } from '@zenith/pg-format';
import { openRemoteStorage } from '@zenith/remote-storage';
import { FaultyStorage, temporaryDirectory } from '@zenith/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { WalSource } from '../testing/test-proposer.test-support.ts';
import { testConfiguration, testIdentity, TestWal } from '../testing/test-wal.test-support.ts';
import { segmentPrefix } from '../wal-storage/segment-prefix.ts';
import { firstRecordOf } from './first-record.ts';
import { scrubArchive, type ArchiveReport } from './scrub-archive.ts';
import { segmentKey, WalArchive } from './wal-archive.ts';

// Archives whose checksums and descriptions agree with what is in them, damaged or not: only the WAL itself tells.

const PAGE = 8192;
const identity = testIdentity();
const { segmentSize, timelineStartLsn } = identity;
const first = Math.floor(timelineStartLsn / segmentSize);
const wal = new TestWal(identity).grow(4 * segmentSize);
const signal = new AbortController().signal;

let directory: ReturnType<typeof temporaryDirectory>;
let storage: FaultyStorage;
let archive: WalArchive;

beforeEach(async () => {
  directory = temporaryDirectory();
  storage = new FaultyStorage(await openRemoteStorage(join(directory.path, 'remote')));
  archive = new WalArchive(storage);
});
afterEach(() => {
  archive.close();
  directory.remove();
});

/** What a safekeeper has of a segment. */
function segmentOf(source: WalSource, number: number): Buffer {
  const startLsn = number * segmentSize;
  const from = Math.max(startLsn, timelineStartLsn) as Lsn;
  const bytes = Buffer.alloc(segmentSize);
  if (startLsn < timelineStartLsn) bytes.set(segmentPrefix(identity));
  bytes.set(source.bytes(from, (startLsn + segmentSize) as Lsn), from - startLsn);
  return bytes;
}

async function put(
  number: number,
  bytes: Buffer,
  history: TermHistory = initialHistory(timelineStartLsn),
): Promise<void> {
  // The archive links it: it stays as it is.
  const path = join(directory.path, `segment-${storage.operations.length}`);
  writeFileSync(path, bytes);
  const commitLsn = ((number + 1) * segmentSize) as Lsn;
  const control = { ...createControl(nodeId(1), identity, testConfiguration(3)), history, commitLsn };
  await archive.put(number, path, { length: segmentSize, crc32c: crc32c(bytes) }, control, { replace: true, signal });
}

/** Archives all whole segments, with bits flipped. @returns the keys of the objects, by number of the segment */
async function putAll(
  source: WalSource,
  flips: readonly (readonly [lsn: number, mask?: number])[] = [],
  history?: TermHistory,
): Promise<Map<number, string>> {
  const keys = new Map<number, string>();
  for (let number = first; (number + 1) * segmentSize <= source.endLsn; number++) {
    const bytes = segmentOf(source, number);
    for (const [lsn, mask = 0x40] of flips)
      if (Math.floor(lsn / segmentSize) === number) bytes[lsn % segmentSize] = (bytes[lsn % segmentSize] ?? 0) ^ mask;
    await put(number, bytes, history);
    keys.set(number, segmentKey(identity, number, crc32c(bytes)));
  }
  return keys;
}

const scrub = (readSegments = true): Promise<ArchiveReport> => scrubArchive(storage, { readSegments });

async function expectSound(): Promise<void> {
  expect(await scrub()).toMatchObject({ timelines: 1, missing: [], corrupt: [], orphans: [], foreign: [] });
}

const secondStart = (first + 1) * segmentSize;
const secondEnd = secondStart + segmentSize;
const within = wal.records.filter(({ lsn, endLsn }) => lsn > secondStart && endLsn < secondEnd);
const record = within[40] as (typeof within)[number];
const padded = within.findLast(({ lsn, endLsn }) => endLsn - lsn === 48) as (typeof within)[number];
const into = wal.records.find(
  ({ lsn, endLsn }) => lsn < secondStart && endLsn > secondStart,
) as (typeof within)[number];
const outOf = wal.records.find(({ lsn, endLsn }) => lsn < secondEnd && endLsn > secondEnd) as (typeof within)[number];

test('an archive that begins in the middle of a segment and ends within a record is sound', async () => {
  const keys = await putAll(wal);
  const endLsn = (first + keys.size) * segmentSize;
  expect(timelineStartLsn % segmentSize).toBeGreaterThan(0);
  expect(wal.records.some(({ lsn, endLsn: end }) => lsn < endLsn && end > endLsn)).toBe(true);
  await expectSound();
});

test.each<[string, { flip: number; mask?: number; segment: number; lsn: number; message: string | RegExp }]>([
  ['a record', { flip: record.lsn + 30, segment: first + 1, lsn: record.lsn, message: 'wrong checksum' }],
  ['the link of a record', { flip: record.lsn + 9, segment: first + 1, lsn: record.lsn, message: 'follows' }],
  ['the length of a record', { flip: record.lsn, mask: 0x10, segment: first + 1, lsn: record.lsn, message: /./ }],
  ['the padding of a record', { flip: padded.endLsn - 1, segment: first + 1, lsn: padded.lsn, message: 'zeroes' }],
  [
    'a page header',
    { flip: secondStart + 64 * PAGE + 8, segment: first + 1, lsn: -1, message: 'wrong header: page address' },
  ],
  [
    'the first page header of a segment, in a record that reaches in',
    { flip: secondStart + 24, segment: first, lsn: into.lsn, message: `reaches into ${name(first + 1)}` },
  ],
  [
    'a record over a boundary, behind it',
    { flip: secondEnd + 50, segment: first + 1, lsn: outOf.lsn, message: `reaches into ${name(first + 2)}` },
  ],
  [
    'a record over a boundary, before it',
    { flip: secondEnd - 1, segment: first + 1, lsn: outOf.lsn, message: `reaches into ${name(first + 2)}` },
  ],
  [
    'what lies before the beginning of the timeline',
    { flip: first * segmentSize + 60, segment: first, lsn: first * segmentSize, message: 'before the beginning' },
  ],
  ['the first record', { flip: timelineStartLsn + 30, segment: first, lsn: timelineStartLsn, message: 'checksum' }],
])('damage of %s is found, with segment and LSN, and only there', async (_, { flip, mask, segment, lsn, message }) => {
  const keys = await putAll(wal, [[flip, mask ?? 0x40]]);
  const { corrupt, missing } = await scrub();
  expect(missing).toEqual([]);
  expect(corrupt).toEqual([
    {
      key: keys.get(segment),
      lsn: lsn < 0 ? expect.any(String) : formatLsn(lsn as Lsn),
      message: expect.stringMatching(message),
    },
  ]);
  for (const problem of corrupt) expect(problem.message.startsWith(`${problem.lsn}: `)).toBe(true);
  // Nothing is decoded where lengths are compared.
  expect((await scrub(false)).corrupt).toEqual([]);
});

function name(number: number): string {
  return walSegmentFileName(1, number, segmentSize);
}

test('damage of several segments is found in each of them, also after garbage in place of whole pages', async () => {
  const pages = (from: number, count: number): [number, number][] =>
    Array.from({ length: count * PAGE }, (_, i) => [from + i, 0xff]);
  const keys = await putAll(wal, [
    ...pages(secondStart + 3 * PAGE, 20),
    [secondStart + 2 * segmentSize + 5 * PAGE + 3],
  ]);
  expect((await scrub()).corrupt.map(({ key }) => key)).toEqual([keys.get(first + 1), keys.get(first + 3)]);
});

test('a segment of other WAL, sound in itself, does not go on from the one before', async () => {
  await putAll(wal);
  // Its records are as long, so that only the data and thereby the checksum of the record over the boundary tell.
  const other = new TestWal(identity, timelineStartLsn, 9).grow(4 * segmentSize);
  await put(first + 1, segmentOf(other, first + 1));
  expect((await scrub()).corrupt.map(({ key }) => key.slice(0, -9).split('/').at(-1))).toEqual([
    name(first),
    name(first + 1),
  ]);
});

test('a segment that no record reaches into has to go on from the record before it', async () => {
  const [one, two] = [ending(1_000), ending(2_000)];
  await putAll(one);
  await expectSound();
  await put(first, segmentOf(two, first));
  const { corrupt } = await scrub();
  expect(corrupt).toMatchObject([
    { key: expect.stringContaining(name(first + 1)), message: expect.stringContaining('follows') },
  ]);
});

test('segments that end in a switch, those that lie in one record, and first records of terms with any link are sound', async () => {
  await putAll(
    encode((encoder) => {
      encoder.append({ rmid: RM_XLOG_ID, info: XLOG_SWITCH });
      encoder.append(message(3 * segmentSize));
      while (encoder.endLsn < (first + 6) * segmentSize) encoder.append(message(20_000));
    }),
  );
  await expectSound();

  for (const switchLsn of [within[5]?.endLsn as Lsn, secondStart as Lsn]) {
    // Where the term begins at the segment's start, what was there before ends with a switch.
    const older: WalSource & { readonly last: Lsn } =
      switchLsn === secondStart ? switched() : Object.assign(wal, { last: wal.lastRecordBefore(switchLsn) as Lsn });
    const newer = new WalStreamEncoder(18, switchLsn, {
      systemId: identity.systemId,
      segmentSize,
      previousLsn: (older.last - 8) as Lsn,
    });
    while (newer.endLsn < (first + 4) * segmentSize) newer.append(message(9_000));
    const both: WalSource = {
      endLsn: newer.endLsn,
      bytes: (begin, end) =>
        Buffer.concat([
          begin < switchLsn ? older.bytes(begin, Math.min(end, switchLsn) as Lsn) : new Uint8Array(0),
          end > switchLsn
            ? newer.bytes.subarray(Math.max(begin, switchLsn) - switchLsn, end - switchLsn)
            : new Uint8Array(0),
        ]),
    };
    const history: TermHistory = [
      ...initialHistory(timelineStartLsn),
      { term: 4, startLsn: switchLsn },
      { term: 6, startLsn: switchLsn },
    ];
    await archive.remove(identity, signal);
    await putAll(both, [], history);
    await expectSound();
    // Without the term it is a wrong link.
    await archive.remove(identity, signal);
    await putAll(both);
    expect((await scrub()).corrupt).toMatchObject([
      { lsn: formatLsn(switchLsn === secondStart ? ((switchLsn + 40) as Lsn) : switchLsn) },
    ]);
  }
});

test('what follows a segment that is missing or has a wrong checksum is verified from its first record on', async () => {
  const keys = await putAll(wal, [[secondStart + segmentSize + 5 * PAGE + 200]]);
  await storage.delete([keys.get(first) ?? ''], {});
  const { missing, corrupt } = await scrub();
  expect(missing.map(({ key }) => key)).toEqual([keys.get(first)]);
  expect(corrupt.map(({ key }) => key)).toEqual([keys.get(first + 2)]);
});

test('a segment that is replaced while the archive is looked at is not called corrupt', async () => {
  await putAll(wal, [[record.lsn + 30]]);
  let reads = 0;
  const atRead = (number: number, which: number, change: () => Promise<void>): void => {
    reads = 0;
    storage.fault = ({ kind, key }) =>
      kind === 'get' && key.endsWith(`${name(number)}.json`) && ++reads === which ? change() : undefined;
  };
  // It was found damaged when it is replaced.
  atRead(first + 1, 2, () => put(first + 1, segmentOf(wal, first + 1)));
  expect(await scrub()).toMatchObject({ corrupt: [], missing: [] });
  expect(reads).toBe(2);

  // It was read when it is replaced, and the next one goes on from what took its place.
  const [one, two] = [ending(1_000), ending(2_000)];
  await archive.remove(identity, signal);
  await putAll(two);
  await put(first, segmentOf(one, first));
  expect((await scrub()).corrupt).toHaveLength(1);
  atRead(first + 1, 1, () => put(first, segmentOf(two, first)));
  expect((await scrub()).corrupt).toEqual([]);
  expect(reads).toBe(1);
});

test('a length in a page header that no page can have is passed over, however large it is', async () => {
  const bytes = segmentOf(wal, first + 1);
  bytes.writeUInt32LE(0x8000_0010, 16); // xlp_rem_len
  const lsn = await firstRecordOf(identity, first + 1, (at, target) => {
    target.set(bytes.subarray(at - secondStart, at - secondStart + target.length));
    return Promise.resolve();
  });
  const page = secondStart + PAGE;
  expect(lsn).toBeGreaterThan(page);
  expect(wal.records.some((one) => one.lsn === lsn)).toBe(true);
});

const message = (length: number): Parameters<WalStreamEncoder['append']>[0] => ({
  rmid: RM_LOGICALMSG_ID,
  info: 0,
  xid: 7,
  mainData: new Uint8Array(length).fill(3),
});

function encode(make: (encoder: WalStreamEncoder) => void): WalSource {
  const from = timelineStartLsn;
  const options = { systemId: identity.systemId, segmentSize, previousLsn: (from - 8) as Lsn };
  const encoder = new WalStreamEncoder(18, from, options);
  make(encoder);
  return { endLsn: encoder.endLsn, bytes: (begin, end) => encoder.bytes.slice(begin - from, end - from) };
}

/** WAL whose first segment ends in a switch after a record of so much data, and what follows. */
function ending(length: number): WalSource {
  return encode((encoder) => {
    encoder.append(message(length));
    encoder.append({ rmid: RM_XLOG_ID, info: XLOG_SWITCH });
    encoder.append(message(100));
    while (encoder.endLsn < (first + 3) * segmentSize) encoder.append(message(20_000));
  });
}

/** The same without what follows. */
function switched(): WalSource & { readonly last: Lsn } {
  let last = timelineStartLsn;
  const source = encode((encoder) => {
    encoder.append(message(1_000));
    last = encoder.append({ rmid: RM_XLOG_ID, info: XLOG_SWITCH }).lsn;
  });
  return Object.assign(source, { last });
}
