import { closeSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { CorruptionError, crc32c, type Lsn } from '@zenith/base';
import { initialHistory, type TermHistory, type TimelineIdentity } from '@zenith/consensus';
import { RM_LOGICALMSG_ID, RM_XLOG_ID, WalStreamEncoder, XLOG_SWITCH, type EncodedRecord } from '@zenith/pg-format';
import { checksumFile } from '@zenith/remote-storage';
import type { Counter } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { WalSource } from '../testing/test-proposer.test-support.ts';
import { testIdentity, TestWal } from '../testing/test-wal.test-support.ts';
import { segmentPrefix } from '../wal-storage/segment-prefix.ts';
import { ArchiverLab, TURN_MS, type Member } from './archiver-lab.test-support.ts';
import { recordBefore, verifySegment } from './verify-segment.ts';

// Segments that are damaged on a safekeeper's disk after they were written and before they are archived.

const PAGE = 8192;
const identity = testIdentity();
const { segmentSize, timelineStartLsn } = identity;
const first = Math.floor(timelineStartLsn / segmentSize);
const wal = new TestWal(identity).grow(3 * segmentSize);
const completeLsn = (wal.endLsn - (wal.endLsn % segmentSize)) as Lsn;

let lab: ArchiverLab;

beforeEach(async () => {
  lab = await ArchiverLab.open();
});
afterEach(() => lab.close());

/** Changes the byte of a member's WAL at `lsn`. */
function damage({ timeline }: Member, lsn: number, mask = 0x40): void {
  const file = openSync(timeline.segments.path(Math.floor(lsn / segmentSize)), 'r+');
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, lsn % segmentSize);
  byte[0] = (byte[0] ?? 0) ^ mask;
  writeSync(file, byte, 0, 1, lsn % segmentSize);
  closeSync(file);
}

const backupLsn = ({ timeline }: Member): Lsn => timeline.state.control.backupLsn;

async function valueOf(counter: Counter): Promise<number> {
  return (await counter.get()).values[0]?.value ?? 0;
}

/** The archive's segment, which has to be `of`'s WAL, byte for byte, from the timeline's beginning on. */
async function expectArchived(number: number, of: WalSource = wal): Promise<void> {
  const bytes = await lab.archive.read(identity, number);
  const from = Math.max(number * segmentSize, timelineStartLsn) as Lsn;
  const expected = of.bytes(from, ((number + 1) * segmentSize) as Lsn);
  expect(Buffer.compare((bytes as Uint8Array).subarray(from % segmentSize), expected)).toBe(0);
}

/** The records of the second segment that the cases below need. */
const secondStart = (first + 1) * segmentSize;
const secondEnd = secondStart + segmentSize;
const within = wal.records.filter(({ lsn, endLsn }) => lsn > secondStart && endLsn < secondEnd);
const into = wal.records.find(({ lsn, endLsn }) => lsn < secondStart && endLsn > secondStart) as EncodedRecord;
const outOf = wal.records.find(({ lsn, endLsn }) => lsn < secondEnd && endLsn > secondEnd) as EncodedRecord;
/** A record of 17 bytes of data ends in padding. */
const padded = within.findLast(({ lsn, endLsn }) => endLsn - lsn === 48) as EncodedRecord;
const start = secondStart;

// The second number is how many segments are archived before the one that is refused: a record is verified with the segment in which it begins, too.
test.each<[string, number, number, number?]>([
  ['the first page header', start, 0],
  ['the system identifier in it', start + 24, 0],
  ['what it leaves unused', start + 20, 0],
  ['a bit of its timeline', start + 4, 0, 0x02],
  ['the rest of the record that reaches in', start + 100, 0],
  ['a record', (within[40] as EncodedRecord).lsn + 30, 1],
  ['the length of a record', (within[40] as EncodedRecord).lsn, 1],
  ['the link of a record', (within[40] as EncodedRecord).lsn + 9, 1],
  ['the padding of a record', padded.endLsn - 1, 1],
  ['the header of a page in the middle', start + 64 * PAGE + 8, 1],
  ['the beginning of the record that reaches out', outOf.lsn + 40, 1],
  ['its last byte', secondEnd - 1, 1],
  ['the record that reaches out, beyond the segment', secondEnd + 50, 1],
  ['what lies before the beginning of the timeline', first * segmentSize + 60, 0],
  ['the first record of the timeline', timelineStartLsn + 30, 0],
])(
  'damage of %s: not archived from there, but by another member, and then repaired',
  async (_, lsn, archived, mask) => {
    expect(into.endLsn).toBeGreaterThan(start + 100);
    const damagedMember = await lab.member(1, identity, wal);
    const other = await lab.member(2, identity, wal);
    damage(damagedMember, lsn, mask);
    const refused = first + archived;
    await damagedMember.archiver.look();
    await damagedMember.archiver.look();
    expect(backupLsn(damagedMember)).toBe(archived === 0 ? timelineStartLsn : refused * segmentSize);
    expect(await lab.archive.list(identity)).toEqual(Array.from({ length: archived }, (_unused, i) => first + i));
    expect(await valueOf(damagedMember.metrics.damagedSegments)).toBe(1);
    // It is kept, whatever a pageserver has.
    damagedMember.timeline.progress({ remoteConsistentLsn: wal.endLsn });
    expect(await damagedMember.timeline.trim()).toBe(0);

    await other.archiver.look();
    lab.nowMs += TURN_MS;
    await other.archiver.look();
    expect(backupLsn(other)).toBe(completeLsn);
    for (let number = first; number * segmentSize < completeLsn; number++) await expectArchived(number);
    await damagedMember.archiver.look();
    expect(backupLsn(damagedMember)).toBe(completeLsn);
    expect(await valueOf(damagedMember.metrics.repairedSegments)).toBe(1);
    const [mine, right] = [damagedMember, other].map(({ timeline }) =>
      readFileSync(timeline.segments.path(Math.floor(lsn / segmentSize))),
    );
    expect(Buffer.compare(mine as Uint8Array, right as Uint8Array)).toBe(0);
  },
);

