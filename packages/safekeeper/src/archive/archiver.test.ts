import { basename, join } from 'node:path';
import { PG_TIMELINE, type Lsn } from '@zenith/base';
import { createControl, nodeId } from '@zenith/consensus';
import { walSegmentFileName } from '@zenith/pg-format';
import { openRemoteStorage } from '@zenith/remote-storage';
import { FaultyStorage, temporaryDirectory } from '@zenith/testing';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from '../clock/clock.ts';
import { localDisk } from '../disk/local-disk.ts';
import { testConfiguration, testIdentity, TestWal } from '../testing/test-wal.test-support.ts';
import { timelineMetrics } from '../timeline/metrics.ts';
import { TimelineRegistry } from '../timeline/registry.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { Archiver } from './archiver.ts';
import { archiveMetrics } from './metrics.ts';
import { WalArchive } from './wal-archive.ts';

// The archivers of three safekeepers with the same committed WAL: whoever tests says who looks and what time it is. The archive counts what is put.

/** So long a segment is left to the member whose turn is before. Unit: milliseconds. */
const TURN_MS = 15_000;

const identity = testIdentity();
const { segmentSize, timelineStartLsn } = identity;
const wal = new TestWal(identity).grow(3 * segmentSize);
const completeLsn = (wal.endLsn - (wal.endLsn % segmentSize)) as Lsn;
const log = pino({ level: 'silent' });

/** One safekeeper, as far as its archiver goes. */
interface Member {
  readonly registry: TimelineRegistry;
  readonly timeline: Timeline;
  readonly archiver: Archiver;
}

let directory: ReturnType<typeof temporaryDirectory>;
let storage: FaultyStorage;
let archive: WalArchive;
let nowMs: number;
/** Safekeepers 1, 2 and 3, in the order in which their turn comes. */
let members: readonly [Member, Member, Member];

beforeEach(async () => {
  directory = temporaryDirectory();
  storage = new FaultyStorage(await openRemoteStorage(join(directory.path, 'remote')));
  archive = new WalArchive(storage);
  nowMs = 0;
  members = [await makeMember(1), await makeMember(2), await makeMember(3)];
});

afterEach(async () => {
  for (const { archiver, registry } of members) {
    await archiver.stop();
    await registry.close();
  }
  archive.close();
  directory.remove();
});

async function makeMember(id: number): Promise<Member> {
  const node = nodeId(id);
  const registry = await TimelineRegistry.open({
    node,
    dataDirectory: join(directory.path, `safekeeper-${id}`),
    disk: localDisk,
    clock: { defer: (callback) => systemClock.defer(callback), every: () => () => undefined },
    log,
    metrics: timelineMetrics(new Registry()),
    timelinesMax: 1,
    archive,
  });
  const timeline = await registry.add({
    identity,
    localStartLsn: timelineStartLsn,
    write(writer) {
      writer.append(wal.bytes(timelineStartLsn, wal.endLsn));
      return Promise.resolve({ ...createControl(node, identity, testConfiguration(3)), commitLsn: wal.endLsn });
    },
  });
  const metrics = archiveMetrics(new Registry());
  const archiver = new Archiver({ node, archive, registry, log, metrics, nowMs: () => nowMs });
  return { registry, timeline, archiver };
}

/** The segments of all objects that were put, in order. */
function putSegments(): string[] {
  return storage.operations.filter(({ kind }) => kind === 'put').map(({ key }) => basename(key).slice(0, 24));
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
  nowMs += TURN_MS - 1;
  await look();
  expect(putSegments()).toEqual([]);
  nowMs += 1;
  await look();
  expect(putSegments()).toEqual(eachOnce());
  for (const { archiver } of [first, third]) await archiver.look();
  expect(putSegments()).toEqual(eachOnce());
  expectAllKnowIt();
});
