import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import type { Lsn } from '@zenith/base';
import { crashedServer, type CrashedServer } from './redo/crashed-server.ts';
import { decodeTimes } from './redo/decode.ts';
import { insertHistory, rebuildPages } from './redo/pages.ts';
import { pipeRoundTrip } from './redo/pipe-floor.ts';
import { ShardedReplay, type ShardRun, type WalToReplay } from './redo/sharded-replay.ts';
import { ginAndGist, tpcb, type Workload } from './redo/workloads.ts';
import { atLeast, medianOf, print, rateAtLeast, ratioAtMost, type Measurement } from './support/report.ts';

// npm run bench:redo [-- --transactions 150000 --rows 60000 --rounds 3]
const { values } = parseArgs({
  options: {
    transactions: { type: 'string', default: '150000' },
    rows: { type: 'string', default: '60000' },
    rounds: { type: 'string', default: '3' },
  },
});
const rounds = Number(values.rounds);
/** A core a shard, of which large machines have more than one timeline would be given. */
const SHARDS = Math.min(availableParallelism(), 8);

const measurements: Measurement[] = [];
const report = (measurement: Measurement): void => {
  measurements.push(measurement);
  print(measurement);
};

/**
 * Replays before the first that is measured: the pageserver runs for weeks, what a cold compiler costs is not measured. Two shards on two cores need more of them than one
 * shard, whose compiler has the other core for itself.
 */
const WARM_UP = 4;

/** Records/s of one replay. */
async function rateOf(
  replay: ShardedReplay,
  wal: WalToReplay,
): Promise<{ readonly records: number; readonly rate: number; readonly shards: readonly ShardRun[] }> {
  const from = performance.now();
  const shards = await replay.run(wal);
  const records = shards[0]?.records ?? 0;
  return { records, rate: records / ((performance.now() - from) / 1000), shards };
}

/** Decoding, and redo of all pages, of what a workload wrote, against the stock server's recovery; for `withPages` also single pages against the pipe. */
async function measure(workload: Workload, withPages: boolean): Promise<void> {
  const crashed = await crashedServer(workload);
  const [sharded, single] = [new ShardedReplay(SHARDS), new ShardedReplay(1)];
  try {
    const ours: number[] = [];
    const oursInOne: number[] = [];
    const theirs: number[] = [];
    let recovery = await crashed.recover();
    for (let round = -WARM_UP; round < rounds; round++) {
      if (round >= 0) recovery = await crashed.recover();
      const { start, end } = recovery;
      const wal = { major: crashed.pgMajor, base: crashed.base, walDirectory: crashed.walDirectory, start, end };
      const one = await rateOf(single, wal);
      await single.forget();
      const all = await rateOf(sharded, wal);
      if (round === rounds - 1) {
        console.log(
          `${workload.name}: ${all.records} records; ${await sharded.verify(recovery.recovered, end)} pages the same as the server's`,
        );
        const shards = all.shards.map(({ blocks, seconds }) => `${blocks} blocks in ${seconds.toFixed(2)} s`);
        console.log(`      the shards: ${shards.join('; ')}`);
      }
      await sharded.forget();
      if (round < 0) continue;
      oursInOne.push(one.rate);
      ours.push(all.rate);
      theirs.push(all.records / recovery.seconds);
      if (round === 0) await measureParts(workload, crashed, start, withPages);
    }
    const name = `decode + redo, WAL of ${workload.name}, against stock`;
    report(atLeast(name, medianOf(ours) / 1000, medianOf(theirs) / 1000, 1, `k records/s, ${SHARDS} shards`));
    console.log(
      `      in one shard, on one core as the server: ${(medianOf(oursInOne) / medianOf(theirs)).toFixed(2)}× (${(medianOf(oursInOne) / 1000).toFixed(0)} k records/s)`,
    );
  } finally {
    await Promise.all([sharded.end(), single.end()]);
    await crashed.remove();
  }
}

async function measureParts(workload: Workload, crashed: CrashedServer, start: Lsn, withPages: boolean): Promise<void> {
  const times = decodeTimes(crashed.pgMajor, crashed.walDirectory, start);
  report(
    rateAtLeast(
      `decode, WAL of ${workload.name}`,
      times.records / times.decode / 1e6,
      3,
      'M records/s',
      `${(times.bytes / times.records).toFixed(0)} bytes a record, ${(times.bytes / times.decode / 1e6).toFixed(0)} MB/s, ${(times.decode / times.checksums).toFixed(2)}× of the checksums alone`,
    ),
  );
  if (!withPages) return;
  const page = rebuildPages(crashed.pgMajor, insertHistory(crashed.pgMajor, crashed.walDirectory, start));
  const pipe = pipeRoundTrip();
  const us = (ns: number): number => ns / 1000;
  report(ratioAtMost('one heap insert on a cold page against a pipe', us(page.oneInsert), us(pipe), 0.2, 'µs'));
  console.log(
    `      ${page.inserts} heap inserts on a page: ${us(page.allInserts).toFixed(2)} µs, ${(page.allInserts / pipe).toFixed(2)}× of the pipe's round trip`,
  );
}

await measure(tpcb(Number(values.transactions)), true);
await measure(ginAndGist(Number(values.rows)), false);
console.log(`${measurements.filter(({ met }) => met).length} of ${measurements.length} targets met`);
