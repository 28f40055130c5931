import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatLsn, INVALID_LSN, newTimelineId, parseLsn } from '@zenith/base';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deleteBranch, protectBranch, renameBranch, resetBranch, restoreBranch } from './branches/change-branch.ts';
import { createBranch, listBranches } from './branches/create-branch.ts';
import { finishTimelines } from './branches/new-timeline.ts';
import { parsePosition } from './branches/start-point.ts';
import { PageserverClient } from './clients/pageserver-client.ts';
import { SafekeeperClient } from './clients/safekeeper-client.ts';
import { endpointProcess } from './endpoints/endpoint-process.ts';
import { createEndpoint, listEndpoints } from './endpoints/endpoints.ts';
import { startEndpoint, stopEndpoint } from './endpoints/start-stop.ts';
import { nodeProcess, safekeeperNodes, storageNodes } from './nodes/node.ts';
import { restartNodes, startNodes, stopNodes, type NodeEvent } from './nodes/start-stop.ts';
import { isPortFree } from './process/ports.ts';
import { signalProcess, waitForExit } from './process/terminate.ts';
import { initRepository } from './repository/init.ts';
import type { Repository } from './repository/repository.ts';
import { clusterStatus } from './status/cluster-status.ts';

// Real services, as built by `npm run build`, and a real PostgreSQL. One repository for all tests, which run in order.
let folder: string;
let repository: Repository;

/** A block of ports that nobody uses, below those the kernel gives out. */
async function freePorts(count: number): Promise<number> {
  for (let first = 12_000 + (process.pid % 400) * 40; ; first += 40) {
    const free = await Promise.all(Array.from({ length: count }, (_, index) => isPortFree('127.0.0.1', first + index)));
    if (free.every(Boolean)) return first;
  }
}

async function sql(endpoint: string, statement: string): Promise<Record<string, unknown>[]> {
  const { port } = (await repository.catalog.endpoint(endpoint)) ?? { port: 0 };
  const client = new pg.Client({ host: '127.0.0.1', port, user: repository.config.superuser, database: 'postgres' });
  client.on('error', () => undefined); // the server may be stopped under it; a query in flight rejects by itself
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(statement)).rows;
  } finally {
    await client.end();
  }
}

const currentLsn = async (): Promise<string> =>
  String((await sql('main', 'select pg_current_wal_insert_lsn() as lsn'))[0]?.['lsn']);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'zenith-cluster-'));
  const first = await freePorts(20);
  repository = await initRepository({
    folder,
    safekeepers: 3,
    pageserverPort: first,
    pageserverHttpPort: first + 1,
    safekeeperPortFirst: first + 2,
    safekeeperHttpPortFirst: first + 5,
    computePortFirst: first + 8,
  });
  await startNodes(repository);
  await startEndpoint(repository, 'main');
  await sql('main', 'create table t(key int primary key); insert into t select generate_series(1, 1000)');
});

afterAll(async () => {
  for (const { name } of await listEndpoints(repository))
    await stopEndpoint(repository, name, { immediate: true, destroy: true });
  await stopNodes(repository, { immediate: true });
  rmSync(folder, { recursive: true, force: true });
});

describe('a new repository', () => {
  test('has one branch and nothing beside its place', async () => {
    expect(readdirSync(folder)).toEqual(['.zenith']);
    expect((await listBranches(repository)).map(({ name, record }) => [name, record.ancestor])).toEqual([
      ['main', undefined],
    ]);
  });

  test.each(['creating', 'importing'])('whose making is interrupted at "%s" leaves nothing', async (step) => {
    const other = mkdtempSync(join(tmpdir(), 'zenith-interrupted-'));
    const interrupt = new AbortController();
    const onProgress = (text: string): void => {
      if (text.startsWith(step)) interrupt.abort();
    };
    await expect(initRepository({ folder: other, onProgress, signal: interrupt.signal })).rejects.toMatchObject({
      code: 'interrupted',
    });
    expect(readdirSync(other)).toEqual([]);
    rmSync(other, { recursive: true });
  });

  test('shows everything as running, with LSNs', async () => {
    const status = await clusterStatus(repository);
    expect(status.nodes.map(({ state, message }) => [state, message])).toEqual(
      Array.from({ length: 4 }, () => ['running', undefined]),
    );
    expect(status.endpoints.map(({ name, status: { state } }) => [name, state])).toEqual([['main', 'running']]);
    expect(status.branches[0]?.commitLsn).toBeGreaterThan(status.branches[0]?.branch.record.startLsn ?? Number.NaN);
  });
});

