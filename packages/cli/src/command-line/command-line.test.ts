import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lsn, newTenantId, newTimelineId, type SystemId } from '@zenith/base';
import {
  Catalog,
  createEndpoint,
  EmbeddedMetadataStore,
  formatConfig,
  openRepository,
  repositoryLayout,
} from '@zenith/control-plane';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildProgram } from './program.ts';
import { everyCommand, spawnZenith, zenith } from './zenith.test-support.ts';

// A repository in which nothing runs: what the command says, prints and exits with needs no more.
let folder: string;
let deep: string;
let empty: string;
const createdAt = '2026-01-02T03:04:05.678Z';
const systemId = '7300000000000000001' as SystemId;
const mainTimeline = newTimelineId();
const childTimeline = newTimelineId();

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'zenith-cli-'));
  empty = mkdtempSync(join(tmpdir(), 'zenith-cli-empty-'));
  deep = join(folder, 'src', 'deep');
  mkdirSync(deep, { recursive: true });
  const layout = repositoryLayout(join(folder, '.zenith'));
  mkdirSync(layout.root);
  const safekeepers = [1, 2, 3].map((id) => ({ id, port: 61_200 + id, httpPort: 61_210 + id }));
  const pageserver = { port: 61_220, httpPort: 61_221 };
  writeFileSync(
    layout.configFile,
    formatConfig({
      format: 1,
      tenant: newTenantId(),
      pgMajor: 17,
      pgBinDir: null,
      superuser: 'me',
      osUser: null,
      remoteStorage: null,
      auth: false,
      tls: false,
      host: '127.0.0.1',
      pageserver,
      safekeepers,
      computePortFirst: 61_230,
    }),
  );
  EmbeddedMetadataStore.create(layout.metadataFile);
  const catalog = new Catalog(new EmbeddedMetadataStore(layout.metadataFile, layout.locks));
  await catalog.addBranch('main', {
    id: mainTimeline,
    pgMajor: 17,
    systemId,
    ancestor: undefined,
    startLsn: lsn(0x1500000),
    createdAt,
  });
  await catalog.addBranch('migration_check', {
    id: childTimeline,
    pgMajor: 17,
    systemId,
    ancestor: mainTimeline,
    startLsn: lsn(0x1609610),
    createdAt,
  });
  await createEndpoint(openRepository(folder), { branch: 'main', port: 61_231 });
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  rmSync(empty, { recursive: true, force: true });
});

describe('as a process', () => {
  test('the command works from a folder below the repository', async () => {
    expect(await spawnZenith(deep, 'branch')).toEqual({
      exitCode: 0,
      stdout: ' main\n ┗━ @0/1609610: migration_check\n',
      stderr: '',
    });
  });

  test('a failure is the exit status and one line', async () => {
    expect(await spawnZenith(folder, 'pg', 'stop', 'nope')).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: "zenith: no endpoint 'nope'; 'zenith pg list' shows those there are\n",
    });
  });

  test('wrong usage has an exit status of its own, and a document with --json', async () => {
    const { exitCode, stdout, stderr } = await spawnZenith(empty, 'start', '--fast', '--json');
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' });
    expect(JSON.parse(stderr)).toEqual({
      error: { code: 'usage', message: "unknown option '--fast'; see 'zenith start --help'" },
    });
  });

  test('init that fails leaves the folder as it was', async () => {
    const { exitCode, stderr } = await spawnZenith(empty, 'init', '--pg-bin', '/nonexistent');
    expect(exitCode).toBe(1);
    expect(stderr.trimEnd().split('\n').at(-1)).toBe(
      "zenith: there is no program 'postgres' in '/nonexistent': name the folder that holds PostgreSQL's server programs",
    );
    expect(readdirSync(empty)).toEqual([]);
  });
});

