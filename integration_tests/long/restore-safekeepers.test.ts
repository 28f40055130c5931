import { createServer, type Server } from 'node:http';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { formatLsn, newTimelineId, type Lsn } from '@zenith/base';
import { nodeId, type Configuration, type TimelineIdentity } from '@zenith/consensus';
import { freePorts } from '@zenith/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SafekeeperProcess } from '../../packages/safekeeper/src/testing/safekeeper-process.test-support.ts';
import { TestProposer } from '../../packages/safekeeper/src/testing/test-proposer.test-support.ts';
import { TestWal } from '../../packages/safekeeper/src/testing/test-wal.test-support.ts';
import { timelineIdentity } from '../../packages/control-plane/src/endpoints/quorum-sync.ts';
import {
  bareRepository,
  type BareRepository,
} from '../../packages/control-plane/src/repository/fake-repository.test-support.ts';
import { clientOf } from '../../packages/control-plane/src/safekeepers/install.ts';
import { restoreSafekeepers } from '../../packages/control-plane/src/safekeepers/restore.ts';
import { readSafekeepers } from '../../packages/control-plane/src/safekeepers/safekeepers.ts';

// Real safekeepers with an archive; of the pageserver only where it says that it is.

const IDS = [1, 2, 3] as const;
const MEMBERS = IDS.map((id) => nodeId(id));

let bare: BareRepository;
let portFirst: number;
let identity: TimelineIdentity;
let pageserver: Server;
const running = new Map<number, SafekeeperProcess>();
const proposers: TestProposer[] = [];
/** Where the WAL ends. */
let endLsn: Lsn;
/** Where the archived WAL ends, after a record. */
let archivedLsn: Lsn;
let ingestedLsn: Lsn;

async function setUp(): Promise<void> {
  portFirst = await freePorts(12);
  bare = await bareRepository(portFirst);
  const { repository, main } = bare;
  const { record, revision } = await readSafekeepers(repository);
  const nodes = MEMBERS.map((id) => ({ id, port: portFirst + 2 * id, httpPort: portFirst + 2 * id + 1 }));
  const configuration: Configuration = { generation: 1, members: MEMBERS, newMembers: null };
  await repository.catalog.replaceSafekeepers({ ...record, nodes, configuration, lastId: nodeId(3) }, revision);
  const timeline = await repository.catalog.timeline(main);
  identity = timelineIdentity(repository, timeline);
  ingestedLsn = timeline.startLsn;
  pageserver = createServer((_request, response) => {
    const lsn = formatLsn(ingestedLsn);
    response.end(JSON.stringify({ timeline: main, initialLsn: lsn, lastRecordLsn: lsn, diskConsistentLsn: lsn }));
  });
  await new Promise<void>((resolve) => pageserver.listen(portFirst + 1, '127.0.0.1', resolve));

  for (const id of IDS) await start(id);
  const wal = new TestWal(identity).grow(1.5 * identity.segmentSize);
  const addresses = new Map(
    [...running].map(
      ([
        id,
        {
          addresses: { listen },
        },
      ]) => [nodeId(id), listen],
    ),
  );
  const leader = await new TestProposer(identity, configuration, addresses, () => wal).connect();
  proposers.push(leader);
  await leader.until(({ synced }) => synced);
  await leader.commit(wal.endLsn);
  await leader.until(({ acceptors }) => acceptors.every(({ flushLsn }) => flushLsn === wal.endLsn));
  leader.tick();
  endLsn = wal.endLsn;
  archivedLsn = wal.recordEndBefore((endLsn - (endLsn % identity.segmentSize)) as Lsn);
  for (const id of IDS) {
    await expect.poll(async () => (await find(id))?.commitLsn, { timeout: 60_000 }).toBe(endLsn);
    await expect
      .poll(async () => (await archivedUpTo(id)) >= archivedLsn, { timeout: 60_000, interval: 100 })
      .toBe(true);
  }
  leader.close();
}

beforeEach(setUp, 180_000);

afterEach(async () => {
  for (const proposer of proposers.splice(0)) proposer.close();
  for (const one of running.values()) await one.kill();
  running.clear();
  await new Promise((resolve) => pageserver.close(resolve));
  bare.remove();
});

function dataDirectory(id: number): string {
  return join(bare.folder, `safekeeper-${id}`);
}

