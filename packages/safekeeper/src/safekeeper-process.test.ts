import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatLsn } from '@zenith/base';
import { nodeId, type NodeId } from '@zenith/consensus';
import { temporaryDirectory } from '@zenith/testing';
import { afterEach, expect, test } from 'vitest';
import { readWal, TestProposer, type Address } from './testing/test-proposer.test-support.ts';
import { SafekeeperProcess } from './testing/safekeeper-process.test-support.ts';
import { testConfiguration, testIdentity, TestWal } from './testing/test-wal.test-support.ts';

const cleanups: (() => void | Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
});

function dataDirectory(): string {
  const directory = temporaryDirectory();
  cleanups.push(() => directory.remove());
  return directory.path;
}

async function start(path: string, id: number): Promise<SafekeeperProcess> {
  const started = await SafekeeperProcess.start(path, id);
  cleanups.push(() => started.kill());
  return started;
}

test('kill -9 in the middle of the stream, again and again: everything acknowledged is there, to the byte', async () => {
  const path = dataDirectory();
  const identity = testIdentity();
  let wal = new TestWal(identity);
  for (let round = 1; round <= 2; round++) {
    const process = await start(path, 1);
    const addresses = new Map<NodeId, Address>([[nodeId(1), process.addresses.listen]]);
    const current = wal;
    const proposer = new TestProposer(identity, testConfiguration(1), addresses, () => current, {
      appendBytesMax: 30_000,
    });
    cleanups.push(() => proposer.close());
    await proposer.connect();
    await proposer.until(({ synced }) => synced);
    // Two elections a round: this one, and the one that looks what is there after the kill.
    expect(proposer.core.state.term).toBe(2 * round - 1);
    expect(proposer.core.state.startLsn).toBe(wal.startLsn);
    wal.grow(3_000_000);
    proposer.offer();
    const target = proposer.core.state.startLsn + 800_000 * round;
    await proposer.until(({ acceptors }) => (acceptors[0]?.flushLsn ?? 0) >= target);
    await process.kill();
    const acknowledged = proposer.core.state.acceptors[0]?.flushLsn ?? identity.timelineStartLsn;
    const { commitLsn } = proposer.core.state;
    proposer.close();

    const again = await start(path, 1);
    const syncer = new TestProposer(
      identity,
      testConfiguration(1),
      new Map([[nodeId(1), again.addresses.listen]]),
      () => current,
      { mode: 'sync' },
    );
    cleanups.push(() => syncer.close());
    await syncer.connect();
    await syncer.until(({ phase }) => phase === 'done');
    const { startLsn } = syncer.core.state;
    expect(startLsn).toBeGreaterThanOrEqual(acknowledged);
    expect(startLsn).toBeGreaterThanOrEqual(commitLsn);
    expect(startLsn).toBe(current.recordEndBefore(startLsn));
    expect(
      Buffer.compare(
        await readWal(again.addresses.listen, identity, identity.timelineStartLsn, startLsn),
        current.bytes(identity.timelineStartLsn, startLsn),
      ),
    ).toBe(0);
    syncer.close();
    await again.kill();
    // The next round goes on from where the WAL ends: other bytes in place of what was lost.
    wal = new TestWal(identity, startLsn, round + 1, current);
  }
}, 120_000);

test('SIGTERM is a clean stop: exit code 0, a pid file that names nobody, the control file says where the WAL is', async () => {
  const path = dataDirectory();
  const identity = testIdentity();
  const process = await start(path, 1);
  expect(readFileSync(join(path, 'safekeeper.pid'), 'utf8').split(' ')[0]).toBe(String(process.pid));
  const wal = new TestWal(identity).grow(100_000);
  const proposer = new TestProposer(
    identity,
    testConfiguration(1),
    new Map([[nodeId(1), process.addresses.listen]]),
    () => wal,
  );
  cleanups.push(() => proposer.close());
  await proposer.connect();
  await proposer.until(({ synced }) => synced);
  await proposer.commit(wal.endLsn);
  expect(await process.stop()).toBe(0);
  expect(readFileSync(join(path, 'safekeeper.pid'), 'utf8').trim()).toBe('');
  const control = readFileSync(join(path, 'tenants', identity.tenant, identity.timeline, 'safekeeper.control'))
    .subarray(16)
    .toString('utf8');
  expect(JSON.parse(control)).toMatchObject({ term: 1, commitLsn: formatLsn(wal.endLsn) });
});

test('a start that fails says why in one line, and a pid file of a dead process does not hinder', async () => {
  const path = dataDirectory();
  writeFileSync(join(path, 'safekeeper.pid'), '1 1\n');
  const process = await start(path, 1);
  await expect(SafekeeperProcess.start(path, 1)).rejects.toThrow(
    new RegExp(`process ${process.pid} uses this data directory`),
  );
  await process.kill();
  await expect(SafekeeperProcess.start(path, 1, { id: 'x' })).rejects.toThrow(/safekeeper\.json: id: /);
});