describe('text', () => {
  test('the tree of branches', async () => {
    expect(await zenith(deep, 'branch')).toEqual({
      exitCode: 0,
      stdout: ' main\n ┗━ @0/1609610: migration_check\n',
      stderr: '',
    });
  });

  test('the list of endpoints', async () => {
    expect(await zenith(deep, 'pg', 'list')).toEqual({
      exitCode: 0,
      stdout: 'BRANCH\tADDRESS\t\tLSN\t\tSTATUS\nmain\t127.0.0.1:61231\t-\tstopped\n',
      stderr: '',
    });
  });

  test('the status of a repository in which nothing runs', async () => {
    const { exitCode, stdout } = await zenith(folder, 'status');
    expect(exitCode).toBe(0);
    expect(stdout).toBe(`Repository .zenith, PostgreSQL 17

NODE           STATUS    ADDRESS           HTTP              PID
pageserver     stopped   127.0.0.1:61220   127.0.0.1:61221   -
safekeeper 1   stopped   127.0.0.1:61201   127.0.0.1:61211   -
safekeeper 2   stopped   127.0.0.1:61202   127.0.0.1:61212   -
safekeeper 3   stopped   127.0.0.1:61203   127.0.0.1:61213   -

BRANCH            PARENT           COMMITTED   INGESTED   DURABLE   REMOTE   LAG
main              -                -           -          -         -        -
migration_check   main@0/1609610   -           -          -         -        -

ENDPOINT   BRANCH   STATUS    ADDRESS           LSN   PID
main       main     stopped   127.0.0.1:61231   -     -
`);
  });

  test('stopping what does not run says so and succeeds', async () => {
    const { exitCode, stdout } = await zenith(folder, 'stop');
    expect({ exitCode, stdout }).toEqual({
      exitCode: 0,
      stdout:
        'Pageserver is not running\nSafekeeper 1 is not running\nSafekeeper 2 is not running\nSafekeeper 3 is not running\n',
    });
  });
});

describe('--json', () => {
  test('prints one document, and nothing else', async () => {
    const { exitCode, stdout, stderr } = await zenith(deep, 'branch', '--json');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(JSON.parse(stdout)).toEqual({
      branches: [
        { name: 'main', timeline: mainTimeline, ancestor: null, startLsn: '0/1500000', createdAt, protected: false },
        {
          name: 'migration_check',
          timeline: childTimeline,
          ancestor: mainTimeline,
          startLsn: '0/1609610',
          createdAt,
          protected: false,
        },
      ],
    });
  });

  test('of the status names every node, branch and endpoint', async () => {
    const document = JSON.parse((await zenith(folder, 'status', '--json')).stdout);
    expect(
      document.nodes.map((node: { service: string; id: number | null; status: string }) => [
        node.service,
        node.id,
        node.status,
      ]),
    ).toEqual([
      ['pageserver', null, 'stopped'],
      ['safekeeper', 1, 'stopped'],
      ['safekeeper', 2, 'stopped'],
      ['safekeeper', 3, 'stopped'],
    ]);
    expect(document.branches.map((branch: { name: string }) => branch.name)).toEqual(['main', 'migration_check']);
    expect(document.endpoints).toMatchObject([{ name: 'main', status: 'stopped', port: 61_231 }]);
  });

  test('puts a failure on standard error as a document', async () => {
    const { exitCode, stdout, stderr } = await zenith(empty, 'status', '--json');
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
    expect(JSON.parse(stderr)).toEqual({
      error: {
        code: 'no-repository',
        message: `no zenith repository in ${empty} or above: make one with 'zenith init'`,
      },
    });
  });

  test('puts wrong usage there too', async () => {
    const { exitCode, stderr } = await zenith(folder, 'pg', 'start', '--json');
    expect(exitCode).toBe(2);
    expect(JSON.parse(stderr)).toEqual({
      error: { code: 'usage', message: "missing required argument 'name'; see 'zenith pg start --help'" },
    });
  });
});

