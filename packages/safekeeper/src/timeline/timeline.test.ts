import { formatLsn, type Lsn } from '@zenith/base';
import type { Greeting, TermHistory } from '@zenith/consensus';
import { initialHistory, nodeId } from '@zenith/consensus';
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
const greeting: Greeting = { type: 'greeting', identity, configuration };
/** The control file: made, written, synced, renamed, the folder synced; three segments removed, the folder synced. */
const TRIM_OPERATIONS = 9;
const errors: string[] = [];
const log = pino({ level: 'error' }, { write: (line: string) => void errors.push(line) });

let directory: ReturnType<typeof temporaryDirectory>;
let disk: FaultyDisk;
let registry: TimelineRegistry;
let timeline: Timeline;
let wal: TestWal;

async function open(): Promise<void> {
  registry = await TimelineRegistry.open({
    node: nodeId(1),
    dataDirectory: directory.path,
    disk,
    clock: systemClock,
    log,
    metrics: timelineMetrics(new Registry()),
    timelinesMax: 3,
  });
  timeline = await registry.findOrCreate(identity, configuration);
}

/** Votes for and follows a leader of `term`. */
async function follow(peer: TestPeer, term: number, history: TermHistory, startLsn: Lsn): Promise<void> {
  timeline.attach(peer, greeting);
  await peer.until(() => !peer.paused);
  timeline.receive(peer.id, { type: 'voteRequest', generation: 1, term });
  await peer.until(() => !peer.paused);
  timeline.receive(peer.id, { type: 'elected', generation: 1, term, startLsn, history });
  await peer.until(() => !peer.paused || peer.rejected !== undefined);
}

function append(peer: TestPeer, term: number, begin: Lsn, end: Lsn, commitLsn: Lsn = start, from = wal): void {
  timeline.append(
    peer.id,
    {
      type: 'appendRequest',
      generation: 1,
      term,
      beginLsn: begin,
      endLsn: end,
      commitLsn,
      peerHorizonLsn: start,
      probe: false,
    },
    from.bytes(begin, end),
  );
}

/** Takes 4 segments of WAL, committed to the end, of which everything is archived and in a pageserver's durable layers. */
async function fillSegments(): Promise<void> {
  wal.grow(4 * SEGMENT_SIZE);
  const peer = new TestPeer(1);
  await follow(peer, 1, firstHistory, start);
  append(peer, 1, start, wal.endLsn, wal.endLsn);
  await peer.until(() => peer.lastReply?.commitLsn === wal.endLsn);
  timeline.progress({ remoteConsistentLsn: wal.endLsn, backupLsn: wal.endLsn });
}

/** All WAL that the timeline says it has here. */
async function localWal(): Promise<Uint8Array> {
  const { localStartLsn } = timeline.state.control;
  const bytes = new Uint8Array(timeline.flushLsn - localStartLsn);
  const reader = timeline.openReader();
  await reader.read(localStartLsn, bytes, false);
  reader.close();
  return bytes;
}

const firstHistory: TermHistory = [...initialHistory(start), { term: 1, startLsn: start }];

beforeEach(async () => {
  errors.length = 0;
  directory = temporaryDirectory();
  disk = new FaultyDisk();
  wal = new TestWal(identity).grow(200_000);
  await open();
});

afterEach(async () => {
  disk.onOperation = () => undefined;
  await registry.close().catch(() => undefined);
  directory.remove();
});

