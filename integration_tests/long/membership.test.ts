import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { changeMembers, nodeId, openRepository, type MemberChange } from '@zenith/control-plane';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { auditBank, createBank, runBank, type BankResult } from '../support/bank.ts';
import { COMMAND, Zenith } from '../support/zenith.ts';

const options = { clients: 4, accounts: 200 };

interface ListJson {
  readonly members: readonly number[];
  readonly newMembers: readonly number[] | null;
  readonly safekeepers: readonly { readonly id: number; readonly role: string; readonly status: string }[];
}

let zenith: Zenith;
const results: BankResult[] = [];
beforeAll(async () => {
  zenith = await Zenith.init('--safekeepers', '3');
  await zenith.run('start');
  await zenith.startPostgres('main');
  const client = await zenith.connect();
  await createBank(client, options);
  await client.end();
});
afterAll(() => zenith.destroy());

async function audit(): Promise<void> {
  const client = await zenith.connect();
  try {
    expect(await auditBank(client, results)).toEqual([]);
  } finally {
    await client.end();
  }
}

/** Transfers go on while `change` happens, and none of them fails. */
async function underLoad(firstId: number, change: () => Promise<void>): Promise<void> {
  const supervisor = zenith.pid('compute main');
  const [postmaster] = zenith.children(supervisor);
  const result = await runBank(() => zenith.connect(), options, { firstId, until: change() });
  results.push(result);
  expect(result.errors).toEqual([]);
  expect(result.unknown.size).toBe(0);
  expect(result.acknowledged.size).toBeGreaterThan(50);
  expect([zenith.pid('compute main'), ...zenith.children(supervisor)]).toEqual([supervisor, postmaster]);
  await audit();
}

class Interruption extends Error {}

/** Begins a change in this process and breaks off where it says a line that matches. */
async function breakOffAt(line: RegExp, change: MemberChange): Promise<void> {
  const changed = changeMembers(openRepository(zenith.directory), change, {
    onProgress: (doing) => {
      if (line.test(doing)) throw new Interruption();
    },
  });
  await expect(changed).rejects.toBeInstanceOf(Interruption);
}

/** Gives a command, kills it as soon as it has said a line that matches, and waits until it is gone. Where exactly the kill meets it nobody knows. */
async function killCommandAt(line: RegExp, ...args: string[]): Promise<void> {
  const child = spawn(process.execPath, [COMMAND, ...args], {
    cwd: zenith.directory,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    if (line.test(said)) child.kill('SIGKILL');
  });
  await new Promise((resolve) => child.once('close', resolve));
  expect(said).toMatch(line);
}

test('each of three safekeepers is replaced in turn under load: no transaction fails, none is lost', async () => {
  await underLoad(1, async () => {
    for (const id of [1, 2, 3]) await zenith.run('safekeeper', 'replace', String(id));
  });
  const list = await zenith.json<ListJson>('safekeeper', 'list');
  expect(list).toMatchObject({ members: [4, 5, 6], newMembers: null });
  expect(list.safekeepers.map(({ id, role, status }) => [id, role, status])).toEqual([
    [4, 'member', 'running'],
    [5, 'member', 'running'],
    [6, 'member', 'running'],
  ]);
});

test('a change that is broken off at any step, or killed, is gone on with by giving the command again', async () => {
  await underLoad(1_000_000, async () => {
    const change: MemberChange = { kind: 'replace', id: nodeId(4) };
    await breakOffAt(/^starting safekeeper 7/, change);
    await breakOffAt(/^copying the WAL to safekeeper 7/, change);
    await breakOffAt(/^from 4, 5, 6 to 5, 6, 7/, change);
    const other = await zenith.try('safekeeper', 'remove', '5');
    expect(other.code).toBe(1);
    expect(other.stderr).toContain('the members are being changed from 4, 5, 6 to 5, 6, 7');
    await killCommandAt(/From 4, 5, 6 to 5, 6, 7/, 'safekeeper', 'replace', '4');
    const { safekeepers } = await zenith.json<ListJson>('safekeeper', 'list');
    if (safekeepers.some(({ id }) => id === 4)) await zenith.run('safekeeper', 'replace', '4'); // else the kill came too late
  });
  expect(await zenith.json<ListJson>('safekeeper', 'list')).toMatchObject({ members: [5, 6, 7], newMembers: null });
});

test('a safekeeper that is lost with its disk is replaced, and members are added, removed and a change taken back', async () => {
  await underLoad(2_000_000, async () => {
    await zenith.kill('safekeeper 5');
    rmSync(join(zenith.repository, 'safekeepers/5'), { recursive: true });
    await zenith.run('safekeeper', 'replace', '5');
    await zenith.run('safekeeper', 'remove', '6');
    await zenith.run('safekeeper', 'remove', '7');
    await zenith.run('safekeeper', 'add');
    await breakOffAt(/^from 8, 9 to 8, 9, 10/, { kind: 'add' });
    await zenith.run('safekeeper', 'abort');
  });
  expect(await zenith.json<ListJson>('safekeeper', 'list')).toMatchObject({ members: [8, 9], newMembers: null });
  const last = await zenith.try('safekeeper', 'remove', '3');
  expect(last).toMatchObject({ code: 1, stderr: expect.stringContaining('there is no safekeeper 3') });
});

test('a stop and a start of everything find the new members', async () => {
  await zenith.run('stop');
  await zenith.run('start');
  await zenith.startPostgres('main');
  await audit();
  await zenith.run('branch', 'after', 'main');
  await zenith.startPostgres('after');
  expect(await zenith.query('after', 'select count(*)::int from bank')).toEqual([{ count: options.accounts }]);
});

test('a safekeeper that is added after a branch was deleted knows that nobody makes its timeline again', async () => {
  await zenith.run('branch', 'gone');
  const { timeline } = await zenith.branch('gone');
  await zenith.run('branch', 'delete', 'gone');
  await zenith.run('safekeeper', 'add');
  const { tenant } = await zenith.branch('main');
  const { nodes } = await zenith.status();
  const last = nodes.at(-1);
  expect(last?.id).toBeGreaterThan(3);
  const response = await fetch(`http://127.0.0.1:${last?.httpPort}/v1/tenant/${tenant}/removed`);
  expect(await response.json()).toContain(timeline);
});
