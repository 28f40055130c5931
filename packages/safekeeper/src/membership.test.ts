import { formatLsn } from '@zenith/base';
import { nodeId, type NodeId } from '@zenith/consensus';
import { temporaryDirectory } from '@zenith/testing';
import { pino } from 'pino';
import { afterEach, describe, expect, test } from 'vitest';
import { parseConfiguration } from './configuration/configuration.ts';
import { localDisk } from './disk/local-disk.ts';
import { Safekeeper } from './safekeeper.ts';
import { readWal, TestProposer, type Address } from './testing/test-proposer.test-support.ts';
import { testConfiguration, testIdentity, TestWal } from './testing/test-wal.test-support.ts';

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

const identity = testIdentity();
const start = identity.timelineStartLsn;
const path = `/v1/tenant/${identity.tenant}/timeline/${identity.timeline}`;

async function startSafekeeper(id: number, directory?: string): Promise<{ safekeeper: Safekeeper; path: string }> {
  const made = directory === undefined ? temporaryDirectory() : undefined;
  if (made !== undefined) cleanups.push(() => made.remove());
  const dataDirectory = directory ?? made?.path ?? '';
  const free = { host: '127.0.0.1', port: 0 };
  const safekeeper = await Safekeeper.start({
    dataDirectory,
    configuration: parseConfiguration({ id, listen: free, http: free }, 'test'),
    disk: localDisk,
    log: pino({ level: 'silent' }),
    version: '0.0.0',
    nowMs: Date.now,
  });
  return { safekeeper, path: dataDirectory };
}

/** What a safekeeper says about the timeline. */
function call(safekeeper: Safekeeper, route: string, body?: object): ReturnType<typeof callAt> {
  return callAt(safekeeper, `${path}${route}`, body);
}

