import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryDirectory } from '@zenith/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { LocalFolderStorage } from './local-folder.ts';
import { bytesSource, checksumFile, fileSource } from './object-source.ts';
import { remoteStorageConformance } from './remote-storage.test-support.ts';

remoteStorageConformance('a local folder', () => {
  const directory = temporaryDirectory('zenith-remote-');
  return Promise.resolve({
    open: () => LocalFolderStorage.open(join(directory.path, 'objects')),
    remove: () => Promise.resolve(directory.remove()),
  });
});

let directory: ReturnType<typeof temporaryDirectory>;
beforeEach(() => {
  directory = temporaryDirectory('zenith-remote-');
});
afterEach(() => directory.remove());

test('a file on the same file system is linked: it takes no space, and outlives its first name', async () => {
  const file = join(directory.path, 'layer');
  writeFileSync(file, 'immutable');
  const storage = await LocalFolderStorage.open(join(directory.path, 'objects'));
  const source = fileSource(file, await checksumFile(file));
  await storage.put('a/layer', source);
  await storage.put('a/layer', source); // again, as after a lost response
  const object = join(directory.path, 'objects/a/layer');
  expect(statSync(object).ino).toBe(statSync(file).ino);
  expect(readdirSync(join(directory.path, 'objects/.incoming'))).toEqual([]);
  expect(readFileSync(object, 'utf8')).toBe('immutable');
});

test.for(['immut', 'immutably'])('a file that is not what it was is no object: %s', async (changed) => {
  const file = join(directory.path, 'layer');
  writeFileSync(file, 'immutable');
  const source = fileSource(file, await checksumFile(file));
  writeFileSync(file, changed);
  const storage = await LocalFolderStorage.open(join(directory.path, 'objects'));
  await expect(storage.put('a/layer', source)).rejects.toThrow(/what is to be stored .*\/layer\)/);
  expect(await storage.head('a/layer')).toBeUndefined();
  expect(readdirSync(join(directory.path, 'objects/.incoming'))).toEqual([]);
});

test('what a dead process left on its way is removed once it is old, and is never an object', async () => {
  const root = join(directory.path, 'objects');
  await mkdir(join(root, '.incoming'), { recursive: true });
  writeFileSync(join(root, '.incoming', '1-1-1'), 'half');
  const storage = await LocalFolderStorage.open(root);
  expect((await storage.list('')).objects).toEqual([]);
  expect(existsSync(join(root, '.incoming', '1-1-1'))).toBe(true);
  await LocalFolderStorage.open(root, () => Date.now() + 3700_000);
  expect(readdirSync(join(root, '.incoming'))).toEqual([]);
});

test('a folder that cannot be made is refused in one line', async () => {
  writeFileSync(join(directory.path, 'file'), '');
  await expect(LocalFolderStorage.open(join(directory.path, 'file', 'objects'))).rejects.toMatchObject({
    code: 'refused',
    message: expect.stringContaining('objects') as string,
  });
});

test('a key is a path of plain words', async () => {
  const storage = await LocalFolderStorage.open(join(directory.path, 'objects'));
  for (const key of ['', '/a', 'a/', 'a//b', '../a', 'a/../b', '.incoming/x', 'a b', 'a'.repeat(513)])
    await expect(storage.put(key, bytesSource('test', Uint8Array.of(1)))).rejects.toThrow(/plain words/);
});