describe('a branch', () => {
  test('without an LSN holds every commit that was acknowledged before, and no later one', async () => {
    await sql('main', 'insert into t values (2000)');
    await createBranch(repository, 'now');
    await sql('main', 'insert into t values (2001)');
    await startEndpoint(repository, 'now');
    expect(await sql('now', 'select max(key) from t')).toEqual([{ max: 2000 }]);
  });

  test('at an LSN of the past holds exactly what was there then', async () => {
    const then = await currentLsn();
    await sql('main', 'delete from t where key <= 500');
    const branch = await createBranch(repository, 'past', `main@${then}`);
    expect(branch.record.startLsn).toBe(parseLsn(then));
    await startEndpoint(repository, 'past');
    expect(await sql('past', 'select count(*)::int from t where key <= 500')).toEqual([{ count: 500 }]);
    expect(await sql('main', 'select count(*)::int from t where key <= 500')).toEqual([{ count: 0 }]);
  });

  test('at a time holds what was committed by then, also when that lies in its ancestor', async () => {
    const now = async (): Promise<string> =>
      String(
        (
          await sql('main', "select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') as now")
        )[0]?.['now'],
      );
    await sql('main', 'create table clock(n int); insert into clock values (1)');
    const first = await now();
    await sql('main', 'insert into clock values (2)');
    const second = await now();
    await sql('main', 'insert into clock values (3)');
    await createBranch(repository, 'two', `main@${second}Z`);
    const one = await createBranch(repository, 'one', `two@${first} UTC`);
    const two = await repository.catalog.branch('two');
    expect(one.record.ancestor).toBe((await repository.catalog.timeline(two.timeline)).ancestor);
    for (const [branch, count] of [
      ['two', 2],
      ['one', 1],
    ] as const) {
      await startEndpoint(repository, branch);
      expect(await sql(branch, 'select count(*)::int from clock')).toEqual([{ count }]);
      await stopEndpoint(repository, branch, { immediate: true, destroy: true });
    }
    await expect(createBranch(repository, 'never', 'main@2000-01-01Z')).rejects.toMatchObject({
      code: 'time-before-history',
    });
    await expect(createBranch(repository, 'never', 'main@2100-01-01Z')).rejects.toMatchObject({
      code: 'time-after-last-commit',
    });
  });

  test('of a timeline id is one of the branch that names it; a branch of a branch sees both histories', async () => {
    const now = await repository.catalog.branch('now');
    await sql('now', 'insert into t values (3000)');
    await createBranch(repository, 'grandchild', now.timeline);
    await startEndpoint(repository, 'grandchild');
    expect(await sql('grandchild', 'select key from t where key >= 2000 order by key')).toEqual([
      { key: 2000 },
      { key: 3000 },
    ]);
  });

  test('of a branch that never ran starts where that one starts', async () => {
    const first = await createBranch(repository, 'untouched');
    const second = await createBranch(repository, 'of_untouched', 'untouched');
    expect(second.record.startLsn).toBe(first.record.startLsn);
    expect(second.record.ancestor).toBe(first.timeline);
  });

  test('of a stopped branch starts at its very end', async () => {
    await sql('past', 'insert into t values (4000)');
    await stopEndpoint(repository, 'past');
    await createBranch(repository, 'of_stopped', 'past');
    await startEndpoint(repository, 'of_stopped');
    expect(await sql('of_stopped', 'select key from t where key = 4000')).toEqual([{ key: 4000 }]);
    await stopEndpoint(repository, 'of_stopped');
  });

  test.each([
    ['in the future', 'main@7F/0', 'lsn-in-future', /^7F\/0 lies in the future of branch 'main', which ends at 0\//],
    [
      'before the beginning',
      'main@0/1000028',
      'lsn-before-start',
      /^0\/1000028 lies before branch 'main', which begins at 0\//,
    ],
  ])('%s is refused and changes nothing', async (_what, start, code, message) => {
    const before = await listBranches(repository);
    const refused = createBranch(repository, 'wrong', start);
    await expect(refused).rejects.toMatchObject({ code });
    await expect(refused).rejects.toThrow(message);
    expect(await listBranches(repository)).toEqual(before);
  });

  test("before its parent's branch point belongs to the grandparent, and is refused", async () => {
    const main = (await listBranches(repository)).find(({ name }) => name === 'main');
    const refused = createBranch(repository, 'wrong', `now@${formatLsn(main?.record.startLsn ?? INVALID_LSN)}`);
    await expect(refused).rejects.toMatchObject({ code: 'lsn-before-start' });
    await expect(refused).rejects.toThrow(/lies before branch 'now'.*start from its parent$/);
  });

  test('of one name is made once by many who try at once', async () => {
    const tries = await Promise.allSettled(Array.from({ length: 5 }, () => createBranch(repository, 'contested')));
    expect(tries.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const one of tries) if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'branch-exists' });
  });
});

