import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatLsn, parseLsn, type Lsn } from '@zenith/base';
import { nodeId, type NodeId } from '@zenith/consensus';
import { openRemoteStorage, RemoteStorageError } from '@zenith/remote-storage';
import { FaultyStorage, temporaryDirectory } from '@zenith/testing';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseConfiguration } from '../configuration/configuration.ts';
import { localDisk } from '../disk/local-disk.ts';
import { Safekeeper } from '../safekeeper.ts';
import { readWal, TestProposer } from '../testing/test-proposer.test-support.ts';
import { scrubArchive, type ArchiveReport } from './scrub-archive.ts';
import { WalArchive } from './wal-archive.ts';
import { testConfiguration, testIdentity, TestWal } from '../testing/test-wal.test-support.ts';

// Real safekeepers with an archive in a folder.

const identity = testIdentity();
const start = identity.timelineStartLsn;
const { segmentSize } = identity;
const cleanups: (() => void | Promise<unknown>)[] = [];
let root: string;
/** How far the safekeepers' clock is ahead. */
let aheadMs = 0;
const running = new Map<NodeId, Safekeeper>();

beforeEach(() => {
  const directory = temporaryDirectory();
  cleanups.push(() => directory.remove());
  root = directory.path;
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  running.clear();
  aheadMs = 0;
});

async function startSafekeeper(id: number): Promise<Safekeeper> {
  const dataDirectory = join(root, `safekeeper-${id}`);
  mkdirSync(dataDirectory, { recursive: true });
  const free = { host: '127.0.0.1', port: 0 };
  const remoteStorage = { location: join(root, 'remote') };
  const safekeeper = await Safekeeper.start({
    dataDirectory,
    configuration: parseConfiguration({ id, listen: free, http: free, remoteStorage }, 'test'),
    disk: localDisk,
    log: pino({ level: 'silent' }),
    version: '0.0.0',
    nowMs: () => Date.now() + aheadMs,
  });
  running.set(nodeId(id), safekeeper);
  cleanups.push(async () => {
    if (running.get(nodeId(id)) === safekeeper) await safekeeper.stop();
  });
  return safekeeper;
}

async function lead(wal: TestWal, ids: readonly number[], members: number): Promise<TestProposer> {
  const addresses = new Map(
    [...running].map(
      ([
        id,
        {
          addresses: { listen },
        },
      ]) => [id, listen],
    ),
  );
  const leader = await new TestProposer(identity, testConfiguration(members), addresses, () => wal).connect(
    ids.map((id) => nodeId(id)),
  );
  cleanups.push(() => leader.close());
  await leader.until(({ synced }) => synced);
  await leader.commit(wal.endLsn);
  await leader.until(({ acceptors }) =>
    acceptors.every(({ node, flushLsn }) => !ids.includes(node) || flushLsn === wal.endLsn),
  );
  leader.tick();
  return leader;
}

async function lsnOf(
  id: number,
  field: 'backupLsn' | 'localStartLsn' | 'commitLsn' | 'remoteConsistentLsn',
): Promise<Lsn> {
  const { host, port } = (running.get(nodeId(id)) as Safekeeper).addresses.http;
  const url = `http://${host}:${port}/v1/tenant/${identity.tenant}/timeline/${identity.timeline}`;
  return parseLsn(((await (await fetch(url)).json()) as Record<string, string>)[field] ?? '0/0');
}

/** A pageserver's report: it has everything below in durable layers. */
async function reportDurable(id: number, lsn: Lsn): Promise<void> {
  const { host, port } = (running.get(nodeId(id)) as Safekeeper).addresses.http;
  const url = `http://${host}:${port}/v1/tenant/${identity.tenant}/timeline/${identity.timeline}/remote-consistent`;
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ lsn: formatLsn(lsn) }) });
  expect(response.status).toBe(200);
}

function segmentsOf(id: number): string[] {
  const directory = join(root, `safekeeper-${id}`, 'tenants', identity.tenant, identity.timeline);
  return readdirSync(directory).filter((name) => /^[0-9A-F]{24}$/.test(name));
}

function archived(): string[] {
  return readdirSync(join(root, 'remote/wal', identity.tenant, identity.timeline));
}