async function callAt(
  safekeeper: Safekeeper,
  route: string,
  body?: object,
): Promise<{ readonly status: number; readonly body: Record<string, unknown> }> {
  const { host, port } = safekeeper.addresses.http;
  const response = await fetch(
    `http://${host}:${port}${route}`,
    body === undefined
      ? {}
      : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
  );
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

function donorOf(id: number, { addresses }: Safekeeper): object {
  return { id, host: addresses.listen.host, port: addresses.listen.port, httpPort: addresses.http.port };
}

async function commit(wal: TestWal, nodes: ReadonlyMap<NodeId, Address>): Promise<TestProposer> {
  const leader = await new TestProposer(identity, testConfiguration(nodes.size), nodes, () => wal).connect();
  cleanups.push(() => leader.close());
  await leader.until(({ synced }) => synced);
  await leader.commit(wal.endLsn);
  await leader.until(({ acceptors }) => acceptors.every(({ flushLsn }) => flushLsn === wal.endLsn));
  leader.tick();
  return leader;
}

const { pgMajor, systemId, segmentSize } = identity;
const description = { pgMajor, systemId, segmentSize, timelineStartLsn: formatLsn(start) };

describe('a safekeeper that is about to join', () => {
  test('copies the committed WAL with its history, is found whole after a restart, and then takes part', async () => {
    const first = await startSafekeeper(1);
    cleanups.push(() => first.safekeeper.stop());
    const wal = new TestWal(identity).grow(2_500_000); // over segments
    await commit(wal, new Map([[nodeId(1), first.safekeeper.addresses.listen]]));
    let second = await startSafekeeper(2);
    const committed = formatLsn(wal.endLsn);
    await expect.poll(async () => (await call(first.safekeeper, '')).body['commitLsn']).toBe(committed);
    expect((await call(second.safekeeper, '/pull', { donors: [donorOf(1, first.safekeeper)] })).body).toEqual({
      commitLsn: committed,
    });
    // Once more: it is here.
    expect((await call(second.safekeeper, '/pull', { donors: [donorOf(1, first.safekeeper)] })).status).toBe(200);
    await second.safekeeper.stop();
    second = await startSafekeeper(2, second.path);
    cleanups.push(() => second.safekeeper.stop());
    const { history } = (await call(first.safekeeper, '')).body;
    expect((await call(second.safekeeper, '')).body).toMatchObject({
      flushLsn: committed,
      commitLsn: committed,
      history,
    });
    const end = wal.endLsn;
    expect(
      Buffer.compare(await readWal(second.safekeeper.addresses.listen, identity, start, end), wal.bytes(start, end)),
    ).toBe(0);

    const configuration = { generation: 2, members: [1], newMembers: [1, 2] };
    const configured = await call(second.safekeeper, '/configuration', { ...description, configuration, term: 7 });
    expect(configured.body).toMatchObject({ node: 2, configuration, term: 7, flushLsn: committed });
    // An older configuration and a lower term change nothing.
    const older = { generation: 1, members: [1], newMembers: null };
    expect(
      (await call(second.safekeeper, '/configuration', { ...description, configuration: older, term: 3 })).body,
    ).toMatchObject({ configuration, term: 7 });
  });

  test('says so when no donor answers, and takes the one that has most', async () => {
    const first = await startSafekeeper(1);
    const joining = await startSafekeeper(3);
    cleanups.push(() => joining.safekeeper.stop());
    expect((await call(joining.safekeeper, '/pull', { donors: [donorOf(1, first.safekeeper)] })).body).toEqual({
      commitLsn: null,
    });
    const gone = donorOf(1, first.safekeeper);
    await first.safekeeper.stop();
    expect(await call(joining.safekeeper, '/pull', { donors: [gone] })).toMatchObject({
      status: 503,
      body: { code: 'peer-unavailable' },
    });
    const second = await startSafekeeper(2);
    cleanups.push(() => second.safekeeper.stop());
    const wal = new TestWal(identity).grow(200_000);
    const leader = await new TestProposer(
      identity,
      { generation: 1, members: [nodeId(2)], newMembers: null },
      new Map([[nodeId(2), second.safekeeper.addresses.listen]]),
      () => wal,
    ).connect();
    cleanups.push(() => leader.close());
    await leader.until(({ synced }) => synced);
    await leader.commit(wal.endLsn);
    leader.tick();
    const pulled = await call(joining.safekeeper, '/pull', { donors: [gone, donorOf(2, second.safekeeper)] });
    expect(pulled.status).toBe(200);
  });

  test('is told what was removed before it came, and then neither copies it nor makes it, after a restart too', async () => {
    const [first, late] = [await startSafekeeper(1), await startSafekeeper(2)];
    cleanups.push(() => first.safekeeper.stop());
    const wal = new TestWal(identity).grow(50_000);
    await commit(wal, new Map([[nodeId(1), first.safekeeper.addresses.listen]]));
    const removed = async (safekeeper: Safekeeper): Promise<unknown> =>
      (await callAt(safekeeper, `/v1/tenant/${identity.tenant}/removed`)).body;
    expect(await removed(late.safekeeper)).toEqual([]);
    const { host, port } = late.safekeeper.addresses.http;
    const told = await fetch(`http://${host}:${port}/v1/tenant/${identity.tenant}/removed`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ timelines: [identity.timeline] }),
    });
    expect(told.status).toBe(204);
    const refusal = { status: 409, body: { code: 'timeline-refused' } };
    const configuration = { generation: 2, members: [1], newMembers: [1, 2] };
    const expectRefusals = async (safekeeper: Safekeeper): Promise<void> => {
      expect(await removed(safekeeper)).toEqual([identity.timeline]);
      expect(await call(safekeeper, '/pull', { donors: [donorOf(1, first.safekeeper)] })).toMatchObject(refusal);
      expect(await call(safekeeper, '/configuration', { ...description, configuration, term: 7 })).toMatchObject(
        refusal,
      );
    };
    await expectRefusals(late.safekeeper);
    await late.safekeeper.stop();
    const again = await startSafekeeper(2, late.path);
    cleanups.push(() => again.safekeeper.stop());
    await expectRefusals(again.safekeeper);
    for (const timelines of [['x'], Array.from({ length: 257 }, () => identity.timeline)])
      expect((await callAt(again.safekeeper, `/v1/tenant/${identity.tenant}/removed`, { timelines })).status).toBe(400);
  });

  test('is refused what is no configuration, and a timeline that it is no member for', async () => {
    const { safekeeper } = await startSafekeeper(1);
    cleanups.push(() => safekeeper.stop());
    const bad = { ...description, configuration: { generation: 2, members: [], newMembers: null }, term: 0 };
    expect((await call(safekeeper, '/configuration', bad)).status).toBe(400);
    const others = { ...description, configuration: { generation: 2, members: [2, 3], newMembers: null }, term: 0 };
    expect(await call(safekeeper, '/configuration', others)).toMatchObject({
      status: 409,
      body: { code: 'timeline-refused' },
    });
    expect((await call(safekeeper, '/pull', { donors: [] })).status).toBe(400);
  });
});