describe('a failure is one line on standard error', () => {
  test.each([
    ['1', ['pg', 'start', 'main'], "zenith: the pageserver is not running: start it with 'zenith start'"],
    ['1', ['pg', 'start', 'nope'], "zenith: the pageserver is not running: start it with 'zenith start'"],
    ['1', ['pg', 'stop', 'nope'], "zenith: no endpoint 'nope'; 'zenith pg list' shows those there are"],
    ['1', ['pg', 'create', 'nope'], "zenith: no branch 'nope'; 'zenith branch' lists those there are"],
    ['1', ['pg', 'create', 'main'], "zenith: an endpoint 'main' exists already"],
    [
      '1',
      ['pg', 'create', 'migration_check', '--port', '61220'],
      'zenith: port 61220 belongs to the pageserver in this repository: choose another',
    ],
    ['1', ['branch', 'main'], "zenith: a branch 'main' exists already"],
    ['1', ['branch', 'new', 'nope'], "zenith: no branch 'nope'; 'zenith branch' lists those there are"],
    [
      '1',
      ['branch', 'new', 'main@7'],
      "zenith: 'main@7' is no start point: '7' is not an LSN; write one such as 0/16B3D98, or a time such as 2026-11-22 10:00:00",
    ],
    ['1', ['branch', 'new', 'main@2026-02-30'], "zenith: '2026-02-30' is no time: there is no such time"],
    ['1', ['branch', 'delete', 'nope'], "zenith: no branch 'nope'; 'zenith branch' lists those there are"],
    ['1', ['branch', 'delete', 'main'], "zenith: branch 'migration_check' was made from 'main': delete that one first"],
    ['1', ['branch', 'rename', 'main', 'migration_check'], "zenith: a branch 'migration_check' exists already"],
    [
      '1',
      ['branch', 'rename', 'main', 'reset'],
      `zenith: "reset" cannot name a branch: 'zenith branch reset' is a command`,
    ],
    ['1', ['branch', 'reset', 'main'], "zenith: branch 'main' was made from no other: there is nothing to reset it to"],
    [
      '2',
      ['branch', 'restore', 'main'],
      "zenith: required option '--to <position>' not specified; see 'zenith branch restore --help'",
    ],
    ['2', ['config', 'set', 'x', '1'], "zenith: there is no setting 'x': there are history and history-bytes"],
    [
      '1',
      ['config', 'set', 'history', 'week'],
      "zenith: 'week' is not a length of time such as '7d', '36h' or '30min'",
    ],
    ['1', ['lsn', 'nope'], "zenith: no branch 'nope'; 'zenith branch' lists those there are"],
    [
      '1',
      ['lsn', 'main', '--at', 'noon'],
      "zenith: 'noon' is no time: write one such as '2026-11-22 10:00:00', which is local time, or '2026-11-22 10:00:00+01'",
    ],
    ['1', ['branch', 'new', 'f'.repeat(32)], `zenith: no timeline ${'f'.repeat(32)} in this repository`],
    [
      '1',
      ['branch', 'a/b'],
      `zenith: "a/b" cannot name a branch: use 1 to 63 letters, digits, '.', '_' and '-', beginning with a letter, a digit or '_'`,
    ],
    ['1', ['branch', 'new'], "zenith: the pageserver is not running: start it with 'zenith start'"],
    ['1', ['psql'], "zenith: no postgres node is running on 'main': start one with 'zenith pg start main'"],
    [
      '1',
      ['psql', '--', '-c', 'select 1'],
      "zenith: no postgres node is running on 'main': start one with 'zenith pg start main'",
    ],
    [
      '1',
      ['psql', 'main', '-Atc', 'select 1'],
      "zenith: no postgres node is running on 'main': start one with 'zenith pg start main'",
    ],
    [
      '1',
      ['psql', '-Atc', 'select 1', '--csv'],
      "zenith: no postgres node is running on 'main': start one with 'zenith pg start main'",
    ],
    ['1', ['psql', 'nope'], "zenith: no branch 'nope'; 'zenith branch' lists those there are"],
    ['1', ['page', 'nope', '1663/5/16384', '0'], "zenith: no branch 'nope'; 'zenith branch' lists those there are"],
    [
      '1',
      ['page', 'main', 'public.t', '0'],
      "zenith: names of relations are looked up by the server on the branch, and no postgres node is running on 'main': start one with 'zenith pg start main', or write TABLESPACE/DATABASE/RELFILENODE (oids)",
    ],
    [
      '1',
      ['page', 'main', '1663/5/16384', '0', '--fork', 'fsm'],
      'zenith: free-space maps are not in the WAL and so not kept: there is no page to show',
    ],
    [
      '2',
      ['page', 'main', 't', 'x'],
      "zenith: command-argument value 'x' is invalid for argument 'block'. it must be a block number; see 'zenith page --help'",
    ],
    ['2', ['page', 'main', 't', '0', '--diff', '0/1'], "zenith: --diff takes two LSNs; see 'zenith page --help'"],
    [
      '2',
      ['page', 'main', 't', '0', '--limit', '0'],
      "zenith: option '--limit <count>' argument '0' is invalid. it must be a number from 1 to 1000; see 'zenith page --help'",
    ],
    ['2', ['pg'], "zenith: a command is missing; see 'zenith pg --help'"],
    ['2', ['stauts'], "zenith: unknown command 'stauts' (Did you mean status?); see 'zenith --help'"],
    ['2', ['start', '--fast'], "zenith: unknown option '--fast'; see 'zenith start --help'"],
    ['2', ['pg', 'strat', 'main'], "zenith: unknown command 'strat' (Did you mean start?); see 'zenith pg --help'"],
    ['2', ['branch', 'delete'], "zenith: missing required argument 'name'; see 'zenith branch delete --help'"],
    [
      '2',
      ['init', '--pg-version', '9'],
      "zenith: option '--pg-version <major>' argument '9' is invalid. it must be one of 15, 16, 17, 18; see 'zenith init --help'",
    ],
    [
      '2',
      ['pg', 'create', 'main', '--port', '0'],
      "zenith: option '--port <port>' argument '0' is invalid. it must be a port, 1 to 65535; see 'zenith pg create --help'",
    ],
    [
      '2',
      ['pg', 'create', 'main', '--set', 'x'],
      "zenith: option '--set <name=value>' argument 'x' is invalid. 'x' is no setting: write NAME=VALUE, for instance work_mem=64MB; see 'zenith pg create --help'",
    ],
  ])('exit status %s: zenith %j', async (exitCode, args, line) => {
    expect(await zenith(deep, ...args)).toEqual({ exitCode: Number(exitCode), stdout: '', stderr: `${line}\n` });
  });

  test('branch delete --if-exists of what is not there is none', async () => {
    expect(await zenith(folder, 'branch', 'delete', 'nope', '--if-exists')).toEqual({
      exitCode: 0,
      stdout: "There is no branch 'nope'\n",
      stderr: '',
    });
    expect((await zenith(folder, 'branch', 'delete', 'main', '--if-exists')).exitCode).toBe(1);
  });

  test('init where a repository is already', async () => {
    const { exitCode, stderr } = await zenith(folder, 'init');
    expect(exitCode).toBe(1);
    expect(stderr).toContain(`${join(folder, '.zenith')} exists already`);
  });
});