test('every changed bit of a segment is noticed, but for the one in page headers that says nothing of the WAL', async () => {
  const { timeline } = await lab.member(1, identity, wal);
  const { control } = timeline.state;
  const bytes = Buffer.from(wal.bytes(timelineStartLsn, wal.endLsn));
  const read = (lsn: Lsn, target: Uint8Array): Promise<void> => {
    target.set(bytes.subarray(lsn - timelineStartLsn, lsn - timelineStartLsn + target.length));
    return Promise.resolve();
  };
  const { signal } = new AbortController();
  const verify = (): Promise<unknown> =>
    recordBefore(control, first + 1, read).then((from) => verifySegment(control, first + 1, from, read, signal));
  await verify();
  let state = 1;
  const unnoticed: number[] = [];
  for (let i = 0; i < 400; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    // Half of them in headers of pages and the bytes around.
    const at =
      i % 2 === 0 ? (state >>> 3) % segmentSize : ((state >>> 3) % (segmentSize / PAGE)) * PAGE + ((state >>> 20) % 48);
    const index = start - timelineStartLsn + at;
    const mask = 1 << (state & 7);
    bytes[index] = (bytes[index] as number) ^ mask;
    if (
      await verify().then(
        () => true,
        (error: unknown) => !(error instanceof CorruptionError),
      )
    )
      unnoticed.push(at);
    bytes[index] = bytes[index] ^ mask;
  }
  // XLP_BKP_REMOVABLE, 0x0004 of xlp_info.
  expect(unnoticed.filter((at) => at % PAGE !== 2)).toEqual([]);
  expect(unnoticed.length).toBeLessThan(10);
});

test('a file that changes after it was verified is refused by what puts it, and known as damaged then', async () => {
  const member = await lab.member(1, identity, wal);
  let changed = false;
  lab.storage.fault = ({ kind, key }) => {
    if (kind === 'put' && !changed && !key.endsWith('.json')) {
      changed = true;
      damage(member, timelineStartLsn + 5_000);
    }
    return undefined;
  };
  await member.archiver.look();
  expect(changed).toBe(true);
  expect(await lab.archive.list(identity)).toEqual([]);
  expect(await valueOf(member.metrics.failures)).toBe(1);
  // Also when it had changed before it is put: what was verified counts, not what the file has.
  const bytes = new Uint8Array(segmentSize);
  bytes.set(segmentPrefix(identity));
  bytes.set(wal.bytes(timelineStartLsn, secondStart as Lsn), timelineStartLsn % segmentSize);
  const described = { ...member.timeline.state.control, commitLsn: secondStart as Lsn };
  const path = member.timeline.segments.path(first);
  const known = { length: segmentSize, crc32c: crc32c(bytes) };
  const { signal } = new AbortController();
  await expect(lab.archive.put(first, path, known, described, { replace: false, signal })).rejects.toThrow(
    CorruptionError,
  );
  await member.archiver.look();
  expect(await lab.archive.list(identity)).toEqual([]);
  expect(await valueOf(member.metrics.damagedSegments)).toBe(1);
});

test('damage that is in the archive from before is replaced by a sound segment', async () => {
  const [one, two] = [await lab.member(1, identity, wal), await lab.member(2, identity, wal)];
  damage(one, timelineStartLsn + 5_000);
  const path = one.timeline.segments.path(first);
  const { control } = one.timeline.state;
  const described = { ...control, commitLsn: ((first + 1) * segmentSize) as Lsn };
  const { signal } = new AbortController();
  await lab.archive.put(first, path, await checksumFile(path), described, { replace: false, signal });
  // Whose bytes are the same believes them, and that is all that can be done there.
  await two.archiver.look();
  await expectArchived(first);
  expect(backupLsn(two)).toBeGreaterThan(timelineStartLsn);
});

