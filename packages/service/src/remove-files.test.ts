import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { removeFile, removeTree } from './remove-files.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'zenith-files-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** Descriptors of this process of files in the directory, removed ones included. */
function open(): string[] {
  return readdirSync('/proc/self/fd')
    .map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return ''; // closed since
      }
    })
    .filter((path) => path.startsWith(directory));
}

test('a file that is removed is gone at once, and nobody has it open for long', async () => {
  const path = join(directory, 'layer');
  writeFileSync(path, Buffer.alloc(1024 * 1024));
  removeFile(path);
  expect(existsSync(path)).toBe(false);
  writeFileSync(path, 'another of that name');
  await expect.poll(open).toEqual([]);
  expect(existsSync(path)).toBe(true);
});

test('a file that is not there cannot be removed, which says so', () => {
  expect(() => removeFile(join(directory, 'none'))).toThrow(/ENOENT.*unlink/);
});

test('a link is removed, not what it leads to', () => {
  writeFileSync(join(directory, 'file'), 'kept');
  symlinkSync(join(directory, 'file'), join(directory, 'link'));
  removeFile(join(directory, 'link'));
  expect(readdirSync(directory)).toEqual(['file']);
});

test('a folder goes with everything in it, and so does a file; where there is nothing, nothing is removed', async () => {
  const path = join(directory, 'timeline');
  mkdirSync(join(path, 'layers', 'deeper'), { recursive: true });
  for (const name of ['index.json', 'layers/1', 'layers/2', 'layers/deeper/3']) writeFileSync(join(path, name), name);
  removeTree(path);
  expect(readdirSync(directory)).toEqual([]);
  removeTree(path);
  writeFileSync(path, 'a file');
  removeTree(path);
  expect(readdirSync(directory)).toEqual([]);
  await expect.poll(open).toEqual([]);
});
