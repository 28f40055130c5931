import type { Lsn } from '@zenith/base';
import { initialHistory, nodeId, type TermHistory } from '@zenith/consensus';
import { temporaryDirectory } from '@zenith/testing';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../clock/clock.ts';
import { FaultyDisk } from '../testing/faulty-disk.test-support.ts';
import { TestPeer } from '../testing/test-peer.test-support.ts';
import { SEGMENT_SIZE, testConfiguration, testIdentity, TestWal } from '../testing/test-wal.test-support.ts';
import { timelineMetrics } from './metrics.ts';
import { TimelineRegistry } from './registry.ts';
import type { Timeline } from './timeline.ts';

const configuration = testConfiguration(1);
const identity = testIdentity();
const start = identity.timelineStartLsn;
const firstHistory: TermHistory = [...initialHistory(start), { term: 1, startLsn: start }];

const log: string[] = [];
let directory: ReturnType<typeof temporaryDirectory>;
let disk: FaultyDisk;
let metrics: Registry;
let registry: TimelineRegistry;
let nextPeer = 1;

beforeEach(async () => {
  log.length = 0;
  directory = temporaryDirectory();
  disk = new FaultyDisk();
  await open();
});

afterEach(async () => {
  makeRoom();
  await registry.close().catch(() => undefined);
  directory.remove();
});

async function open(): Promise<void> {
  metrics = new Registry();
  registry = await TimelineRegistry.open({
    node: nodeId(1),
    dataDirectory: directory.path,
    disk,
    // No timers: whoever tests says when to look for room.
    clock: { defer: (callback) => systemClock.defer(callback), every: () => () => undefined },
    log: pino({ level: 'info' }, { write: (line: string) => void log.push(line) }),
    metrics: timelineMetrics(metrics),
    timelinesMax: 3,
  });
}

/** From the operation after `operations` more on, whatever needs room finds none; where all is read-only nothing is opened for writing or removed, too. */
function fillUp(operations = 0, code = 'ENOSPC'): void {
  let left = operations;
  disk.onOperation = ({ kind }) => {
    if (((kind !== 'open' && kind !== 'remove') || code === 'EROFS') && left-- <= 0)
      throw Object.assign(new Error(`${code}: no room`), { code });
  };
}

function makeRoom(): void {
  disk.onOperation = () => undefined;
}

async function find(): Promise<Timeline> {
  return registry.findOrCreate(identity, configuration);
}

/** Follows a leader of `term` that begins at `startLsn`. Its peer is rejected when that fails. */
async function follow(timeline: Timeline, term: number, history: TermHistory, startLsn: Lsn): Promise<TestPeer> {
  const peer = new TestPeer(nextPeer++);
  const answered = (): boolean => !peer.paused || peer.rejected !== undefined;
  timeline.attach(peer, { type: 'greeting', identity, configuration });
  await peer.until(answered);
  if (peer.rejected === undefined) {
    peer.paused = true;
    timeline.receive(peer.id, { type: 'voteRequest', generation: 1, term });
    if (timeline.term !== term) await peer.until(answered);
    else peer.paused = false;
  }
  if (peer.rejected === undefined) {
    timeline.receive(peer.id, { type: 'elected', generation: 1, term, startLsn, history });
    await peer.until(answered);
  }
  return peer;
}

/** Appends `[begin, end)` and waits until it is acknowledged or refused. */
async function append(
  timeline: Timeline,
  peer: TestPeer,
  term: number,
  wal: TestWal,
  begin: Lsn,
  end: Lsn,
): Promise<void> {
  const common = { type: 'appendRequest', generation: 1, term, peerHorizonLsn: start, probe: false } as const;
  for (let at = begin; at < end && peer.rejected === undefined;) {
    const next = Math.min(end, at + 200_000) as Lsn;
    timeline.append(
      peer.id,
      { ...common, beginLsn: at, endLsn: next, commitLsn: timeline.flushLsn },
      wal.bytes(at, next),
    );
    await peer.until(() => peer.lastReply?.writeLsn === next || peer.rejected !== undefined);
    at = next;
  }
}

async function read(timeline: Timeline, end: Lsn): Promise<Uint8Array> {
  const bytes = new Uint8Array(end - start);
  const reader = timeline.openReader();
  await reader.read(start, bytes, false);
  reader.close();
  return bytes;
}

