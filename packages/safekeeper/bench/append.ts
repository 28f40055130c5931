// Throughput and commit latency of one safekeeper process, against the floor of the same disk in the same run: the same bytes written by this process with one fdatasync for each group.
//   node --conditions=source --import tsx packages/safekeeper/bench/append.ts
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Lsn } from '@zenith/base';
import { nodeId } from '@zenith/consensus';
import { temporaryDirectory } from '@zenith/testing';
import { SafekeeperProcess } from '../src/testing/safekeeper-process.test-support.ts';
import { TestProposer } from '../src/testing/test-proposer.test-support.ts';
import { testConfiguration, testIdentity, TestWal } from '../src/testing/test-wal.test-support.ts';

const STREAM_BYTES = 96 * 1024 * 1024;
const GROUP_BYTES = 512 * 1024;
const COMMITS = 500;

const directory = temporaryDirectory('zenith-bench-');
const segmentSize = 16 * 1024 * 1024;
const identity = { ...testIdentity((segmentSize + 8192) as Lsn), segmentSize };
const process_ = await SafekeeperProcess.start(directory.path, 1);
const wal = new TestWal(identity);
const proposer = new TestProposer(
  identity,
  testConfiguration(1),
  new Map([[nodeId(1), process_.addresses.listen]]),
  () => wal,
  { appendBytesMax: GROUP_BYTES, inflightBytesMax: 16 * 1024 * 1024, coalesceBytesMax: 0 },
);

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

try {
  await proposer.connect();
  await proposer.until(({ synced }) => synced);

  const latencies: number[] = [];
  for (let i = 0; i < COMMITS; i++) {
    const { endLsn } = wal.record(300);
    const begin = performance.now();
    await proposer.commit(endLsn);
    latencies.push(performance.now() - begin);
  }

  wal.grow(STREAM_BYTES);
  const begin = performance.now();
  await proposer.commit(wal.endLsn);
  const streamSeconds = (performance.now() - begin) / 1000;

  const fd = openSync(join(directory.path, 'floor'), 'w+');
  const group = Buffer.alloc(GROUP_BYTES, 1);
  for (let at = 0; at < STREAM_BYTES; at += GROUP_BYTES) writeSync(fd, group, 0, GROUP_BYTES, at);
  fdatasyncSync(fd);
  const floorLatencies: number[] = [];
  for (let i = 0; i < COMMITS; i++) {
    const start = performance.now();
    writeSync(fd, group, 0, 332, i * 336);
    fdatasyncSync(fd);
    floorLatencies.push(performance.now() - start);
  }
  const floorBegin = performance.now();
  for (let at = 0; at < STREAM_BYTES; at += GROUP_BYTES) {
    writeSync(fd, group, 0, GROUP_BYTES, at);
    fdatasyncSync(fd);
  }
  const floorSeconds = (performance.now() - floorBegin) / 1000;
  closeSync(fd);

  const mb = STREAM_BYTES / 1024 / 1024;
  const latency = median(latencies);
  const floor = median(floorLatencies);
  process.stdout.write(
    `stream: ${(mb / streamSeconds).toFixed(0)} MB/s, floor ${(mb / floorSeconds).toFixed(0)} MB/s, ratio ${(floorSeconds / streamSeconds).toFixed(2)}\n`,
  );
  process.stdout.write(
    `commit: p50 ${latency.toFixed(2)} ms, floor ${floor.toFixed(2)} ms, ratio ${(latency / floor).toFixed(2)}\n`,
  );
} finally {
  proposer.close();
  await process_.stop();
  directory.remove();
}
