import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { identifyProcess } from '@zenith/service';
import { withProcessLock } from './process-lock.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'zenith-lock-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const options = { timeoutMs: 10_000, doing: 'is testing' };

test('of many who want it one at a time has it', async () => {
  let inside = 0;
  let most = 0;
  let turns = 0;
  await Promise.all(
    Array.from({ length: 20 }, () =>
      withProcessLock(folder, 'a', options, async () => {
        most = Math.max(most, ++inside);
        await sleep(1);
        inside--;
        turns++;
      }),
    ),
  );
  expect({ most, turns }).toEqual({ most: 1, turns: 20 });
  expect(readdirSync(folder)).toEqual([]);
});

test('locks of different names do not wait for each other', async () => {
  const order: string[] = [];
  await withProcessLock(folder, 'a', options, async () => {
    await withProcessLock(folder, 'a.b', options, async () => void order.push('inner'));
    order.push('outer');
  });
  expect(order).toEqual(['inner', 'outer']);
});

test('a file of a process that is dead is removed and does not count', async () => {
  const child = spawn(process.execPath, ['-e', '']);
  const identity = identifyProcess(child.pid ?? 0);
  await once(child, 'exit');
  writeFileSync(join(folder, `a.${identity?.pid}-${identity?.startTicks}-00ff`), '');
  expect(await withProcessLock(folder, 'a', { ...options, timeoutMs: 0 }, async () => readdirSync(folder).length)).toBe(
    1,
  );
});

test('a file of a process whose pid is in use again does not count', async () => {
  const self = identifyProcess(process.pid);
  writeFileSync(join(folder, `a.${process.pid}-${(self?.startTicks ?? 0) - 1}-00ff`), '');
  expect(await withProcessLock(folder, 'a', { ...options, timeoutMs: 0 }, async () => 'mine')).toBe('mine');
});

test('who waits too long is told who holds it', async () => {
  await withProcessLock(folder, 'a', options, async () => {
    await expect(
      withProcessLock(folder, 'a', { ...options, timeoutMs: 30 }, async () => 'never'),
    ).rejects.toMatchObject({
      code: 'busy',
      message: `another zenith command (pid ${process.pid}) is testing; try again when it has finished`,
    });
  });
});

test('an interrupted wait ends', async () => {
  await withProcessLock(folder, 'a', options, async () => {
    const signal = AbortSignal.abort();
    await expect(withProcessLock(folder, 'a', { ...options, signal }, async () => 'never')).rejects.toMatchObject({
      code: 'interrupted',
    });
  });
});

test('the lock is free again after work that failed', async () => {
  await expect(
    withProcessLock(folder, 'a', options, async () => {
      throw new Error('no');
    }),
  ).rejects.toThrow('no');
  expect(await withProcessLock(folder, 'a', { ...options, timeoutMs: 0 }, async () => 'free')).toBe('free');
});
