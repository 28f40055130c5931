import { basename } from 'node:path';
import { PG_TIMELINE, type Lsn } from '@zenith/base';
import { walSegmentFileName } from '@zenith/pg-format';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { testIdentity, TestWal } from '../testing/test-wal.test-support.ts';
import { ArchiverLab, TURN_MS, type Member } from './archiver-lab.test-support.ts';

// The archivers of three safekeepers with the same committed WAL: whoever tests says who looks and what time it is. The archive counts what is put.

const identity = testIdentity();
const { segmentSize, timelineStartLsn } = identity;
const wal = new TestWal(identity).grow(3 * segmentSize);
const completeLsn = (wal.endLsn - (wal.endLsn % segmentSize)) as Lsn;

let lab: ArchiverLab;
/** Safekeepers 1, 2 and 3, in the order in which their turn comes. */
let members: readonly [Member, Member, Member];

beforeEach(async () => {
  lab = await ArchiverLab.open();
  const member = (id: number): Promise<Member> => lab.member(id, identity, wal);
  members = [await member(1), await member(2), await member(3)];
});
afterEach(() => lab.close());

/** The segments of all objects that were put, in order. */
function putSegments(): string[] {
  return lab.storage.operations.filter(({ kind }) => kind === 'put').map(({ key }) => basename(key).slice(0, 24));
}

/** Every whole segment twice: its bytes and its description. */
function eachOnce(): string[] {
  const first = Math.floor(timelineStartLsn / segmentSize);
  return Array.from({ length: completeLsn / segmentSize - first }, (_, i) =>
    walSegmentFileName(PG_TIMELINE, first + i, segmentSize),
  ).flatMap((name) => [name, name]);
}

function expectAllKnowIt(): void {
  expect(members.map(({ timeline }) => timeline.state.control.backupLsn)).toEqual(members.map(() => completeLsn));
}

test('each segment is put once, by the member whose turn it is, whoever looks before it and with it', async () => {
  const [first, second, third] = members;
  await third.archiver.look();
  await second.archiver.look();
  expect(putSegments()).toEqual([]);
  await Promise.all([third, second, first].map(({ archiver }) => archiver.look()));
  expect(putSegments()).toEqual(eachOnce());
  await Promise.all([second, third].map(({ archiver }) => archiver.look()));
  expect(putSegments()).toEqual(eachOnce());
  expectAllKnowIt();
});

test('the next member takes over when its time has come, with all that follows, and each segment is put once', async () => {
  const [first, second, third] = members;
  const look = async (): Promise<void> => {
    for (const { archiver } of [third, second]) await archiver.look();
  };
  await look();
  lab.nowMs += TURN_MS - 1;
  await look();
  expect(putSegments()).toEqual([]);
  lab.nowMs += 1;
  await look();
  expect(putSegments()).toEqual(eachOnce());
  for (const { archiver } of [first, third]) await archiver.look();
  expect(putSegments()).toEqual(eachOnce());
  expectAllKnowIt();
});