const segmentEnd = (lsn: Lsn): Lsn => (lsn - (lsn % segmentSize)) as Lsn;

test('whole segments are archived once, safekeepers let them go when a pageserver has them too, and serve them all the same', async () => {
  for (const id of [1, 2, 3]) await startSafekeeper(id);
  const wal = new TestWal(identity).grow(5 * segmentSize);
  await lead(wal, [1, 2, 3], 3);
  const complete = segmentEnd(wal.endLsn);
  for (const id of [1, 2, 3]) await expect.poll(() => lsnOf(id, 'backupLsn'), { timeout: 30_000 }).toBe(complete);
  const numbers = complete / segmentSize - Math.floor(start / segmentSize);
  expect(archived().filter((name) => name.endsWith('.json'))).toHaveLength(numbers);
  expect(archived()).toHaveLength(2 * numbers);
  // The archive alone lets nothing go.
  for (const id of [1, 2, 3]) expect(await lsnOf(id, 'localStartLsn')).toBe(start);

  for (const id of [1, 2, 3]) {
    await expect.poll(() => lsnOf(id, 'commitLsn'), { timeout: 30_000 }).toBe(wal.endLsn);
    await reportDurable(id, wal.endLsn);
    await expect.poll(() => lsnOf(id, 'remoteConsistentLsn'), { timeout: 30_000 }).toBe(wal.endLsn);
    // What lets go is what the control file on the disk says: a stop writes it.
    await running.get(nodeId(id))?.stop();
    await startSafekeeper(id);
    await expect.poll(() => lsnOf(id, 'localStartLsn'), { timeout: 30_000 }).toBe(complete - segmentSize);
    await expect.poll(() => segmentsOf(id).length, { timeout: 30_000 }).toBeLessThanOrEqual(3);
    const address = (running.get(nodeId(id)) as Safekeeper).addresses.listen;
    expect(Buffer.compare(await readWal(address, identity, start, wal.endLsn), wal.bytes(start, wal.endLsn))).toBe(0);
  }
});

test('another member takes over when the one whose turn it is does not archive', async () => {
  for (const id of [2, 3]) await startSafekeeper(id); // 1 is a member, and away
  const wal = new TestWal(identity).grow(2 * segmentSize);
  await lead(wal, [2, 3], 3);
  await expect.poll(() => lsnOf(2, 'commitLsn'), { timeout: 30_000 }).toBe(wal.endLsn);
  expect(await lsnOf(2, 'backupLsn')).toBe(start);
  const complete = segmentEnd(wal.endLsn);
  for (const id of [2, 3]) {
    await expect
      .poll(
        () => {
          aheadMs += 1_000;
          return lsnOf(id, 'backupLsn');
        },
        { timeout: 30_000 },
      )
      .toBe(complete);
  }
});

async function remove(id: number): Promise<number> {
  const { host, port } = (running.get(nodeId(id)) as Safekeeper).addresses.http;
  const url = `http://${host}:${port}/v1/tenant/${identity.tenant}/timeline/${identity.timeline}`;
  return (await fetch(url, { method: 'DELETE' })).status;
}

