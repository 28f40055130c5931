import { mkdirSync, writeFileSync } from 'node:fs';
import { lsn, newTimelineId, type SystemId } from '@zenith/base';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bareRepository, type BareRepository } from '../repository/fake-repository.test-support.ts';
import { safekeepersOf } from '../safekeepers/safekeepers.ts';
import { ancestorsOf, computeConfig } from './compute-config.ts';
import { createEndpoint, listEndpoints } from './endpoints.ts';
import { startEndpoint, stopEndpoint } from './start-stop.ts';

let bare: BareRepository;
beforeEach(async () => {
  bare = await bareRepository(61_100);
});
afterEach(() => bare.remove());

const addBranch = async (name: string): Promise<void> => {
  const record = {
    id: newTimelineId(),
    pgMajor: 18 as const,
    systemId: '7' as SystemId,
    ancestor: bare.main,
    startLsn: lsn(0x1600000),
    createdAt: '2026-01-02T03:04:05.678Z',
  };
  await bare.repository.catalog.addBranch(name, record);
};

test('endpoints get the next free ports, each its own, even when made at once', async () => {
  for (const name of ['a', 'b', 'c']) await addBranch(name);
  const made = await Promise.all(['main', 'a', 'b', 'c'].map((branch) => createEndpoint(bare.repository, { branch })));
  const ports = made.flatMap((endpoint) => [endpoint.port, endpoint.httpPort]);
  expect(new Set(ports).size).toBe(8);
  expect(Math.min(...ports)).toBeGreaterThanOrEqual(61_104);
  expect((await listEndpoints(bare.repository)).map(({ name, status }) => [name, status.state])).toEqual([
    ['a', 'stopped'],
    ['b', 'stopped'],
    ['c', 'stopped'],
    ['main', 'stopped'],
  ]);
});

test('a name is used once, a branch must exist, a port has one owner', async () => {
  await createEndpoint(bare.repository, { branch: 'main', port: 61_150 });
  await expect(createEndpoint(bare.repository, { branch: 'main' })).rejects.toMatchObject({ code: 'endpoint-exists' });
  await expect(createEndpoint(bare.repository, { branch: 'nope' })).rejects.toMatchObject({ code: 'no-such-branch' });
  await expect(createEndpoint(bare.repository, { branch: 'main', name: 'second', port: 61_150 })).rejects.toThrow(
    "port 61150 belongs to endpoint 'main' in this repository",
  );
  await expect(createEndpoint(bare.repository, { branch: 'main', name: 'second', port: 61_100 })).rejects.toThrow(
    'port 61100 belongs to the pageserver',
  );
  await expect(createEndpoint(bare.repository, { branch: 'main', name: '../x' })).rejects.toMatchObject({
    code: 'invalid-name',
  });
});

test('nothing is started, and no endpoint is made, while the nodes are down', async () => {
  await expect(startEndpoint(bare.repository, 'main')).rejects.toMatchObject({
    code: 'not-running',
    message: "the pageserver is not running: start it with 'zenith start'",
  });
  expect(await bare.repository.catalog.endpoints()).toEqual([]);
});

test.each([
  ['names a process that is gone', '4194305\n', 'crashed'],
  ['was given up by the process that it named', '                \n', 'stopped'],
])('an endpoint whose pid file %s', async (_, text, state) => {
  await createEndpoint(bare.repository, { branch: 'main' });
  const files = bare.repository.layout.compute('main');
  mkdirSync(files.dataDir, { recursive: true });
  writeFileSync(files.pidFile, text);
  expect((await listEndpoints(bare.repository))[0]?.status.state).toBe(state);
});

test('stopping what does not run says so; destroying it takes its files and its entry', async () => {
  await createEndpoint(bare.repository, { branch: 'main' });
  expect(await stopEndpoint(bare.repository, 'main')).toBe('not-running');
  expect(await stopEndpoint(bare.repository, 'main', { destroy: true })).toBe('not-running');
  await expect(stopEndpoint(bare.repository, 'main')).rejects.toMatchObject({ code: 'no-such-endpoint' });
});

test("a compute is told its timeline's ancestors, nearest first", async () => {
  const { catalog } = bare.repository;
  await addBranch('a');
  const a = await catalog.timeline((await catalog.branch('a')).timeline);
  const b = { ...a, id: newTimelineId(), ancestor: a.id, startLsn: lsn(0x1700000) };
  await catalog.addBranch('b', b);
  const ancestors = await ancestorsOf(bare.repository, b);
  expect(ancestors.map(({ id }) => id)).toEqual([a.id, bare.main]);
  const endpoint = await createEndpoint(bare.repository, { branch: 'b', settings: { work_mem: '8MB' } });
  expect(computeConfig(bare.repository, endpoint, b, ancestors, await safekeepersOf(bare.repository))).toMatchObject({
    timeline: b.id,
    startLsn: '0/1700000',
    ancestors: [
      { timeline: a.id, startLsn: '0/1600000' },
      { timeline: bare.main, startLsn: '0/1500000' },
    ],
    configuration: { generation: 1, members: [1], newMembers: null },
    postgres: { major: 18, port: endpoint.port, user: 'me', settings: { work_mem: '8MB' } },
  });
});
