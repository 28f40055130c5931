import { connect } from 'node:net';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatLsn, type Lsn } from '@zenith/base';
import { nodeId, type NodeId, type Term, type TimelineIdentity } from '@zenith/consensus';
import { encodeProposerMessage, encodeStatusUpdate, type PostgresClient } from '@zenith/wire';
import { temporaryDirectory } from '@zenith/testing';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseConfiguration } from './configuration/configuration.ts';
import { localDisk } from './disk/local-disk.ts';
import { Safekeeper } from './safekeeper.ts';
import { connectTo, readWal, TestProposer, type Address } from './testing/test-proposer.test-support.ts';
import { testConfiguration, testIdentity, TestWal } from './testing/test-wal.test-support.ts';

const directories: ReturnType<typeof temporaryDirectory>[] = [];
const safekeepers = new Map<NodeId, { safekeeper: Safekeeper; path: string }>();
const proposers: TestProposer[] = [];
const clients: PostgresClient[] = [];
let identity: TimelineIdentity;
let start: Lsn;

async function startSafekeeper(id: number, path?: string): Promise<void> {
  let dataDirectory = path;
  if (dataDirectory === undefined) {
    const made = temporaryDirectory();
    directories.push(made);
    dataDirectory = made.path;
  }
  const free = { host: '127.0.0.1', port: 0 };
  const configuration = parseConfiguration({ id, listen: free, http: free }, 'test');
  const safekeeper = await Safekeeper.start({
    dataDirectory,
    configuration,
    disk: localDisk,
    log: pino({ level: 'silent' }),
    version: '0.0.0',
    nowMs: Date.now,
  });
  safekeepers.set(nodeId(id), { safekeeper, path: dataDirectory });
}

function addresses(): ReadonlyMap<NodeId, Address> {
  return new Map([...safekeepers].map(([node, { safekeeper }]) => [node, safekeeper.addresses.listen]));
}

function addressOf(id: number): Address {
  return addresses().get(nodeId(id)) as Address;
}

function proposer(wal: () => TestWal, options: ConstructorParameters<typeof TestProposer>[4] = {}): TestProposer {
  const made = new TestProposer(identity, testConfiguration(safekeepers.size), addresses(), wal, options);
  proposers.push(made);
  return made;
}

async function client(id: number, term?: Term, applicationName?: string): Promise<PostgresClient> {
  const made = await connectTo(addressOf(id), identity, term, applicationName);
  clients.push(made);
  return made;
}

