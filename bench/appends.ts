import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeId } from '@zenith/consensus';
import { lsn } from '@zenith/base';
import { temporaryDirectory } from '@zenith/testing';
import { SafekeeperProcess } from '../packages/safekeeper/src/testing/safekeeper-process.test-support.ts';
import { TestProposer } from '../packages/safekeeper/src/testing/test-proposer.test-support.ts';
import { TestWal, testConfiguration, testIdentity } from '../packages/safekeeper/src/testing/test-wal.test-support.ts';
import { atLeast, medianOf, type Measurement } from './support/report.ts';
import { SocketFloor } from './support/socket-floor.ts';

const MAIN = fileURLToPath(new URL('../packages/safekeeper/dist/main.js', import.meta.url));

const SEGMENT_SIZE = 16 * 1024 * 1024;
const APPEND_BYTES = 128 * 1024;
const INFLIGHT_BYTES = 16 * 1024 * 1024;

/** WAL of one round. Unit: bytes. */
const ROUND_BYTES = 64 * 1024 * 1024;

/** Rounds of 512 appends for the compiler, whose work shows that long. A safekeeper runs for weeks. */
const WARM_UP_ROUNDS = 4;

/** What one safekeeper, built as a user's is, takes in as a stream of appends of 128 KiB: against `dd conv=fdatasync` of as many bytes to the same disk, and against what Node sends to Node. */
export async function benchAppends(rounds: number, report: (measurement: Measurement) => void): Promise<void> {
  const directory = temporaryDirectory('zenith-bench-');
  const identity = { ...testIdentity(lsn(SEGMENT_SIZE + 8192)), segmentSize: SEGMENT_SIZE };
  const safekeeper = await SafekeeperProcess.start(directory.path, 1, {}, [MAIN]);
  const floor = await SocketFloor.open(ROUND_BYTES);
  const wal = new TestWal(identity);
  const proposer = new TestProposer(
    identity,
    testConfiguration(1),
    new Map([[nodeId(1), safekeeper.addresses.listen]]),
    () => wal,
    { appendBytesMax: APPEND_BYTES, inflightBytesMax: INFLIGHT_BYTES, coalesceBytesMax: 0 },
  );
  try {
    await proposer.connect();
    await proposer.until(({ synced }) => synced);
    const ours: number[] = [];
    const theirs: number[] = [];
    const sockets: number[] = [];
    // All of it is made before: what that leaves to be collected must not be collected while the clock runs.
    wal.grow((WARM_UP_ROUNDS + rounds) * ROUND_BYTES);
    for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
      const from = proposer.core.state.commitLsn;
      const to = wal.recordEndBefore(lsn(from + ROUND_BYTES));
      const began = performance.now();
      proposer.offer(to);
      await proposer.until(({ commitLsn }) => commitLsn >= to);
      if (round < 0) continue;
      ours.push((to - from) / 1e6 / ((performance.now() - began) / 1000));
      theirs.push(ddRate(directory.path));
      sockets.push(await floor.measure(APPEND_BYTES));
    }
    const against = atLeast(
      'safekeeper, appends of 128 KiB, against dd conv=fdatasync',
      medianOf(ours),
      medianOf(theirs),
      0.7,
      'MB/s',
    );
    report({ ...against, detail: `${against.detail}; from Node to Node ${medianOf(sockets).toFixed(0)}` });
  } finally {
    proposer.close();
    await floor.close();
    await safekeeper.stop();
    directory.remove();
  }
}

/** Unit: MB/s, by dd's own clock. */
function ddRate(folder: string): number {
  const file = join(folder, 'dd');
  const { stderr } = spawnSync(
    'dd',
    ['if=/dev/zero', `of=${file}`, `bs=${APPEND_BYTES}`, `count=${ROUND_BYTES / APPEND_BYTES}`, 'conv=fdatasync'],
    { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } },
  );
  rmSync(file, { force: true });
  const seconds = Number(/copied, ([\d.]+) s/.exec(stderr)?.[1]);
  if (!(seconds > 0)) throw new Error(`dd printed something else: ${stderr}`);
  return ROUND_BYTES / 1e6 / seconds;
}
