import { once } from 'node:events';
import { getPriority } from 'node:os';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';

const MODULE = new URL('./lower-priority.ts', import.meta.url).href;
const NICENESS = 7;

// It reads back the priority of its own thread.
const PROGRAM = `
  import('tsx/esm/api').then(async ({ register }) => {
    register();
    const { lowerPriority } = await import(${JSON.stringify(MODULE)});
    lowerPriority(${NICENESS});
    const thread = Number(require('node:fs').readlinkSync('/proc/thread-self').split('/').at(-1));
    require('node:worker_threads').parentPort.postMessage(require('node:os').getPriority(thread));
  });`;

test.runIf(process.platform === 'linux')(
  'a thread that gives way leaves the priority of its process as it is',
  async () => {
    const before = getPriority(process.pid);
    const worker = new Worker(PROGRAM, { eval: true, execArgv: ['--conditions=source'] });
    const [priority] = (await once(worker, 'message')) as [number];
    expect(priority).toBe(Math.max(before, NICENESS));
    expect(getPriority(process.pid)).toBe(before);
    await worker.terminate();
  },
);