async function http(
  id: number,
  path: string,
): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> {
  const { host, port } = (safekeepers.get(nodeId(id)) as { safekeeper: Safekeeper }).safekeeper.addresses.http;
  const response = await fetch(`http://${host}:${port}${path}`);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

beforeEach(() => {
  identity = testIdentity();
  start = identity.timelineStartLsn;
});

afterEach(async () => {
  for (const one of proposers.splice(0)) one.close();
  for (const one of clients.splice(0)) one.destroy();
  for (const { safekeeper } of safekeepers.values()) await safekeeper.stop();
  safekeepers.clear();
  for (const directory of directories.splice(0)) directory.remove();
});

describe('three safekeepers', () => {
  beforeEach(async () => {
    for (const id of [1, 2, 3]) await startSafekeeper(id);
  });

  test('commit WAL with a proposer, and serve it to consumers as it is committed', async () => {
    const wal = new TestWal(identity);
    const leader = await proposer(() => wal).connect();
    await leader.until(({ synced }) => synced);
    expect(leader.core.state.startLsn).toBe(start);
    wal.grow(300_000);
    const first = wal.endLsn;
    await leader.commit(first);
    expect(Buffer.compare(await readWal(addressOf(1), identity, start, first), wal.bytes(start, first))).toBe(0);

    // A consumer that is at the end gets what comes next without asking.
    wal.grow(2_500_000);
    const middle = (first + 12_345) as Lsn;
    const waiting = [1, 2, 3].map((id) => readWal(addressOf(id), identity, middle, wal.endLsn));
    await leader.commit(wal.endLsn);
    for (const bytes of await Promise.all(waiting))
      expect(Buffer.compare(bytes, wal.bytes(middle, wal.endLsn))).toBe(0);
  });

  test('with one away commit goes on; it catches up when it is back, over a segment and from older terms', async () => {
    const wal = new TestWal(identity).grow(100_000);
    const first = await proposer(() => wal).connect([nodeId(1), nodeId(2)]);
    await first.until(({ synced }) => synced);
    await first.commit(wal.endLsn);
    first.close();

    const second = await proposer(() => wal).connect([nodeId(1), nodeId(2)]);
    await second.until(({ synced }) => synced);
    expect(second.core.state.startLsn).toBe(wal.endLsn);
    wal.grow(1_500_000);
    await second.commit(wal.endLsn);
    await second.connect([nodeId(3)]);
    await second.until(({ acceptors }) => acceptors[2]?.flushLsn === wal.endLsn);
    second.tick();
    expect(Buffer.compare(await readWal(addressOf(3), identity, start, wal.endLsn), wal.bytes(start, wal.endLsn))).toBe(
      0,
    );
    expect((await http(3, `/v1/tenant/${identity.tenant}/timeline/${identity.timeline}`)).body).toMatchObject({
      flushLsn: formatLsn(wal.endLsn),
      commitLsn: formatLsn(wal.endLsn),
      term: 2,
    });
  });

  test('an uncommitted tail on one of them is cut when another history wins', async () => {
    const wal = new TestWal(identity).grow(100_000);
    const first = await proposer(() => wal).connect();
    await first.until(({ synced }) => synced);
    const committed = wal.endLsn;
    await first.commit(committed);
    await first.until(({ acceptors }) => acceptors.every(({ flushLsn }) => flushLsn === committed));

    // Only safekeeper 1 gets more; nobody is told that it is committed, because it is not.
    first.cut(nodeId(2));
    first.cut(nodeId(3));
    await first.until(({ acceptors }) => acceptors[1]?.stage === 'offline' && acceptors[2]?.stage === 'offline');
    const tail = wal.grow(50_000);
    first.offer();
    await first.until(({ acceptors }) => acceptors[0]?.flushLsn === tail.endLsn);
    expect(first.core.state.commitLsn).toBe(committed);
    await expect(
      Promise.race([
        readWal(addressOf(1), identity, committed, tail.endLsn),
        new Promise((resolve) => setTimeout(resolve, 50, 'not served')),
      ]),
    ).resolves.toBe('not served');

    const other = new TestWal(identity, committed, 2, wal);
    const second = await proposer(() => other).connect([nodeId(2), nodeId(3)]);
    await second.until(({ synced }) => synced);
    expect(second.core.state.startLsn).toBe(committed);
    other.grow(80_000);
    await second.commit(other.endLsn);
    await second.connect([nodeId(1)]);
    await second.until(({ acceptors }) => acceptors[0]?.flushLsn === other.endLsn);
    expect(
      Buffer.compare(
        await readWal(addressOf(1), identity, start, other.endLsn, second.core.state.term),
        other.bytes(start, other.endLsn),
      ),
    ).toBe(0);
    // The first proposer hears that it is over from safekeeper 1, although it sends nothing itself.
    await first.until(({ phase }) => phase === 'fenced');
  });

  test('a proposer of an older term is fenced, and what it sends is not taken', async () => {
    const wal = new TestWal(identity).grow(50_000);
    const old = await proposer(() => wal).connect();
    await old.until(({ synced }) => synced);
    await old.commit(wal.endLsn);
    const young = await proposer(() => wal).connect([nodeId(1), nodeId(2)]);
    await young.until(({ synced }) => synced);
    await old.until(({ phase }) => phase === 'fenced');
    expect(old.ends).toContain('fenced by term 2');
  });

  test('the term of a read beyond the commit point is checked', async () => {
    const wal = new TestWal(identity).grow(50_000);
    const leader = await proposer(() => wal).connect();
    await leader.until(({ synced }) => synced);
    await leader.commit(wal.endLsn);
    // A quorum may do without it for a while.
    await leader.until(({ acceptors }) =>
      acceptors.some(({ node, flushLsn }) => node === 1 && flushLsn === wal.endLsn),
    );
    await expect(readWal(addressOf(1), identity, start, wal.endLsn, 7)).rejects.toThrow('the term is 1 by now, not 7');
    expect((await readWal(addressOf(1), identity, start, wal.endLsn, 1)).length).toBe(wal.endLsn - start);
  });

  test('a restart of all changes nothing', async () => {
    const wal = new TestWal(identity).grow(1_200_000);
    const leader = await proposer(() => wal).connect();
    await leader.until(({ synced }) => synced);
    await leader.commit(wal.endLsn);
    leader.close();
    for (const [node, { safekeeper, path }] of safekeepers) {
      await safekeeper.stop();
      await startSafekeeper(node, path);
    }
    const next = await proposer(() => wal, { mode: 'sync' }).connect();
    await next.until(({ phase }) => phase === 'done');
    expect(next.core.state.startLsn).toBe(wal.endLsn);
    expect(next.core.state.term).toBe(2);
    // Two of three are enough for it to be done; the third need not have heard of it yet.
    const read = await Promise.any(
      [...safekeepers.keys()].map((node) => readWal(addressOf(node), identity, start, wal.endLsn)),
    );
    expect(Buffer.compare(read, wal.bytes(start, wal.endLsn))).toBe(0);
  });
});

describe('a safekeeper', () => {
  beforeEach(() => startSafekeeper(1));

  async function withTimeline(): Promise<TestWal> {
    const wal = new TestWal(identity).grow(20_000);
    const leader = await proposer(() => wal).connect();
    await leader.until(({ synced }) => synced);
    await leader.commit(wal.endLsn);
    return wal;
  }

  test('remove a timeline: its WAL is gone, who was connected is cut off, and it does not come back', async () => {
    const wal = new TestWal(identity).grow(100_000);
    const leader = await proposer(() => wal).connect();
    await leader.until(({ synced }) => synced);
    await leader.commit(wal.endLsn);
    const { safekeeper, path } = safekeepers.get(nodeId(1)) as { safekeeper: Safekeeper; path: string };
    const { host, port } = safekeeper.addresses.http;
    const timeline = `/v1/tenant/${identity.tenant}/timeline/${identity.timeline}`;
    const removed = async (): Promise<number> =>
      (await fetch(`http://${host}:${port}${timeline}`, { method: 'DELETE' })).status;
    expect([await removed(), await removed()]).toEqual([204, 204]);
    expect((await http(1, timeline)).status).toBe(404);
    const tenantDirectory = join(path, 'tenants', identity.tenant);
    const tombstone = join(tenantDirectory, `${identity.timeline}.removed`);
    const expectOnlyTombstone = (): void => {
      expect(readdirSync(tenantDirectory)).toEqual([`${identity.timeline}.removed`]);
      expect(readdirSync(tombstone)).toEqual([]);
    };
    expectOnlyTombstone();

    // A compute that has not heard of it asks for it, and whoever changes the members or restores; after a restart, too.
    const refused = (zombie: TestProposer): Promise<void> => zombie.until(() => zombie.ends.length > 0);
    const zombie = await proposer(() => wal).connect();
    await refused(zombie);
    expect(zombie.ends[0]).toContain('cannot be created: it was removed');
    // What a death in the middle leaves is removed at the next start.
    await safekeeper.stop();
    writeFileSync(join(tombstone, '000000010000000000000003'), 'left');
    await startSafekeeper(1, path);
    expectOnlyTombstone();
    const again = await proposer(() => wal).connect();
    await refused(again);
    expect(again.ends[0]).toContain('cannot be created: it was removed');
    expectOnlyTombstone();
  });

  test('a timeline that no WAL ever came for is removed, too: a compute that comes later does not make it', async () => {
    const { safekeeper } = safekeepers.get(nodeId(1)) as { safekeeper: Safekeeper };
    const { host, port } = safekeeper.addresses.http;
    const url = `http://${host}:${port}/v1/tenant/${identity.tenant}/timeline/${identity.timeline}`;
    expect((await fetch(url, { method: 'DELETE' })).status).toBe(204);
    const wal = new TestWal(identity).grow(1_000);
    const zombie = await proposer(() => wal).connect();
    await zombie.until(() => zombie.ends.length > 0);
    expect(zombie.ends[0]).toContain('it was removed');
    expect((await fetch(url)).status).toBe(404);
  });

  test('says in PostgreSQL’s own words what it does not have', async () => {
    const connection = await client(1);
    await expect(connection.query('IDENTIFY_SYSTEM')).rejects.toMatchObject({
      sqlState: '42704',
      message: `timeline ${identity.timeline} of tenant ${identity.tenant} is not known to this safekeeper: no compute has written to it here`,
    });
    await expect(connection.query('SELECT 1')).rejects.toMatchObject({ sqlState: '42601' });
    await withTimeline();
    const before = (start - (start % identity.segmentSize) - 8) as Lsn; // in the segment before its first
    await expect(connection.query(`START_REPLICATION PHYSICAL ${formatLsn(before)}`)).rejects.toMatchObject({
      sqlState: '58P01',
    });
    await expect(connection.query('TIMELINE_HISTORY 1')).rejects.toMatchObject({
      sqlState: '58P01',
      message: 'could not open file "pg_wal/00000001.history": No such file or directory',
    });
  });

  test('identifies the system, and answers what stock clients ask', async () => {
    const wal = await withTimeline();
    const connection = await client(1);
    expect(await connection.query('IDENTIFY_SYSTEM')).toEqual({
      columns: ['systemid', 'timeline', 'xlogpos', 'dbname'],
      rows: [[identity.systemId, '1', formatLsn(wal.endLsn), null]],
    });
    expect((await connection.query('SHOW wal_segment_size')).rows).toEqual([['1MB']]);
  });

  test('believes a pageserver that follows committed WAL what is durable, and no other consumer', async () => {
    const wal = await withTimeline();
    await readWal(addressOf(1), identity, start, wal.endLsn); // which says that it is committed here, too
    const [startText, endText] = [formatLsn(start), formatLsn(wal.endLsn)];
    const consumers: PostgresClient[] = [];
    /** One more consumer says that it has applied everything; gives what is ingested and what is remote-consistent then. */
    async function afterUpdateOf(applicationName: string, term?: Term): Promise<unknown[]> {
      const consumer = await client(1, term, applicationName);
      consumers.push(consumer);
      const stream = await consumer.copyBoth(`START_REPLICATION PHYSICAL ${endText}`, () => undefined);
      const all = { written: wal.endLsn, flushed: wal.endLsn, applied: wal.endLsn };
      stream.send(encodeStatusUpdate(all, false, Date.now()));
      await expect
        .poll(async () => (await http(1, '/v1/status')).body['consumers'], { timeout: 30_000 })
        .toEqual(consumers.map(() => expect.objectContaining({ remoteConsistentLsn: endText })));
      const { columns, rows } = await (await client(1)).query('TIMELINE_STATUS');
      return ['ingested_lsn', 'remote_consistent_lsn'].map((column) => rows[0]?.[columns.indexOf(column)]);
    }
    expect(await afterUpdateOf('walreceiver')).toEqual([startText, startText]);
    expect(await afterUpdateOf('pageserver', 1)).toEqual([startText, startText]); // what is not committed, too
    expect(await afterUpdateOf('pageserver')).toEqual([endText, endText]);
  });

  test('serves HTTP: health, status, timelines, metrics, errors', async () => {
    const wal = await withTimeline();
    expect(await http(1, '/healthz')).toEqual({ status: 200, body: { status: 'ok', broken: [], diskFull: [] } });
    expect((await http(1, '/v1/status')).body).toMatchObject({ id: 1, timelines: 1, proposers: 1 });
    const expected = {
      tenant: identity.tenant,
      timeline: identity.timeline,
      pgMajor: 18,
      systemId: identity.systemId,
      term: 1,
      timelineStartLsn: formatLsn(start),
      flushLsn: formatLsn(wal.endLsn),
      commitLsn: formatLsn(wal.endLsn),
    };
    expect((await http(1, '/v1/timelines')).body).toEqual([expect.objectContaining(expected)]);
    expect((await http(1, `/v1/tenant/${identity.tenant}/timeline/${identity.timeline}`)).body).toMatchObject(expected);
    expect(await http(1, `/v1/tenant/${identity.tenant}/timeline/${'0'.repeat(32)}`)).toMatchObject({
      status: 404,
      body: { code: 'timeline-unknown' },
    });
    expect(await http(1, `/v1/tenant/x/timeline/y`)).toMatchObject({ status: 400, body: { code: 'invalid-id' } });
    expect(await http(1, `/v2`)).toMatchObject({ status: 404, body: { code: 'not-found' } });
    const { host, port } = (safekeepers.get(nodeId(1)) as { safekeeper: Safekeeper }).safekeeper.addresses.http;
    const metrics = await (await fetch(`http://${host}:${port}/metrics`)).text();
    expect(metrics).toContain('zenith_safekeeper_timelines 1');
    expect(metrics).toMatch(new RegExp(`zenith_safekeeper_wal_received_bytes_total ${wal.endLsn - start}`));
  });

  test('a hostile peer loses its own connection and nobody else’s', async () => {
    const wal = await withTimeline();
    const { host, port } = addressOf(1);
    // Not the protocol at all.
    const socket = connect(port, host);
    socket.resume();
    socket.write(Buffer.alloc(64, 0xff));
    await once(socket, 'close');
    // A message of another version, a message that is no greeting, a greeting for another timeline.
    const bad = encodeProposerMessage({ type: 'voteRequest', generation: 1, term: 1 });
    const other = encodeProposerMessage({
      type: 'greeting',
      identity: testIdentity(),
      configuration: testConfiguration(1),
    });
    const cases: [Uint8Array, RegExp][] = [
      [Uint8Array.of(9, ...bad.subarray(1)), /version 9 of the proposer protocol is not supported/],
      [bad, /first message is its greeting/],
      [bad.subarray(0, 10), /cut short/],
      [other, /another timeline/],
      [
        encodeProposerMessage({
          type: 'greeting',
          identity: { ...identity, pgMajor: 17 },
          configuration: testConfiguration(1),
        }),
        /this timeline has pgMajor 18, the proposer 17/,
      ],
    ];
    for (const [message, reason] of cases) {
      const connection = await client(1);
      const stream = await connection.copyBoth('START_WAL_PUSH', () => undefined);
      stream.send(message);
      expect(String((await connection.closed)?.message)).toMatch(reason);
    }
    wal.grow(10_000);
    await proposers[0]?.commit(wal.endLsn);
    expect(proposers[0]?.core.state.commitLsn).toBe(wal.endLsn);
  });

  test('refuses to start twice on one data directory, or on a port that is taken', async () => {
    const { path } = safekeepers.get(nodeId(1)) as { path: string };
    const common = { disk: localDisk, log: pino({ level: 'silent' }), version: '0.0.0', nowMs: Date.now };
    const other = temporaryDirectory();
    directories.push(other);
    const taken = parseConfiguration({ id: 2, listen: addressOf(1), http: { host: '127.0.0.1', port: 0 } }, 'test');
    await expect(Safekeeper.start({ ...common, dataDirectory: other.path, configuration: taken })).rejects.toThrow(
      /the port is taken/,
    );
    expect(readFileSync(`${other.path}/safekeeper.pid`, 'utf8').trim()).toBe('');
    expect(localDisk.exists(`${path}/safekeeper.pid`)).toBe(true);
  });

  test.each([
    [{ id: 0, listen: { host: 'h', port: 1 }, http: { host: 'h', port: 1 } }, /id: /],
    [{ id: 1, listen: { host: 'h', port: 70_000 }, http: { host: 'h', port: 1 } }, /listen\.port: /],
    [{ id: 1, listen: { host: 'h', port: 1 }, http: { host: 'h', port: 1 }, typo: 1 }, /typo: /],
    ['id', /the whole: /],
  ])('a configuration that says %j is refused', (json, reason) => {
    expect(() => parseConfiguration(json, 'safekeeper.json')).toThrow(reason);
  });
});
