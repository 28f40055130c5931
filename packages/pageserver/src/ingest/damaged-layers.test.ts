import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { NO_TOKENS } from '@zenith/auth';
import type { Lsn } from '@zenith/base';
import { allocatePage, RM_XACT_ID, WalStreamEncoder } from '@zenith/pg-format';
import { RemoteStorageError } from '@zenith/remote-storage';
import { FaultyStorage } from '@zenith/testing';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { CommitTime } from '../commit-times/commit-time.ts';
import { ObjectKind } from '../key-space/object.ts';
import { flip, lastChunkOf, type FileRange } from '../layers/damage.test-support.ts';
import { close, RemoteLab, type Node } from '../remote/remote-lab.test-support.ts';
import { digest, TENANT, timelineId } from '../timeline/storage-model.test-support.ts';
import type { Timeline } from '../timeline/timeline.ts';
import { data, heapRecord, NO_LOAD, putHead, START, SYSTEM_ID } from './head.test-support.ts';
import { ingestMetrics } from './metrics.ts';
import { Pacer } from './pacer.ts';
import { TimelineFollower } from './timeline-follower.ts';
import { WalApplier } from './wal-applier.ts';
import { WalIngest } from './wal-ingest.ts';
import { WalServer } from './wal-server.test-support.ts';

const XLOG_XACT_COMMIT = 0;
/** Blocks of the relation that are in the layer, and in all. */
const [BLOCKS_BEFORE, BLOCKS] = [3, 5];

/** A data directory and its objects: two timelines that have the beginning of the same WAL in one layer each. */
let lab: RemoteLab;
let node: Node;
let server: WalServer;
/** End of what the layers have, and of the WAL. */
let [before, end] = [START, START];
/** The layer of timeline 1. */
let path: string;
let sound: Uint8Array;
/** Ends of the commits, each behind a block. */
let commits: readonly Lsn[];
const followers: TimelineFollower[] = [];

beforeEach(async () => {
  lab = await RemoteLab.create();
  node = await lab.open('data', 1);
  for (const n of [1, 2]) {
    const wanted = { tenant: TENANT, timeline: timelineId(n), pgMajor: 18, initialLsn: START } as const;
    const made = await node.store.create(wanted);
    putHead(made);
    const start = made.lastRecordLsn;
    const encoder = new WalStreamEncoder(18, start, { systemId: SYSTEM_ID, previousLsn: START });
    commits = Array.from({ length: BLOCKS }, (__, block) => {
      encoder.append(heapRecord(block));
      const mainData = data([8, block]);
      return encoder.append({ rmid: RM_XACT_ID, info: XLOG_XACT_COMMIT, xid: 1000 + block, mainData }).endLsn;
    });
    [before, end] = [commits[BLOCKS_BEFORE - 1] as Lsn, encoder.endLsn];
    const pacer = new Pacer(() => 0, NO_LOAD);
    await new WalApplier(made, new WalIngest(made, pacer), pacer).apply(encoder.bytes.subarray(0, before - start));
    await made.flush();
    if (n === 1) server = await WalServer.start(SYSTEM_ID, start, encoder.bytes.slice());
  }
  await node.remote.settled();
  await close(node);
  const layers = join(node.dataDirectory, 'tenants', TENANT, 'timelines', timelineId(1), 'layers');
  path = join(layers, readdirSync(layers)[0] as string);
  sound = readFileSync(path);
});

afterEach(async () => {
  await Promise.all(followers.splice(0).map((follower) => follower.stop()));
  await close(node);
  server.close();
  lab.remove();
});

/** The time in the record of a commit: as many µs after 2000. */
function commitTime(block: number): CommitTime {
  return (946_684_800_000_000 + block) as CommitTime;
}

/** Damages the newest value of a kind of object in the layer of timeline 1. */
function damage(kind: ObjectKind): FileRange {
  const chunk = lastChunkOf(path, kind);
  flip(path, chunk.start);
  return chunk;
}

/** A timeline whose WAL is followed. */
interface Followed {
  readonly timeline: Timeline;
  readonly follower: TimelineFollower;
  /** The first error that is logged. */
  readonly failure: Promise<string>;
}

/** Follows the WAL of a timeline. */
function follow(n: number): Followed {
  const timeline = node.store.get(TENANT, timelineId(n));
  let log = pino({ level: 'silent' });
  const failure = new Promise<string>((resolve) => {
    log = pino({ level: 'error' }, { write: resolve });
  });
  const metrics = ingestMetrics(new Registry(), () => []);
  const now = (): number => performance.now();
  const follower = new TimelineFollower(timeline, { tokens: NO_TOKENS, log, metrics, now, wallClock: Date.now });
  followers.push(follower);
  follower.offer(server.address, end);
  return { timeline, follower, failure };
}