describe('--help', () => {
  const commands = everyCommand().map((one) => ({ ...one, name: ['zenith', ...one.words].join(' ') }));

  test.each(commands)('$name', async ({ words, name, command, acts }) => {
    const { exitCode, stdout, stderr } = await zenith(empty, ...words, '--help');
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    expect(stdout).toContain(`Usage: ${name} `);
    for (const { description } of [...command.options, ...command.registeredArguments])
      expect(description).not.toBe('');
    expect(command.description()).not.toBe('');
    if (!acts) return;
    expect(command.options.map(({ long }) => long)).toEqual(expect.arrayContaining(['--json', '--dir']));
    const examples = Array.from(stdout.matchAll(/^ {2}\$ (.*)$/gm), ([, example]) => example);
    expect(examples.length).toBeGreaterThan(0);
    for (const example of examples) expect(`${example} `).toContain(`${name} `);
  });

  test('names the defaults', async () => {
    const { stdout } = await zenith(empty, 'init', '--help');
    for (const port of ['64000', '9898', '64101', '64201', '55432']) expect(stdout).toContain(`(default: ${port})`);
  });

  test('--version prints the version', async () => {
    expect((await zenith(empty, '--version')).stdout).toBe('0.0.0\n');
  });
});

test('what is configured is shown, and is what was set', async () => {
  expect((await zenith(folder, 'config')).stdout).toBe('history\t1w\nhistory-bytes\t256MB\n');
  expect((await zenith(folder, 'config', 'set', 'history', '36h')).stdout).toBe('history\t36h\n');
  expect(JSON.parse((await zenith(folder, 'config', '--json')).stdout)).toEqual({
    history: '36h',
    'history-bytes': '256MB',
  });
});