/** Files of a timeline, in all of the repository. */
function filesOf(timeline: string): string[] {
  return readdirSync(repository.layout.root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && `${entry.parentPath}/${entry.name}`.includes(timeline))
    .map((entry) => `${entry.parentPath}/${entry.name}`);
}

const numbers = async (branch: string): Promise<unknown> => {
  await startEndpoint(repository, branch);
  const rows = await sql(branch, 'select n from steps order by n');
  await stopEndpoint(repository, branch);
  return rows.map(({ n }) => n);
};

describe('a branch is changed as a whole', () => {
  beforeAll(async () => {
    await sql('main', 'create table steps(n int); insert into steps values (1)');
  });

  test('deleted: it is gone from pageserver, safekeepers and remote storage; not while it has branches, runs or is protected', async () => {
    const branch = await createBranch(repository, 'doomed');
    await startEndpoint(repository, 'doomed');
    await sql('doomed', 'insert into steps values (2)');
    await expect(deleteBranch(repository, 'doomed')).rejects.toMatchObject({ code: 'endpoint-running' });
    await stopEndpoint(repository, 'doomed');
    await createBranch(repository, 'doomed_child', 'doomed');
    await expect(deleteBranch(repository, 'doomed')).rejects.toMatchObject({
      code: 'branch-has-branches',
      message: "branch 'doomed_child' was made from 'doomed': delete that one first",
    });
    await deleteBranch(repository, 'doomed_child');
    await protectBranch(repository, 'doomed', true);
    await protectBranch(repository, 'doomed', true);
    for (const refused of [deleteBranch(repository, 'doomed'), resetBranch(repository, 'doomed', undefined)])
      await expect(refused).rejects.toMatchObject({ code: 'branch-protected' });
    await protectBranch(repository, 'doomed', false);
    expect(await deleteBranch(repository, 'doomed')).toEqual({ pending: [] });
    await expect(deleteBranch(repository, 'doomed')).rejects.toMatchObject({ code: 'no-such-branch' });
    expect(await repository.catalog.endpoint('doomed')).toBeUndefined();
    expect(filesOf(branch.timeline).filter((path) => !path.includes('/claims/'))).toEqual([]);
    expect(await new PageserverClient(repository).timeline(branch.timeline)).toBeUndefined();
  });

  test('renamed: its endpoint goes with it', async () => {
    await createBranch(repository, 'first_name');
    await createEndpoint(repository, { branch: 'first_name' });
    const { port } = (await repository.catalog.endpoint('first_name')) ?? { port: 0 };
    await renameBranch(repository, 'first_name', 'second_name');
    expect(await repository.catalog.endpoint('second_name')).toMatchObject({ branch: 'second_name', port });
    expect(await numbers('second_name')).toEqual([1]);
    await expect(repository.catalog.branch('first_name')).rejects.toMatchObject({ code: 'no-such-branch' });
    await expect(renameBranch(repository, 'second_name', 'main')).rejects.toMatchObject({ code: 'branch-exists' });
  });

  test('restored to an LSN and to a time, and reset to its parent: what was before is kept under a name, or deleted', async () => {
    const branch = await createBranch(repository, 'work');
    await startEndpoint(repository, 'work');
    await sql('work', 'insert into steps values (2)');
    const [two] = await sql('work', 'select pg_current_wal_flush_lsn()::text as lsn');
    await sql('work', 'insert into steps values (3)');
    const to = parsePosition(String(two?.['lsn']));
    await expect(restoreBranch(repository, 'work', to, 'kept')).rejects.toMatchObject({ code: 'endpoint-running' });
    await stopEndpoint(repository, 'work');
    const restored = await restoreBranch(repository, 'work', to, 'kept');
    expect(restored.record.ancestor).toBe(branch.timeline);
    expect((await restoreBranch(repository, 'work', to, 'kept')).timeline).toBe(restored.timeline); // repeated, and harmless
    expect(await numbers('work')).toEqual([1, 2]);
    expect(await numbers('kept')).toEqual([1, 2, 3]);
    await expect(resetBranch(repository, 'kept', undefined)).rejects.toMatchObject({ code: 'branch-has-branches' });
    await expect(restoreBranch(repository, 'kept', parsePosition('7F/0'), 'never')).rejects.toMatchObject({
      code: 'lsn-in-future',
    });
    await sql('main', 'insert into steps values (10)');
    await resetBranch(repository, 'kept', 'older');
    expect(await numbers('kept')).toEqual([1, 10]);
    expect(await numbers('older')).toEqual([1, 2, 3]);
    await deleteBranch(repository, 'work');
    await resetBranch(repository, 'older', undefined);
    expect(await numbers('older')).toEqual([1, 10]);
    expect(filesOf(branch.timeline).filter((path) => !path.includes('/claims/'))).toEqual([]);
    await expect(resetBranch(repository, 'main', undefined)).rejects.toMatchObject({ code: 'branch-has-no-parent' });
  });

  test('what a command that died has left is removed by the next: a timeline without a name, and a deleted one while nodes were down', async () => {
    const origin = await repository.catalog.timeline((await repository.catalog.branch('main')).timeline);
    const orphan = newTimelineId();
    await repository.catalog.beginTimeline(orphan, { pid: process.pid, startTicks: 1 }); // another process had this pid
    await new PageserverClient(repository).createTimeline({
      timelineId: orphan,
      ancestorTimelineId: origin.id,
      ancestorLsn: origin.startLsn,
    });
    const branch = await createBranch(repository, 'late');
    await startEndpoint(repository, 'late');
    await stopEndpoint(repository, 'late', { immediate: true });
    const third = (await safekeeperNodes(repository))[2];
    const running = third === undefined ? undefined : nodeProcess(third);
    if (third === undefined || running === undefined) throw new Error('safekeeper 3 does not run');
    signalProcess(running, 'SIGKILL');
    expect(await waitForExit(running, 20_000)).toBe(true);
    const { pending } = await deleteBranch(repository, 'late');
    expect(pending.map(({ message }) => message).join()).toContain('safekeeper 3 does not answer');
    await expect(repository.catalog.branch('late')).rejects.toMatchObject({ code: 'no-such-branch' });
    await startNodes(repository);
    expect(await finishTimelines(repository)).toEqual([]);
    expect(await repository.catalog.unfinished()).toEqual([]);
    expect(await new PageserverClient(repository).timeline(orphan)).toBeUndefined();
    expect(filesOf(branch.timeline).filter((path) => !path.includes('/claims/'))).toEqual([]);
    const { id, httpPort } = repository.config.safekeepers[2] ?? { id: 0, httpPort: 0 };
    expect(await new SafekeeperClient(repository, id, httpPort).timeline(branch.timeline)).toBeUndefined();
  });
});

