import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from '@zenith/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PidFile } from './pid-file.ts';
import { identifyProcess, isAlive, processArguments, type ProcessIdentity } from './process-identity.ts';

let directory: ReturnType<typeof temporaryDirectory>;
let path: string;
beforeEach(() => {
  directory = temporaryDirectory('zenith-pid-file-');
  path = join(directory.path, 'some.pid');
});
afterEach(() => directory.remove());

/** Lives until `work` is done. */
async function withProcess(work: (identity: ProcessIdentity) => void): Promise<ProcessIdentity> {
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume(); console.log()', 'an argument'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  try {
    await once(child.stdout, 'data');
    const identity = identifyProcess(child.pid as number) as ProcessIdentity;
    work(identity);
    return identity;
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
}

test('the file names this process for certain, for its owner alone, and is gone when it is given up', () => {
  const held = PidFile.acquire(path);
  const { pid, startTicks } = identifyProcess(process.pid) as ProcessIdentity;
  expect(readFileSync(path, 'utf8')).toBe(`${pid} ${startTicks}\n`);
  held.release();
  expect(existsSync(path)).toBe(false);
});

test('a directory that a live process holds is refused with its pid, also where the file has no start time', async () => {
  await withProcess(({ pid, startTicks }) => {
    for (const held of [`${pid} ${startTicks}\n`, `${pid}\n`]) {
      writeFileSync(path, held);
      expect(() => PidFile.acquire(path)).toThrow(
        expect.objectContaining({
          code: 'data-directory-in-use',
          message: expect.stringContaining(`process ${pid} uses`) as string,
        }) as Error,
      );
      expect(readFileSync(path, 'utf8')).toBe(held);
    }
  });
});

test('what a dead process, another process of the same pid, this one or a torn write left is taken over', async () => {
  const take = (left: string): void => {
    writeFileSync(path, left);
    PidFile.acquire(path);
    expect(Number(readFileSync(path, 'utf8').split(' ')[0])).toBe(process.pid);
  };
  const dead = await withProcess(({ pid, startTicks }) => take(`${pid} ${startTicks - 1}\n`));
  expect(isAlive(dead)).toBe(false);
  take(`${dead.pid} ${dead.startTicks}\n`);
  for (const left of [`${process.pid} 1\n`, '', '\n', '-1', '1e3', 'x y']) take(left);
});

test('what cannot be read is an error, not a free directory', () => {
  mkdirSync(path);
  expect(() => PidFile.acquire(path)).toThrow(/EISDIR/);
});

test('the arguments of a process, and none of one that is gone', async () => {
  const { pid } = await withProcess((identity) => {
    expect(processArguments(identity.pid).at(-1)).toBe('an argument');
  });
  expect(processArguments(pid)).toEqual([]);
});
