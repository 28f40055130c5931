import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { temporaryDirectory } from '@zenith/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PidFile } from './pid-file.ts';
import { identifyProcess, isAlive, processArguments, type ProcessIdentity } from './process-identity.ts';

const CONTENDERS = 4;
const ROUNDS = 100;

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

test('the file names this process for certain, for its owner alone, and nobody when it is given up', () => {
  const held = PidFile.acquire(path);
  const { pid, startTicks } = identifyProcess(process.pid) as ProcessIdentity;
  expect(readFileSync(path, 'utf8')).toBe(`${pid} ${startTicks}\n`);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readdirSync(directory.path)).toEqual(['some.pid']);
  held.release();
  expect(readFileSync(path, 'utf8').trim()).toBe('');
});

test('a disk without room is no reason to be refused: the bytes of the file are written over', () => {
  writeFileSync(path, `${'9'.repeat(20)} ${'9'.repeat(20)}\n`);
  const { ino, size } = statSync(path);
  for (let round = 0; round < 2; round++) {
    const held = PidFile.acquire(path);
    expect(statSync(path)).toMatchObject({ ino, size });
    held.release();
    expect(statSync(path)).toMatchObject({ ino, size });
  }
});

test('a data directory that is gone has nothing to be given up', () => {
  const held = PidFile.acquire(path);
  rmSync(path);
  held.release();
  expect(existsSync(path)).toBe(false);
});

test('what a dead process left is touched by one at a time: while another looks at it, it is left alone', async () => {
  await withProcess(({ pid, startTicks }) => {
    writeFileSync(path, '1 0\n');
    const flag = `${path}.${pid}-${startTicks}-0a`;
    writeFileSync(flag, '');
    expect(() => PidFile.acquire(path)).toThrow(`process ${pid} is about to use this data directory`);
    expect(readFileSync(path, 'utf8')).toBe('1 0\n');
    rmSync(flag);
    PidFile.acquire(path).release();
  });
});

test('of processes that come at once, one gets what a dead one left', async () => {
  const program = fileURLToPath(new URL('./pid-file-contender.test-support.ts', import.meta.url));
  const contenders = Array.from({ length: CONTENDERS }, () => {
    const child = spawn(process.execPath, ['--conditions=source', '--import', 'tsx', program], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    return { child, lines: createInterface(child.stdout)[Symbol.asyncIterator]() };
  });
  try {
    const answers = async (): Promise<string[]> =>
      Promise.all(contenders.map(async ({ lines }) => (await lines.next()).value as string));
    expect(new Set(await answers())).toEqual(new Set(['ready']));
    for (let round = 0; round < ROUNDS; round++) {
      const contended = join(directory.path, `${round}.pid`);
      writeFileSync(contended, '1 0\n');
      for (const { child } of contenders) child.stdin.write(`${contended}\n`);
      const winners = (await answers()).filter((answer) => answer === 'held');
      expect(winners).toHaveLength(1);
    }
  } finally {
    for (const { child } of contenders) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }
}, 60_000);

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