describe('tokens and keys', () => {
  test('a repository that asks for none says so', async () => {
    for (const args of [['keys'], ['rotate'], ['revoke', 'abc'], ['token', '--role', 'monitor']]) {
      const { exitCode, stdout, stderr } = await zenith(folder, 'auth', ...args);
      expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' });
      expect(stderr).toContain("this repository asks for no tokens: 'zenith init --auth' makes one that does");
    }
  });

  test('one whose connections are plain says so', async () => {
    for (const args of [[], ['--renew']]) {
      const { exitCode, stderr } = await zenith(folder, 'auth', 'certificates', ...args);
      expect([exitCode, stderr]).toEqual([1, expect.stringContaining("'zenith init --tls' makes one whose are not")]);
    }
    const { exitCode, stderr } = await zenith(empty, 'init', '--tls-cert', 'a.pem');
    expect([exitCode, stderr]).toEqual([2, expect.stringContaining('--tls-cert, --tls-key and --tls-ca belong')]);
  });

  test('what makes no sense is refused as usage', async () => {
    const wrong = [
      [[], "required option '--role <role>' not specified"],
      [['--role', 'king'], 'Allowed choices are admin, compute, pageserver, safekeeper, reader, monitor'],
      [['--role', 'reader', '--timeline', 'x'], 'it must be 32 hexadecimal digits, lower-case'],
      [['--role', 'reader', '--expires', 'soon'], "'soon' is not a length of time"],
    ] as const;
    for (const [args, message] of wrong) {
      const { exitCode, stderr } = await zenith(folder, 'auth', 'token', ...args);
      expect([exitCode, stderr]).toEqual([2, expect.stringContaining(message)]);
    }
  });

  test('are listed, rotated, shown and revoked', async () => {
    const { configFile } = repositoryLayout(join(folder, '.zenith'));
    const before = readFileSync(configFile, 'utf8');
    writeFileSync(configFile, before.replace('"auth": false', '"auth": true'));
    try {
      const { keyId: first } = JSON.parse((await zenith(folder, 'auth', 'rotate', '--json')).stdout) as {
        keyId: string;
      };
      const { keyId, accepted } = JSON.parse((await zenith(folder, 'auth', 'rotate', '--json')).stdout) as {
        keyId: string;
        accepted: string[];
      };
      expect(accepted).toEqual([first]);
      const listed = (await zenith(folder, 'auth', 'keys')).stdout.split('\n');
      expect(listed[0]).toMatch(/^KEY +STATUS +CREATED \(UTC\) +AGE$/);
      expect(listed[1]).toMatch(new RegExp(`^${keyId} +signs +\\d{4}-`));
      expect(listed[2]).toMatch(new RegExp(`^${first} +accepted +\\d{4}-`));
      const shown = await zenith(folder, 'auth', 'token', '--role', 'reader', '--branch', 'main', '--json');
      expect(JSON.parse(shown.stdout)).toMatchObject({ keyId, role: 'reader', timeline: mainTimeline });
      expect((await zenith(folder, 'auth', 'token', '--role', 'monitor', '--expires', 'never')).stdout).toMatch(
        /^[\w-]+\.[\w-]+\.[\w-]+\n$/,
      );
      expect(await zenith(folder, 'auth', 'revoke', keyId)).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining("'zenith auth rotate' makes another"),
      });
      expect((await zenith(folder, 'auth', 'revoke', first)).stdout).toBe(
        `Tokens of key ${first} are refused from now on\n`,
      );
    } finally {
      writeFileSync(configFile, before);
    }
  });
});

test('--dir works in another folder', async () => {
  expect((await zenith(empty, 'branch', '-C', deep)).stdout).toContain('migration_check');
});

describe('a name that is the word of a command', () => {
  const program = buildProgram(
    { stdout: process.stdout, stderr: process.stderr, folder: '.', signal: new AbortController().signal },
    '0.0.0',
  );
  const wordsBelow = (name: string): string[] =>
    program.commands.find((command) => command.name() === name)?.commands.map((command) => command.name()) ?? [];

  test('can stand in its place below two commands only', () => {
    const both = program.commands.filter(
      ({ commands, registeredArguments }) => commands.length * registeredArguments.length > 0,
    );
    expect(both.map((command) => command.name()).sort()).toEqual(['branch', 'lease']);
  });

  test('is given to no branch where it would hide the command that makes one', async () => {
    const words = wordsBelow('branch');
    expect(words.length).toBeGreaterThan(5);
    for (const word of words)
      expect((await zenith(folder, 'branch', 'rename', 'migration_check', word)).stderr).toBe(
        `zenith: "${word}" cannot name a branch: 'zenith branch ${word}' is a command\n`,
      );
  });

  test('is a branch to zenith lease take', async () => {
    const words = wordsBelow('lease');
    expect(words.length).toBeGreaterThan(2);
    for (const word of words)
      expect((await zenith(folder, 'lease', 'take', word)).stderr).toBe(
        `zenith: no branch '${word}'; 'zenith branch' lists those there are\n`,
      );
  });
});