test('archive and disk that differ and are both damaged are left as they are', async () => {
  const [one, two] = [await lab.member(1, identity, wal), await lab.member(2, identity, wal)];
  damage(one, timelineStartLsn + 5_000);
  const path = one.timeline.segments.path(first);
  const described = { ...one.timeline.state.control, commitLsn: ((first + 1) * segmentSize) as Lsn };
  const { signal } = new AbortController();
  const known = await checksumFile(path);
  await lab.archive.put(first, path, known, described, { replace: false, signal });
  damage(two, timelineStartLsn + 6_000);
  await two.archiver.look();
  await two.archiver.look();
  expect(await valueOf(two.metrics.failures)).toBe(1);
  expect(backupLsn(two)).toBe(timelineStartLsn);
  expect(await lab.archive.find(identity, first)).toMatchObject({ crc32c: known.crc32c });
});

test('damage in two segments in a row is repaired, the record that goes over their boundary, too', async () => {
  const [one, two] = [await lab.member(1, identity, wal), await lab.member(2, identity, wal)];
  damage(one, secondEnd - 20);
  damage(one, secondEnd + 60);
  lab.nowMs += TURN_MS;
  await two.archiver.look();
  lab.nowMs += TURN_MS;
  await two.archiver.look();
  expect(backupLsn(two)).toBe(completeLsn);
  await one.archiver.look();
  expect(backupLsn(one)).toBe(completeLsn);
  expect(await valueOf(one.metrics.repairedSegments)).toBe(2);
});

function encode(of: TimelineIdentity, make: (encoder: WalStreamEncoder) => void): WalSource {
  const from = of.timelineStartLsn;
  const options = { systemId: of.systemId, segmentSize, previousLsn: (from - 8) as Lsn };
  const encoder = new WalStreamEncoder(18, from, options);
  make(encoder);
  return { endLsn: encoder.endLsn, bytes: (begin, end) => encoder.bytes.slice(begin - from, end - from) };
}

const message = (length: number): Parameters<WalStreamEncoder['append']>[0] => ({
  rmid: RM_LOGICALMSG_ID,
  info: 0,
  xid: 7,
  mainData: new Uint8Array(length).fill(3),
});

test('segments that end in a switch, and those that lie in one record, are archived; a byte in what a switch leaves is damage', async () => {
  let switchedLsn = 0;
  const made = encode(identity, (encoder) => {
    encoder.append(message(1_000));
    switchedLsn = encoder.append({ rmid: RM_XLOG_ID, info: XLOG_SWITCH }).lsn;
    encoder.append(message(100));
    encoder.append(message(3 * segmentSize)); // two segments have nothing of another record
    while (encoder.endLsn < (first + 6) * segmentSize) encoder.append(message(20_000));
  });
  const [one, two] = [await lab.member(1, identity, made), await lab.member(2, identity, made)];
  damage(one, switchedLsn + 10 * PAGE + 100);
  await one.archiver.look();
  expect(backupLsn(one)).toBe(timelineStartLsn);
  await two.archiver.look();
  lab.nowMs += TURN_MS;
  // One segment at a time, each time by an archiver that remembers nothing.
  for (let number = first; number < first + 6; number++) {
    lab.storage.fault = ({ kind, key }) => (kind === 'put' && !key.includes(hex(number)) ? 'fail' : undefined);
    await two.archiver.look();
    expect(backupLsn(two)).toBe((number + 1) * segmentSize);
    await expectArchived(number, made);
    await two.archiver.stop();
    two.archiver = lab.newArchiver(2, two.registry, two.metrics);
    await two.archiver.look(); // begins to wait for its turn
    lab.nowMs += TURN_MS;
  }
  expect(await valueOf(two.metrics.damagedSegments)).toBe(0);
});

const hex = (number: number): string => number.toString(16).toUpperCase().padStart(8, '0');

test('the first record of a term may have any link: nothing is taken for damage, in the middle of a segment and at its beginning', async () => {
  const older = new TestWal(identity).grow(segmentSize + 5_000);
  const switchLsn = older.recordEndBefore((secondStart + 4_000) as Lsn);
  const newer = new TestWal(identity, switchLsn, 9, older, (switchLsn - 16) as Lsn).grow(2 * segmentSize);
  const history: TermHistory = [
    ...initialHistory(timelineStartLsn),
    { term: 3, startLsn: timelineStartLsn },
    { term: 4, startLsn: switchLsn },
    { term: 6, startLsn: switchLsn },
  ];
  const member = await lab.member(1, identity, newer, history);
  await member.archiver.look();
  expect(backupLsn(member)).toBe(newer.endLsn - (newer.endLsn % segmentSize));
  expect(await valueOf(member.metrics.damagedSegments)).toBe(0);
});