describe('a timeline', () => {
  test('acknowledges record-aligned WAL once it is durable', async () => {
    const peer = new TestPeer(1);
    await follow(peer, 1, firstHistory, start);
    const middle = (wal.recordEndBefore((start + 100_000) as Lsn) + 30) as Lsn;
    append(peer, 1, start, middle);
    expect(timeline.flushLsn).toBe(start);
    await peer.until(() => peer.lastReply?.writeLsn === middle);
    expect(peer.lastReply?.flushLsn).toBe(wal.recordEndBefore(middle));
    append(peer, 1, middle, wal.endLsn, middle);
    await peer.until(() => peer.lastReply?.flushLsn === wal.endLsn);
    expect(timeline.commitLsn).toBe(middle);
  });

  test('refuses an Elected that comes twice in the middle of a record, and goes on for others', async () => {
    const peer = new TestPeer(1);
    await follow(peer, 1, firstHistory, start);
    const middle = (wal.recordEndBefore((start + 100_000) as Lsn) + 30) as Lsn;
    append(peer, 1, start, middle);
    await peer.until(() => peer.lastReply?.writeLsn === middle);
    timeline.receive(peer.id, { type: 'elected', generation: 1, term: 1, startLsn: start, history: [...firstHistory] });
    expect(peer.rejected).toMatch(/the common WAL ends at/);
    expect(timeline.broken).toBeUndefined();
    timeline.detach(peer.id);
    const next = new TestPeer(2);
    await follow(next, 2, [...firstHistory, { term: 2, startLsn: timeline.flushLsn }], timeline.flushLsn);
    expect(next.rejected).toBeUndefined();
  });

  test('shares one sync among all appends that arrive while one is under way', async () => {
    const peer = new TestPeer(1);
    await follow(peer, 1, firstHistory, start);
    let opened: () => void = () => undefined;
    disk.syncGate = new Promise((resolve) => {
      opened = resolve;
    });
    disk.operations.length = 0;
    const step = 1_000;
    append(peer, 1, start, (start + step) as Lsn);
    await new Promise((resolve) => setTimeout(resolve, 5));
    for (let at = start + step; at + step <= wal.endLsn; at += step) {
      append(peer, 1, at as Lsn, (at + step) as Lsn);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(disk.count('sync', /[0-9A-F]{24}$/)).toBe(1);
    opened();
    const end = timeline.state.writeLsn;
    await peer.until(() => peer.lastReply?.writeLsn === end);
    expect(disk.count('sync', /[0-9A-F]{24}$/)).toBe(2);
    expect(peer.received.filter(({ type }) => type === 'appendReply').length).toBe(2);
  });

  test('starts again where it was, with the vote and the history it gave its word for', async () => {
    const peer = new TestPeer(1);
    await follow(peer, 5, [...initialHistory(start), { term: 5, startLsn: start }], start);
    append(peer, 5, start, wal.endLsn, wal.endLsn);
    await peer.until(() => peer.lastReply?.commitLsn === wal.endLsn);
    const before = timeline.state;
    await registry.close();
    await open();
    expect(timeline.state.control).toEqual(before.control);
    expect(timeline.flushLsn).toBe(wal.endLsn);
    const other = new TestPeer(2);
    timeline.attach(other, greeting);
    timeline.receive(2, { type: 'voteRequest', generation: 1, term: 5 });
    expect(other.received.at(-1)).toMatchObject({ type: 'voteReply', granted: false, term: 5, flushLsn: wal.endLsn });
  });

  test('cuts a tail that its new leader does not have, and takes the leader’s', async () => {
    const peer = new TestPeer(1);
    await follow(peer, 1, firstHistory, start);
    append(peer, 1, start, wal.endLsn);
    await peer.until(() => peer.lastReply?.flushLsn === wal.endLsn);
    const fork = wal.recordEndBefore((start + 50_000) as Lsn);
    const other = new TestWal(identity, fork, 2, wal).grow(30_000);
    const leader = new TestPeer(2);
    await follow(leader, 2, [...firstHistory, { term: 2, startLsn: fork }], fork);
    expect(timeline.flushLsn).toBe(fork);
    // The old leader hears that it is over.
    expect(peer.lastReply?.term).toBe(2);
    append(leader, 2, fork, other.endLsn, other.endLsn, other);
    await leader.until(() => leader.lastReply?.commitLsn === other.endLsn);
    await registry.close();
    await open();
    expect(timeline.flushLsn).toBe(other.endLsn);
    expect(Buffer.compare(await localWal(), other.bytes(start, other.endLsn))).toBe(0);
  });

  test('lets go of whole segments once the control file on the disk says that others have them, not before', async () => {
    await fillSegments();
    const { remoteConsistentLsn, backupLsn } = timeline.state.control;
    expect([remoteConsistentLsn, backupLsn]).toEqual([wal.endLsn, wal.endLsn]);
    const all = timeline.segments.existing();
    expect(await timeline.trim()).toBe(0);
    expect(timeline.segments.existing()).toEqual(all);
    expect(timeline.state.control.localStartLsn).toBe(start);

    timeline.saveProgress();
    const kept = timeline.segments.numberOf(wal.endLsn) - 1; // one whole segment stays
    await expect.poll(() => timeline.trim()).toBe((kept - Math.min(...all)) * SEGMENT_SIZE);
    expect(timeline.segments.existing()).toEqual(all.filter((number) => number >= kept));
    expect(timeline.state.control.localStartLsn).toBe(kept * SEGMENT_SIZE);
    expect(Buffer.compare(await localWal(), wal.bytes((kept * SEGMENT_SIZE) as Lsn, wal.endLsn))).toBe(0);
  });

  test('refuses WAL that is not valid before it reaches the disk, and takes the right WAL afterwards', async () => {
    const peer = new TestPeer(1);
    await follow(peer, 1, firstHistory, start);
    const bad = wal.bytes(start, wal.endLsn).slice();
    bad[500] = (bad[500] ?? 0) ^ 1;
    timeline.append(
      1,
      {
        type: 'appendRequest',
        generation: 1,
        term: 1,
        beginLsn: start,
        endLsn: wal.endLsn,
        commitLsn: start,
        peerHorizonLsn: start,
        probe: false,
      },
      bad,
    );
    expect(peer.rejected).toMatch(/the WAL is not valid/);
    expect(timeline.state.writeLsn).toBe(start);
    timeline.detach(1);
    const again = new TestPeer(2);
    await follow(again, 2, [...initialHistory(start), { term: 2, startLsn: start }], start);
    append(again, 2, start, wal.endLsn);
    await again.until(() => again.lastReply?.flushLsn === wal.endLsn);
  });
});

describe('a disk that fails', () => {
  test.each([
    ['a write that fails', 'write', 'EIO'],
    ['a sync that fails', 'sync', 'EIO'],
  ] as const)(
    '%s: nothing is acknowledged, the timeline is broken until a restart, logged once',
    async (_what, kind, code) => {
      const peer = new TestPeer(1);
      await follow(peer, 1, firstHistory, start);
      const good = wal.recordEndBefore((start + 20_000) as Lsn);
      append(peer, 1, start, good);
      await peer.until(() => peer.lastReply?.flushLsn === good);
      const replies = peer.received.length;
      disk.onOperation = (operation) => {
        if (operation.kind === kind && /[0-9A-F]{24}$/.test(operation.path))
          throw Object.assign(new Error(`${code}: the disk says no`), { code });
      };
      append(peer, 1, good, wal.endLsn);
      await peer.until(() => peer.rejected !== undefined);
      expect(peer.rejected).toMatch(new RegExp(`takes no more WAL on this safekeeper until it is restarted: ${code}`));
      expect(peer.received.length).toBe(replies);
      expect(errors.filter((line) => line.includes('timeline broken')).length).toBe(1);

      // The disk works again, but nobody knows what a failed sync left: still refused.
      disk.onOperation = () => undefined;
      const later = new TestPeer(2);
      timeline.attach(later, greeting);
      expect(later.rejected).toMatch(/takes no more WAL/);
      expect(timeline.flushLsn).toBe(good);

      await registry.close();
      await open();
      expect(timeline.flushLsn).toBeGreaterThanOrEqual(good);
      expect(timeline.broken).toBeUndefined();
    },
  );

  test('a vote that cannot be written is not given', async () => {
    const peer = new TestPeer(1);
    timeline.attach(peer, greeting);
    disk.onOperation = ({ kind, path }) => {
      if (kind === 'sync' && path.includes('safekeeper.control')) throw new Error('EIO: the disk says no');
    };
    timeline.receive(1, { type: 'voteRequest', generation: 1, term: 9 });
    await peer.until(() => peer.rejected !== undefined);
    expect(peer.received.map(({ type }) => type)).toEqual(['greetingReply']);
    disk.onOperation = () => undefined;
    await registry.close();
    await open();
    expect(timeline.term).toBe(0);
  });

  test.each(Array.from({ length: 24 }, (_, i) => i))(
    'a disk that stops at operation %i of an election that cuts WAL back leaves the old WAL or the new state, nothing between',
    async (failAt) => {
      const peer = new TestPeer(1);
      await follow(peer, 1, firstHistory, start);
      append(peer, 1, start, wal.endLsn);
      await peer.until(() => peer.lastReply?.flushLsn === wal.endLsn);
      const fork = wal.recordEndBefore((start + 50_000) as Lsn);
      let count = 0;
      disk.onOperation = () => {
        if (count++ >= failAt) throw new Error('EIO: power is gone');
      };
      await follow2(new TestPeer(2), fork);
      disk.onOperation = () => undefined;
      await registry.close().catch(() => undefined);
      await open();
      const { history, term } = timeline.state.control;
      if (history.at(-1)?.term === 2) expect(timeline.flushLsn).toBe(fork);
      else expect([fork, wal.endLsn]).toContain(timeline.flushLsn);
      expect(term === 1 || term === 2).toBe(true);
      expect(timeline.state.control.pendingTruncationLsn).toBeNull();
    },
  );

  test.each(Array.from({ length: TRIM_OPERATIONS }, (_, i) => i))(
    'a disk that stops at operation %i of letting WAL go: all that the control file says is there',
    async (failAt) => {
      await fillSegments();
      await registry.close();
      await open();
      let count = 0;
      disk.onOperation = () => {
        if (count++ >= failAt) throw new Error('EIO: power is gone');
      };
      await timeline.trim().catch(() => undefined);
      expect(count).toBeGreaterThan(failAt);
      disk.onOperation = () => undefined;
      await registry.close().catch(() => undefined);
      await open();
      expect(timeline.flushLsn).toBe(wal.endLsn);
      const { localStartLsn } = timeline.state.control;
      expect(Buffer.compare(await localWal(), wal.bytes(localStartLsn, wal.endLsn))).toBe(0);
    },
  );

  async function follow2(leader: TestPeer, fork: Lsn): Promise<void> {
    timeline.attach(leader, greeting);
    timeline.receive(2, { type: 'voteRequest', generation: 1, term: 2 });
    await leader.until(() => !leader.paused || leader.rejected !== undefined);
    if (leader.rejected !== undefined) return;
    timeline.receive(2, {
      type: 'elected',
      generation: 1,
      term: 2,
      startLsn: fork,
      history: [...firstHistory, { term: 2, startLsn: fork }],
    });
    await leader.until(() => !leader.paused || leader.rejected !== undefined);
  }
});

describe('the registry', () => {
  test('refuses what cannot be a timeline here, by name', async () => {
    const refuse = (change: object, members = configuration): Promise<unknown> =>
      registry.findOrCreate({ ...testIdentity(), ...change }, members);
    await expect(refuse({ pgMajor: 14 })).rejects.toThrow(/PostgreSQL 14 is not supported/);
    await expect(refuse({ segmentSize: 1000 })).rejects.toThrow(/1000 is not the size of a WAL segment/);
    await expect(refuse({ timelineStartLsn: 1001 })).rejects.toThrow(/not a record boundary/);
    await expect(refuse({}, { generation: 1, members: [nodeId(9)], newMembers: null })).rejects.toThrow(
      /safekeeper 1 is not a member/,
    );
    await expect(refuse({ timeline: identity.timeline })).rejects.toThrow(/belongs to another tenant/);
    await registry.findOrCreate(testIdentity(), configuration);
    await registry.findOrCreate(testIdentity(), configuration);
    await expect(refuse({})).rejects.toThrow(/3 timelines already/);
  });

  test('a damaged control file costs that timeline only', async () => {
    const other = await registry.findOrCreate(testIdentity(), configuration);
    await registry.close();
    const path = `${directory.path}/tenants/${identity.tenant}/${identity.timeline}/safekeeper.control`;
    const file = disk.open(path, 'write');
    file.write(Uint8Array.of(0), 0, 1, 40);
    file.close();
    registry = await TimelineRegistry.open({
      node: nodeId(1),
      dataDirectory: directory.path,
      disk,
      clock: systemClock,
      log,
      metrics: timelineMetrics(new Registry()),
      timelinesMax: 3,
    });
    expect(registry.timelines.map((one) => one.identity.timeline)).toEqual([other.identity.timeline]);
    expect(() => registry.find(identity.tenant, identity.timeline)).toThrow(/safekeeper\.control/);
    await expect(registry.findOrCreate(identity, configuration)).rejects.toThrow(/cannot be read/);
    expect(errors.some((line) => line.includes('timeline cannot be read'))).toBe(true);
  });

  test('makes a timeline once, however many greet for it', async () => {
    const fresh = testIdentity();
    const made = await Promise.all([1, 2, 3].map(() => registry.findOrCreate(fresh, configuration)));
    expect(new Set(made).size).toBe(1);
    expect(formatLsn(made[0]?.commitLsn ?? (0 as Lsn))).toBe(formatLsn(fresh.timelineStartLsn));
  });
});