/** All objects below `wal/` in the archive. */
function objects(): string[] {
  return readdirSync(join(root, 'remote/wal'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
}

test('a timeline that is removed leaves no WAL in the archive, whoever of the safekeepers hears of it last', async () => {
  for (const id of [1, 2, 3]) await startSafekeeper(id);
  const wal = new TestWal(identity).grow(3 * segmentSize);
  await lead(wal, [1, 2, 3], 3);
  const complete = segmentEnd(wal.endLsn);
  for (const id of [1, 2, 3]) await expect.poll(() => lsnOf(id, 'backupLsn'), { timeout: 30_000 }).toBe(complete);
  expect(objects().length).toBeGreaterThan(0);
  expect(await remove(1)).toBe(204);
  expect(objects()).toEqual([]);
  // Another that has not heard of it archives what it has; when it hears, that goes too.
  await running.get(nodeId(2))?.stop();
  await startSafekeeper(2);
  const control = join(root, 'safekeeper-2/tenants', identity.tenant, identity.timeline, 'safekeeper.control');
  expect(existsSync(control)).toBe(true);
  mkdirSync(join(root, 'remote/wal', identity.tenant, identity.timeline), { recursive: true });
  writeFileSync(join(root, 'remote/wal', identity.tenant, identity.timeline, 'left-1234'), 'WAL');
  expect([await remove(2), await remove(3)]).toEqual([204, 204]);
  expect(objects()).toEqual([]);
  // Once more: the command that died after this is given again.
  expect([await remove(1), await remove(2), await remove(3)]).toEqual([204, 204, 204]);
});

test('an archive that fails on the way leaves the rest of a timeline for the next attempt', async () => {
  const storage = new FaultyStorage(await openRemoteStorage(join(root, 'remote')));
  const archive = new WalArchive(storage);
  cleanups.push(() => archive.close());
  await startSafekeeper(1);
  const wal = new TestWal(identity).grow(2 * segmentSize);
  await lead(wal, [1], 1);
  await expect.poll(() => lsnOf(1, 'backupLsn'), { timeout: 30_000 }).toBe(segmentEnd(wal.endLsn));
  const signal = new AbortController().signal;
  storage.fault = ({ kind }) => (kind === 'delete' ? 'lose-response' : undefined);
  await expect(archive.remove(identity, signal)).rejects.toThrow(RemoteStorageError);
  storage.fault = ({ kind }) => (kind === 'list' ? 'fail' : undefined);
  await expect(archive.remove(identity, signal)).rejects.toThrow(RemoteStorageError);
  storage.fault = () => undefined;
  await archive.remove(identity, signal);
  expect(objects()).toEqual([]);
});

test('a scrub finds what is missing, corrupt, orphaned or not Zenith’s, and nothing in an archive that is sound', async () => {
  await startSafekeeper(1);
  const wal = new TestWal(identity).grow(6 * segmentSize);
  await lead(wal, [1], 1);
  await expect.poll(() => lsnOf(1, 'backupLsn'), { timeout: 30_000 }).toBe(segmentEnd(wal.endLsn));
  await running.get(nodeId(1))?.stop();
  running.clear();
  const storage = await openRemoteStorage(join(root, 'remote'));
  cleanups.push(() => storage.close());
  const look = (readSegments = true): Promise<ArchiveReport> => scrubArchive(storage, { readSegments });
  const prefix = `wal/${identity.tenant}/${identity.timeline}`;
  const path = (name: string): string => join(root, 'remote', prefix, name);
  const names = archived().toSorted();
  const sound = { timelines: 1, objects: names.length, missing: [], corrupt: [], orphans: [], foreign: [] };
  expect(await look()).toMatchObject(sound);

  const segments = names.filter((name) => !name.endsWith('.json'));
  const [first = '', second = '', third = '', fourth = '', fifth = ''] = segments;
  const description = (segment: string): string => `${segment.slice(0, 24)}.json`;
  const bytes = readFileSync(path(first));
  bytes[70_000] = (bytes[70_000] ?? 0) ^ 1;
  unlinkSync(path(first)); // the file is the safekeeper's, too
  writeFileSync(path(first), bytes);
  const cut = readFileSync(path(second)).subarray(0, 8192);
  unlinkSync(path(second));
  writeFileSync(path(second), cut);
  unlinkSync(path(third));
  unlinkSync(path(description(fourth)));
  copyFileSync(path(description(first)), path(description(fifth)));
  writeFileSync(path('readme'), 'not a segment');
  const report = await look();
  const keysOf = (problems: readonly { readonly key: string }[]): string[] =>
    problems.map(({ key }) => key.slice(prefix.length + 1)).toSorted();
  expect(keysOf(report.corrupt)).toEqual([first, second, description(fifth)].toSorted());
  expect(keysOf(report.missing)).toEqual([third]);
  expect(keysOf(report.orphans)).toEqual([fourth, fifth].toSorted());
  expect(report.foreign).toEqual([`${prefix}/readme`]);
  // Lengths alone show less; and where what follows can be read, the gap shows.
  unlinkSync(path(description(fifth)));
  copyFileSync(path(description(second)), path('away'));
  unlinkSync(path(description(second)));
  const quick = await look(false);
  expect(keysOf(quick.corrupt)).toEqual([]);
  expect(keysOf(quick.missing)).toEqual(
    [description(second), third, description(fourth), description(fifth)].toSorted(),
  );
});