async function start(id: number): Promise<void> {
  const address = (port: number): object => ({ host: '127.0.0.1', port });
  const process = await SafekeeperProcess.start(dataDirectory(id), id, {
    listen: address(portFirst + 2 * id),
    http: address(portFirst + 2 * id + 1),
    remoteStorage: { location: join(bare.folder, 'remote') },
    logLevel: 'error',
  });
  running.set(id, process);
}

async function lose(...ids: readonly number[]): Promise<void> {
  for (const id of ids) {
    await running.get(id)?.kill();
    rmSync(dataDirectory(id), { recursive: true });
    await start(id);
  }
}

async function find(id: number): ReturnType<ReturnType<typeof clientOf>['timeline']> {
  const { record } = await readSafekeepers(bare.repository);
  return clientOf(bare.repository, record, nodeId(id)).timeline(identity.timeline);
}

/** What a safekeeper says of the timeline. */
async function raw(id: number): Promise<Record<string, unknown>> {
  const url = `http://127.0.0.1:${portFirst + 2 * id + 1}/v1/tenant/${identity.tenant}/timeline/${identity.timeline}`;
  return (await (await fetch(url)).json()) as Record<string, unknown>;
}

async function archivedUpTo(id: number): Promise<number> {
  const [high, low] = String((await raw(id))['backupLsn']).split('/');
  return Number.parseInt(high ?? '0', 16) * 2 ** 32 + Number.parseInt(low ?? '0', 16);
}

async function expectOnAll(end: Lsn): Promise<void> {
  const { record } = await readSafekeepers(bare.repository);
  for (const id of IDS)
    expect(await raw(id)).toMatchObject({
      flushLsn: formatLsn(end),
      commitLsn: formatLsn(end),
      configuration: { generation: record.configuration.generation },
    });
}

test('a restore that died after one of three is gone on with, and then there is nothing to do', async () => {
  await lose(1, 2, 3);
  // The command that died had come so far.
  const { record, revision } = await readSafekeepers(bare.repository);
  const configuration = { ...record.configuration, generation: 2 };
  await bare.repository.catalog.replaceSafekeepers({ ...record, configuration }, revision);
  const restored = await clientOf(bare.repository, record, nodeId(2)).restore(identity, configuration, ingestedLsn);
  expect(restored).toEqual({ restored: true, endLsn: archivedLsn });

  const outcome = { branch: 'main', endLsn: archivedLsn, ingestedLsn };
  expect(await restoreSafekeepers(bare.repository)).toEqual([{ ...outcome, outcome: 'restored' }]);
  await expectOnAll(archivedLsn);
  const again = await restoreSafekeepers(bare.repository);
  expect(again).toEqual([{ ...outcome, outcome: 'present', endLsn: undefined }]);
});

test('what one safekeeper still has beyond the archive is not given up: the others copy it, and keep what they promised meanwhile', async () => {
  await lose(2, 3);
  ingestedLsn = endLsn;
  const { record } = await readSafekeepers(bare.repository);
  // An election after the loss came to 2 alone.
  await clientOf(bare.repository, record, nodeId(2)).configure(identity, record.configuration, 7);
  expect(await find(2)).toMatchObject({ term: 7, flushLsn: identity.timelineStartLsn });
  expect(await restoreSafekeepers(bare.repository)).toEqual([
    { branch: 'main', outcome: 'restored', endLsn, ingestedLsn },
  ]);
  await expectOnAll(endLsn);
  expect((await find(2))?.term).toBe(7);
});

test('what a pageserver has beyond the archive and all safekeepers cannot be restored, and is told', async () => {
  await lose(1, 2, 3);
  ingestedLsn = endLsn;
  expect(await restoreSafekeepers(bare.repository)).toEqual([
    { branch: 'main', outcome: 'behind', endLsn: archivedLsn, ingestedLsn },
  ]);
  expect(await find(1)).toBeUndefined();
});

test('a safekeeper that lost its disk is told again what was removed for good', async () => {
  const { repository } = bare;
  const { record } = await readSafekeepers(repository);
  const gone = newTimelineId();
  for (const id of MEMBERS) await clientOf(repository, record, id).removeTimeline(gone);
  await lose(3);
  expect(await clientOf(repository, record, nodeId(3)).removedTimelines()).toEqual([]);
  await restoreSafekeepers(repository);
  expect(await clientOf(repository, record, nodeId(3)).removedTimelines()).toEqual([gone]);
  const configuration = { ...record.configuration, generation: record.configuration.generation + 2 };
  await expect(
    clientOf(repository, record, nodeId(3)).configure({ ...identity, timeline: gone }, configuration, 0),
  ).rejects.toThrow('it was removed');
});
