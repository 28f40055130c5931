import { lsn } from '@zenith/base';
import { expect, test } from 'vitest';
import { LsnWaiters } from './lsn-waiters.ts';

const WAIT = { timeoutMs: 60_000 };

test('those who wait for an LSN that has come are woken, in any order of arrival, and no others', async () => {
  const waiters = new LsnWaiters(1000);
  const woken: number[] = [];
  const all = Array.from({ length: 500 }, (_, n) => (n * 7919) % 500).map((n) =>
    waiters.wait(lsn(n), WAIT).then(() => woken.push(n)),
  );
  waiters.wake(lsn(249));
  await Promise.all(all.filter((_, i) => (i * 7919) % 500 < 250));
  expect(woken.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 250 }, (_, n) => n));
  expect(waiters.count).toBe(250);
  waiters.wake(lsn(10_000));
  await Promise.all(all);
  expect(waiters.count).toBe(0);
});

test('a wait ends with its time, with its signal, and when there are too many', async () => {
  const waiters = new LsnWaiters(2);
  await expect(waiters.wait(lsn(5), { timeoutMs: 1 })).rejects.toMatchObject({ code: 'lsn-not-available' });
  const abort = new AbortController();
  const first = waiters.wait(lsn(5), { ...WAIT, signal: abort.signal });
  const second = waiters.wait(lsn(6), WAIT);
  await expect(waiters.wait(lsn(7), WAIT)).rejects.toMatchObject({ code: 'too-many-waiters' });
  abort.abort(new Error('gone'));
  await expect(first).rejects.toThrow('gone');
  await expect(waiters.wait(lsn(7), { ...WAIT, signal: abort.signal })).rejects.toThrow('gone');
  expect(waiters.count).toBe(1);
  waiters.rejectAll(new Error('closing'));
  await expect(second).rejects.toThrow('closing');
  waiters.wake(lsn(100));
});
