import { mkdirSync, mkdtempSync, readdirSync, rmSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { bareRepository, type BareRepository } from './fake-repository.test-support.ts';
import { initRepository } from './init.ts';
import { findRepository, openRepository } from './repository.ts';

let bare: BareRepository;
let empty: string;
beforeEach(async () => {
  bare = await bareRepository();
  empty = mkdtempSync(join(tmpdir(), 'zenith-empty-'));
});
afterEach(() => {
  bare.remove();
  rmSync(empty, { recursive: true, force: true });
});

test('a repository is found from any folder below it', () => {
  const deep = join(bare.folder, 'a', 'b', 'c');
  mkdirSync(deep, { recursive: true });
  expect(findRepository(deep)).toBe(join(bare.folder, '.zenith'));
  expect(openRepository(deep).layout.root).toBe(join(bare.folder, '.zenith'));
});

test('a .zenith without a configuration is no repository', () => {
  mkdirSync(join(empty, '.zenith'));
  expect(findRepository(empty)).toBeUndefined();
  expect(() => openRepository(empty)).toThrow(`no zenith repository in ${empty} or above: make one with 'zenith init'`);
});

test('through a symbolic link a repository has the same name', () => {
  const link = join(empty, 'link');
  symlinkSync(bare.folder, link);
  expect(openRepository(link).layout.root).toBe(join(bare.folder, '.zenith'));
});

test('init refuses a folder that has a repository', async () => {
  await expect(initRepository({ folder: bare.folder })).rejects.toMatchObject({ code: 'repository-exists' });
});

test.each([
  [
    'a folder in one that does not exist',
    { folder: '/nonexistent/folder' },
    'system',
    'cannot make /nonexistent/folder',
  ],
  [
    'a certificate that is not there',
    { tls: { certificate: '/nonexistent/a.pem', key: '/nonexistent/b.pem', authorities: '/nonexistent/c.pem' } },
    'invalid-option',
    '/nonexistent/a.pem and /nonexistent/b.pem cannot be used (ENOENT)',
  ],
  [
    'a folder without PostgreSQL programs',
    { pgBinDir: '/nonexistent/bin' },
    'postgres-not-found',
    "there is no program 'postgres' in '/nonexistent/bin'",
  ],
  ['no safekeepers', { safekeepers: 0 }, 'invalid-option', 'a repository has 1 to 7 safekeepers, not 0'],
  ['too many safekeepers', { safekeepers: 8 }, 'invalid-option', 'not 8'],
  [
    'two services on one port',
    { pageserverPort: 9898 },
    'invalid-option',
    'these options do not fit together: two services have the same port',
  ],
])('init with %s fails and leaves nothing', async (_what, options, code, message) => {
  const failure = initRepository({ folder: empty, ...options });
  await expect(failure).rejects.toMatchObject({ code });
  await expect(failure).rejects.toThrow(message);
  expect(readdirSync(empty)).toEqual([]);
});

test('a folder that init has made is gone after a failure, one that was there is not', async () => {
  const folder = join(empty, 'made');
  await expect(initRepository({ folder, pgBinDir: '/nonexistent/bin' })).rejects.toThrow('no program');
  expect(readdirSync(empty)).toEqual([]);
  mkdirSync(folder);
  await expect(initRepository({ folder, pgBinDir: '/nonexistent/bin' })).rejects.toThrow('no program');
  expect(readdirSync(empty)).toEqual(['made']);
  rmdirSync(folder);
});

test('an interrupted init leaves nothing', async () => {
  await expect(initRepository({ folder: empty, signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: 'interrupted',
  });
  expect(readdirSync(empty)).toEqual([]);
});

test('what a killed init left is removed by the next, what a running one makes is not', async () => {
  mkdirSync(join(empty, '.zenith.new-4194305-abc'));
  mkdirSync(join(empty, `.zenith.new-${process.pid}-abc`));
  writeFileSync(join(empty, '.zenith.new-4194305-abc', 'file'), '');
  await expect(initRepository({ folder: empty, signal: AbortSignal.abort() })).rejects.toMatchObject({
    code: 'interrupted',
  });
  expect(readdirSync(empty)).toEqual([`.zenith.new-${process.pid}-abc`]);
});
