import { CorruptionError, type Lsn } from '@zenith/base';
import { initialHistory, nodeId, type CommittedWal, type Greeting } from '@zenith/consensus';
import { temporaryDirectory } from '@zenith/testing';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Clock } from '../clock/clock.ts';
import { localDisk } from '../disk/local-disk.ts';
import { TestPeer } from '../testing/test-peer.test-support.ts';
import { testConfiguration, testIdentity, TestWal } from '../testing/test-wal.test-support.ts';
import { timelineMetrics } from './metrics.ts';
import { TimelineRegistry } from './registry.ts';
import type { Timeline } from './timeline.ts';

const configuration = testConfiguration(1);
const identity = testIdentity();
const start = identity.timelineStartLsn;
const greeting: Greeting = { type: 'greeting', identity, configuration };
const history = [...initialHistory(start), { term: 1, startLsn: start }];
const append = { type: 'appendRequest', generation: 1, term: 1, commitLsn: start, peerHorizonLsn: start } as const;

/** What production would die of. */
let thrown: unknown[];
const clock: Clock = {
  defer: (callback) =>
    void setImmediate(() => {
      try {
        callback();
      } catch (error) {
        thrown.push(error);
      }
    }),
  every: () => () => undefined,
};

let directory: ReturnType<typeof temporaryDirectory>;
let registry: TimelineRegistry;
let timeline: Timeline;
let wal: TestWal;
/** Two places inside of records. */
const [A, B] = [(start + 50_000) as Lsn, (start + 150_000) as Lsn];

beforeEach(async () => {
  thrown = [];
  directory = temporaryDirectory();
  wal = new TestWal(identity).grow(200_000);
  registry = await TimelineRegistry.open({
    node: nodeId(1),
    dataDirectory: directory.path,
    disk: localDisk,
    clock,
    log: pino({ level: 'silent' }),
    metrics: timelineMetrics(new Registry()),
    timelinesMax: 3,
  });
  timeline = await registry.findOrCreate(identity, configuration);
});
afterEach(async () => {
  await registry.close();
  directory.remove();
  if (thrown.length > 0) throw thrown[0];
});

const source = (): CommittedWal => ({ identity, history, commitLsn: wal.endLsn });

/** The WAL `[A, B)`, damaged after some whole records. */
function damaged(): Uint8Array {
  const bytes = wal.bytes(A, B).slice();
  bytes.fill(0xff, 60_000);
  return bytes;
}

async function leader(): Promise<TestPeer> {
  const peer = new TestPeer(1);
  timeline.attach(peer, greeting);
  await peer.until(() => !peer.paused);
  timeline.receive(1, { type: 'voteRequest', generation: 1, term: 1 });
  await peer.until(() => !peer.paused);
  timeline.receive(1, { type: 'elected', generation: 1, term: 1, startLsn: start, history });
  await peer.until(() => !peer.paused);
  return peer;
}

test('damaged WAL from another safekeeper is refused, and what came before it is as good as ever', async () => {
  expect(await timeline.follow(source())).toBe('copy');
  const from = source();
  expect(await timeline.follow(from)).toBe('copy');
  expect(await timeline.copy(from, start, wal.bytes(start, A))).toBe(true);
  await expect(timeline.copy(from, A, damaged())).rejects.toThrow(CorruptionError);
  await timeline.untilDurable();
  expect(timeline.broken).toBeUndefined();
  expect(timeline.flushLsn).toBe(wal.recordEndBefore(A));
  // Another one is good, and goes on where the last whole record ended.
  const again = source();
  expect(await timeline.follow(again)).toBe('copy');
  expect(timeline.state.writeLsn).toBe(timeline.flushLsn);
  expect(await timeline.copy(again, timeline.flushLsn, wal.bytes(timeline.flushLsn, wal.endLsn))).toBe(true);
  await timeline.untilDurable();
  expect(timeline.flushLsn).toBe(wal.endLsn);
  expect(timeline.commitLsn).toBe(wal.endLsn);
});

test('damaged WAL from a proposer ends its connection, and nothing else', async () => {
  const peer = await leader();
  timeline.append(1, { ...append, beginLsn: start, endLsn: A, probe: false }, wal.bytes(start, A));
  timeline.append(1, { ...append, beginLsn: A, endLsn: B, probe: false }, damaged());
  await timeline.untilDurable();
  expect(peer.rejected).toMatch(/not valid/);
  expect(timeline.broken).toBeUndefined();
  expect(timeline.flushLsn).toBe(wal.recordEndBefore(A));
});

test('a leader is answered although somebody asks for a copy at the same moment', async () => {
  const peer = await leader();
  timeline.append(1, { ...append, beginLsn: start, endLsn: wal.endLsn, probe: false }, wal.bytes(start, wal.endLsn));
  expect(await timeline.follow(source())).toBe('led');
  await peer.until(() => peer.lastReply?.flushLsn === wal.endLsn);
});

test('a copy goes on after a part of a record that a leader left', async () => {
  await leader();
  timeline.append(1, { ...append, beginLsn: start, endLsn: A, probe: false }, wal.bytes(start, A));
  timeline.detach(1);
  const from = source();
  expect(await timeline.follow(from)).toBe('copy');
  const begin = wal.recordEndBefore(A);
  expect(timeline.state.writeLsn).toBe(begin);
  expect(await timeline.copy(from, begin, wal.bytes(begin, wal.endLsn))).toBe(true);
  await timeline.untilDurable();
  expect(timeline.commitLsn).toBe(wal.endLsn);
  expect(await timeline.copy(from, timeline.state.writeLsn, new Uint8Array(8))).toBe(false);
});