describe('an endpoint', () => {
  test('started by two at once runs once', async () => {
    await stopEndpoint(repository, 'grandchild');
    const both = await Promise.all([startEndpoint(repository, 'grandchild'), startEndpoint(repository, 'grandchild')]);
    expect(both.filter(({ started }) => started)).toHaveLength(1);
    await stopEndpoint(repository, 'grandchild', { destroy: true });
    expect(existsSync(repository.layout.compute('grandchild').dataDir)).toBe(false);
    expect(await repository.catalog.endpoint('grandchild')).toBeUndefined();
  });

  test('does not start beside another one on its branch', async () => {
    await createEndpoint(repository, { branch: 'main', name: 'second' });
    await expect(startEndpoint(repository, 'second')).rejects.toMatchObject({ code: 'branch-in-use' });
    await stopEndpoint(repository, 'second', { destroy: true });
  });

  test('is not changed while it runs', async () => {
    await expect(startEndpoint(repository, 'main', { settings: { work_mem: '8MB' } })).rejects.toMatchObject({
      code: 'endpoint-running',
    });
    expect((await repository.catalog.endpoint('main'))?.settings).toEqual({});
  });

  test('keeps its settings and data over a stop and a start', async () => {
    await stopEndpoint(repository, 'past');
    await startEndpoint(repository, 'past', { settings: { work_mem: '7MB' } });
    await stopEndpoint(repository, 'past');
    await startEndpoint(repository, 'past');
    expect(await sql('past', 'show work_mem')).toEqual([{ work_mem: '7MB' }]);
    expect(await sql('past', 'select key from t where key = 4000')).toEqual([{ key: 4000 }]);
    await stopEndpoint(repository, 'past');
  });

  test('does not start on a port that another program has, and a new one leaves nothing then', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    try {
      await expect(startEndpoint(repository, 'untouched', { port })).rejects.toMatchObject({
        code: 'port-taken',
        message: expect.stringContaining(`port ${port} on 127.0.0.1, wanted by endpoint 'untouched'`),
      });
    } finally {
      server.close();
    }
    expect(await repository.catalog.endpoint('untouched')).toBeUndefined();
  });

  test('that was killed is shown as crashed, and comes back with all that was acknowledged', async () => {
    await sql('main', 'insert into t values (5000)');
    const supervisor = endpointProcess(repository, 'main');
    if (supervisor === undefined) throw new Error('main does not run');
    signalProcess(supervisor, 'SIGKILL');
    expect(await waitForExit(supervisor, 10_000)).toBe(true);
    expect((await listEndpoints(repository)).find(({ name }) => name === 'main')?.status.state).toBe('crashed');
    await createBranch(repository, 'of_crashed');
    await startEndpoint(repository, 'main');
    expect(await sql('main', 'select key from t where key = 5000')).toEqual([{ key: 5000 }]);
    await startEndpoint(repository, 'of_crashed');
    expect(await sql('of_crashed', 'select key from t where key = 5000')).toEqual([{ key: 5000 }]);
    await stopEndpoint(repository, 'of_crashed', { immediate: true });
    expect((await listEndpoints(repository)).find(({ name }) => name === 'of_crashed')?.status).toMatchObject({
      state: 'stopped',
      message: undefined,
    });
  });
});