async function metric(name: string): Promise<number> {
  return Number(new RegExp(`^${name} (\\d+)`, 'm').exec(await metrics.metrics())?.[1]);
}

describe('a full or read-only disk', () => {
  test.each(['ENOSPC', 'EDQUOT', 'EROFS'])(
    'has a timeline refuse proposers and serve its WAL until there is room, then it goes on without a restart (%s)',
    async (code) => {
      const wal = new TestWal(identity).grow(3 * SEGMENT_SIZE);
      const timeline = await find();
      const peer = await follow(timeline, 1, firstHistory, start);
      const middle = wal.recordEndBefore((start + 500_000) as Lsn);
      await append(timeline, peer, 1, wal, start, middle);
      const replies = peer.received.length;
      fillUp(0, code);
      await append(timeline, peer, 1, wal, middle, wal.endLsn);
      expect(peer.rejected).toContain(
        `takes no more WAL on this safekeeper until its disk takes writes again: ${code}`,
      );
      expect(peer.received.length).toBe(replies);
      expect(registry.waiting).toEqual([identity.timeline]);
      expect(registry.broken).toEqual([]);
      expect(await metric('zenith_safekeeper_disk_full_total')).toBe(1);

      // Looked at again and again while it is full.
      for (let look = 0; look < 3; look++) await registry.resume();
      expect(registry.waiting).toEqual([identity.timeline]);
      const later = new TestPeer(nextPeer++);
      timeline.attach(later, { type: 'greeting', identity, configuration });
      expect(later.rejected).toContain('until its disk takes writes again');
      expect(Buffer.compare(await read(timeline, middle), wal.bytes(start, middle))).toBe(0);
      expect(log.filter((line) => line.includes('the disk takes no writes')).length).toBe(1);

      const advanced = new Promise<void>((resolve) => timeline.onAdvance(resolve));
      makeRoom();
      await registry.resume();
      await advanced;
      expect(registry.waiting).toEqual([]);
      expect(timeline.broken?.message).toBeUndefined();
      expect(timeline.flushLsn).toBeGreaterThanOrEqual(middle);
      const at = timeline.flushLsn;
      const again = await follow(timeline, 2, [...firstHistory, { term: 2, startLsn: at }], at);
      const rest = new TestWal(identity, at, 2, wal).grow(SEGMENT_SIZE);
      await append(timeline, again, 2, rest, at, rest.endLsn);
      expect(timeline.flushLsn).toBe(rest.endLsn);
      expect(Buffer.compare(await read(timeline, rest.endLsn), rest.bytes(start, rest.endLsn))).toBe(0);
    },
  );

  test.each(Array.from({ length: 32 }, (_, i) => i))(
    'that is met at operation %i of an election which cuts WAL back and of what follows: nothing acknowledged is lost, and it goes on',
    async (operations) => {
      const old = new TestWal(identity).grow(SEGMENT_SIZE + 300_000);
      const timeline = await find();
      const first = await follow(timeline, 1, firstHistory, start);
      await append(timeline, first, 1, old, start, old.endLsn);
      const fork = old.recordEndBefore((start + SEGMENT_SIZE - 50_000) as Lsn);
      const secondHistory: TermHistory = [...firstHistory, { term: 2, startLsn: fork }];
      const wal = new TestWal(identity, fork, 2, old).grow(SEGMENT_SIZE);
      fillUp(operations);
      const second = await follow(timeline, 2, secondHistory, fork);
      await append(timeline, second, 2, wal, fork, wal.endLsn);
      const acknowledged = second.lastReply?.flushLsn ?? fork;
      await registry.resume(); // there is no room yet
      makeRoom();
      await registry.resume();
      expect(registry.waiting).toEqual([]);
      expect(timeline.broken?.message).toBeUndefined();

      const { history } = timeline.state.control;
      const isNew = history.at(-1)?.term === 2;
      const end = timeline.flushLsn;
      if (isNew) expect(end).toBeGreaterThanOrEqual(acknowledged);
      else expect([fork, old.endLsn]).toContain(end);
      const expected = isNew ? wal : old;
      expect(Buffer.compare(await read(timeline, end), expected.bytes(start, end))).toBe(0);

      const third = await follow(timeline, 3, [...history, { term: 3, startLsn: end }], end);
      expect(third.rejected).toBeUndefined();
      const more = new TestWal(identity, end, 3, expected).grow(SEGMENT_SIZE);
      await append(timeline, third, 3, more, end, more.endLsn);
      expect(third.rejected).toBeUndefined();
      await registry.close();
      await open();
      expect((await find()).flushLsn).toBe(more.endLsn);
      expect(Buffer.compare(await read(await find(), more.endLsn), more.bytes(start, more.endLsn))).toBe(0);
    },
  );

  test('met when the next segment is made ahead, leaves none of its zeroes there', async () => {
    const wal = new TestWal(identity).grow(900_000);
    const timeline = await find();
    const peer = await follow(timeline, 1, firstHistory, start);
    let met: () => void = () => undefined;
    const full = new Promise<void>((resolve) => (met = resolve));
    disk.onOperation = ({ kind, path }) => {
      if (kind !== 'sync' || !path.endsWith('segment.tmp')) return;
      met();
      throw Object.assign(new Error('ENOSPC: no room'), { code: 'ENOSPC' });
    };
    await append(timeline, peer, 1, wal, start, wal.endLsn);
    await full;
    await expect.poll(() => disk.list(timeline.segments.directory)).not.toContain('segment.tmp');
    expect(timeline.broken?.message).toBeUndefined();
  });

  test('met when a timeline is read after a start: it is read once there is room', async () => {
    const wal = new TestWal(identity).grow(900_000);
    const timeline = await find();
    const peer = await follow(timeline, 1, firstHistory, start);
    await append(timeline, peer, 1, wal, start, wal.endLsn);
    fillUp();
    await registry.close().catch(() => undefined);
    await open();
    expect(registry.waiting).toEqual([identity.timeline]);
    await registry.resume();
    await expect(find()).rejects.toThrow('cannot be read until its disk takes writes again');
    makeRoom();
    await registry.resume();
    expect((await find()).flushLsn).toBe(wal.endLsn);
    expect(registry.waiting).toEqual([]);
  });

  test('met when a timeline is made: nothing is left of it, and the next greeting makes it', async () => {
    fillUp(3);
    await expect(find()).rejects.toThrow('cannot be created: ENOSPC');
    expect(disk.list(`${directory.path}/tenants/${identity.tenant}`)).toEqual([]);
    makeRoom();
    expect((await find()).flushLsn).toBe(start);
  });

  test('while full lets go of segments that the archive and a pageserver have, which makes the room', async () => {
    const wal = new TestWal(identity).grow(5 * SEGMENT_SIZE);
    const timeline = await find();
    const peer = await follow(timeline, 1, firstHistory, start);
    await append(timeline, peer, 1, wal, start, wal.endLsn);
    const segments = (): number => timeline.segments.existing().length;
    const room = timeline.segments.numberOf(wal.endLsn) - timeline.segments.numberOf(start) + 1;
    // Room is made by removing: as long as there are so many segments, no file of WAL can be made.
    disk.onOperation = ({ kind, path }) => {
      if (kind === 'create' && !path.includes('safekeeper.control') && segments() >= room)
        throw Object.assign(new Error('ENOSPC: no room'), { code: 'ENOSPC' });
    };
    const more = new TestWal(identity, wal.endLsn, 1, wal).grow(3 * SEGMENT_SIZE);
    await append(timeline, peer, 1, more, wal.endLsn, more.endLsn);
    expect(timeline.waitsForRoom).toBe(true);
    await registry.resume();
    expect(timeline.broken?.message).toContain('until its disk takes writes again');
    timeline.progress({ remoteConsistentLsn: timeline.commitLsn, backupLsn: timeline.commitLsn });
    await registry.resume();
    expect(timeline.waitsForRoom).toBe(false);
    expect(timeline.state.control.localStartLsn).toBeGreaterThan(start);
    expect(segments()).toBeLessThan(room);
  });

  test('is not taken for a failing disk that is met while it waits: that needs a restart', async () => {
    const timeline = await find();
    const wal = new TestWal(identity).grow(200_000);
    const peer = await follow(timeline, 1, firstHistory, start);
    fillUp();
    await append(timeline, peer, 1, wal, start, wal.endLsn);
    fillUp(0, 'EIO');
    await registry.resume();
    makeRoom();
    await registry.resume();
    expect(registry.broken).toEqual([identity.timeline]);
    expect(timeline.broken?.message).toContain('until it is restarted: EIO');
  });
});