/** Waits until all WAL is ingested, and holds that every record was, once. */
async function expectAllIngested({ timeline, follower, failure }: Followed): Promise<void> {
  const failed = failure.then((line) => Promise.reject(new Error(line)));
  await Promise.race([timeline.waitForLsn(end, { timeoutMs: 60_000 }), failed]);
  expect(follower.state).toBe('following');
  const relation = timeline.find(ObjectKind.relation, 1663, 5, 16384, 0);
  expect([before, end].map((lsn) => timeline.blockCount(relation, lsn))).toEqual([BLOCKS_BEFORE, BLOCKS]);
  for (let block = 0; block < BLOCKS; block++) {
    const page = allocatePage();
    timeline.readPage(relation, block, end, page);
    expect(digest(page.bytes)).toContain(' of 1 values');
  }
  for (let block = 0; block < BLOCKS - 1; block++)
    expect(timeline.lsnAtTime(commitTime(block))).toMatchObject({ lsn: commits[block] });
}

test.each([
  ['the counters', ObjectKind.checkpoint],
  ['the control file', ObjectKind.controlFile],
  ['the size of a relation', ObjectKind.relationSize],
  ['the size of a segment of the commit log', ObjectKind.slruSize],
  ['the times of commits', ObjectKind.commitTimes],
])('ingest that meets damage in %s has the layer fetched and goes on', async (_, kind) => {
  damage(kind);
  node = await lab.open('data', 2);
  await expectAllIngested(follow(1));
  expect(readFileSync(path)).toEqual(sound);
});

/** Opens the data directory on a disk that spoils the layer of timeline 1 as soon as it is replaced, so many times. */
async function openSpoiling(times: number): Promise<() => number> {
  const { start } = damage(ObjectKind.relationSize);
  node = await lab.open('data', 2);
  const fetch = node.remote.fetch.bind(node.remote);
  let fetches = 0;
  node.remote.fetch = async (name) => {
    await fetch(name);
    if (++fetches <= times) flip(path, start);
  };
  return () => fetches;
}

test('ingest that meets damage in a layer again and again has it fetched each time, and goes on', async () => {
  const fetches = await openSpoiling(3);
  await expectAllIngested(follow(1));
  expect(fetches()).toBe(4);
  expect(readFileSync(path)).toEqual(sound);
});

test('ingest on a disk that spoils whatever it is given stops with file and offset', async () => {
  await openSpoiling(Number.POSITIVE_INFINITY);
  const { failure, follower } = follow(1);
  const { err } = JSON.parse(await failure) as { readonly err: { message: string } };
  expect(err.message).toContain(`${path} at byte `);
  expect(follower.state).toBe('failed');
});

test('while remote storage does not give the layer, ingest that meets damage tries again, and goes on when it does', async () => {
  damage(ObjectKind.relationSize);
  const storage = new FaultyStorage(lab.inner);
  let refusals = 0;
  storage.fault = ({ kind, key }) =>
    kind === 'get' && key.startsWith('layers/') && refusals < 3
      ? Promise.reject(new RemoteStorageError('refused', `refusal ${++refusals}`))
      : undefined;
  node = await lab.open('data', 2, storage);
  await expectAllIngested(follow(1));
  expect(refusals).toBe(3);
  expect(readFileSync(path)).toEqual(sound);
});

test.each([
  ['damaged', (object: string) => flip(object, 0)],
  ['gone', rmSync],
])(
  'when the layer is %s in remote storage, too, its timeline stops with file and offset, and others go on',
  async (_, spoil) => {
    const { start } = damage(ObjectKind.relationSize);
    const objects = join(lab.root, 'objects', 'layers', TENANT, timelineId(1));
    const [object] = readdirSync(objects) as [string];
    spoil(join(objects, object));
    node = await lab.open('data', 2);
    const [broken, other] = [follow(1), follow(2)];
    const { msg, err } = JSON.parse(await broken.failure) as {
      readonly msg: string;
      readonly err: { message: string };
    };
    expect(msg).toMatch(/^WAL cannot be ingested any further/);
    expect(err.message).toContain(`${path} at byte ${start}`);
    expect(err.message).toContain(object);
    expect(broken.follower.state).toBe('failed');
    expect(broken.timeline.lastRecordLsn).toBe(before);
    await expectAllIngested(other);
  },
);