describe('the nodes', () => {
  test('are restarted one by one under a running server', async () => {
    const events: NodeEvent['kind'][] = [];
    const before = (await storageNodes(repository)).map((node) => nodeProcess(node)?.pid);
    await restartNodes(repository, { onEvent: ({ kind }) => events.push(kind) });
    const after = (await storageNodes(repository)).map((node) => nodeProcess(node)?.pid);
    expect(after.every((pid, index) => pid !== undefined && pid !== before[index])).toBe(true);
    expect(events).toEqual(
      Array.from({ length: 4 }, () => ['stopping', 'stopped', 'starting', 'started'] as const).flat(),
    );
    await sql('main', 'insert into t values (6000)');
  });

  test('a killed safekeeper is started again by start, which leaves the others alone', async () => {
    const [first] = await safekeeperNodes(repository);
    const victim = first === undefined ? undefined : nodeProcess(first);
    if (first === undefined || victim === undefined) throw new Error('safekeeper 1 does not run');
    signalProcess(victim, 'SIGKILL');
    expect(await waitForExit(victim, 10_000)).toBe(true);
    await sql('main', 'insert into t values (6001)');
    const events: [string, string][] = [];
    await startNodes(repository, { onEvent: ({ kind, node }) => events.push([node.what, kind]) });
    expect(events).toEqual([
      ['the pageserver', 'already-running'],
      ['safekeeper 2', 'already-running'],
      ['safekeeper 3', 'already-running'],
      ['safekeeper 1', 'starting'],
      ['safekeeper 1', 'started'],
    ]);
  });

  test('without a quorum no branch and no compute is made', async () => {
    const victims = (await safekeeperNodes(repository)).slice(1);
    for (const node of victims) {
      const victim = nodeProcess(node);
      if (victim !== undefined) {
        signalProcess(victim, 'SIGKILL');
        await waitForExit(victim, 10_000);
      }
    }
    await expect(createBranch(repository, 'no_quorum')).rejects.toMatchObject({
      code: 'not-running',
      message: expect.stringContaining('1 of 3 safekeepers run, but 2 are needed'),
    });
    await startNodes(repository);
    await createBranch(repository, 'quorum_again');
  });

  test('of which one cannot start, none is left running', async () => {
    await stopEndpoint(repository, 'main');
    await stopEndpoint(repository, 'now');
    await stopNodes(repository);
    const server = createServer().listen(repository.config.safekeepers[1]?.port, '127.0.0.1');
    await once(server, 'listening');
    await expect(startNodes(repository)).rejects.toMatchObject({
      code: 'port-taken',
      message: expect.stringContaining('wanted by safekeeper 2'),
    });
    expect((await storageNodes(repository)).map((node) => nodeProcess(node))).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    server.close();
    await once(server, 'close');
    await startNodes(repository);
    await startEndpoint(repository, 'main');
    expect(await sql('main', 'select max(key) from t')).toEqual([{ max: 6001 }]);
  });
});
