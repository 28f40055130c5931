import { parseArgs } from 'node:util';
import { crashedServer, type CrashedServer, type RecoveredServer } from './redo/crashed-server.ts';
import { decodeTimes } from './redo/decode.ts';
import { insertHistory, rebuildPages } from './redo/pages.ts';
import { pipeRoundTrip } from './redo/pipe-floor.ts';
import { Replay } from './redo/replay.ts';
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

const measurements: Measurement[] = [];
const report = (measurement: Measurement): void => {
  measurements.push(measurement);
  print(measurement);
};

/** One recovery by a stock server, and the same replay by us. */
async function replayOnce(
  crashed: CrashedServer,
): Promise<{ readonly recovery: RecoveredServer; readonly replay: Replay; readonly seconds: number }> {
  const recovery = await crashed.recover();
  const replay = new Replay(crashed.pgMajor, crashed.base);
  const from = performance.now();
  replay.run(crashed.walDirectory, recovery.start, recovery.end);
  const seconds = (performance.now() - from) / 1000;
  replay.close();
  return { recovery, replay, seconds };
}

/** Decoding, and redo of all pages, of what a workload wrote, against the stock server's recovery; for `withPages` also single pages against the pipe. */
async function measure(workload: Workload, withPages: boolean): Promise<void> {
  const crashed = await crashedServer(workload);
  try {
    const ours: number[] = [];
    const theirs: number[] = [];
    await replayOnce(crashed); // the pageserver runs for weeks: what a cold compiler costs is not measured
    for (let round = 0; round < rounds; round++) {
      const { recovery, replay, seconds } = await replayOnce(crashed);
      ours.push(replay.records / seconds);
      theirs.push(replay.records / recovery.seconds);
      if (round < rounds - 1) continue;

      const pages = replay.verify(recovery.recovered, recovery.end);
      console.log(
        `${workload.name}: ${replay.records} records, ${replay.blocks} blocks redone, ${pages} pages the same as the server's`,
      );
      const times = decodeTimes(crashed.pgMajor, crashed.walDirectory, recovery.start);
      report(
        rateAtLeast(
          `decode, WAL of ${workload.name}`,
          times.records / times.decode / 1e6,
          3,
          'M records/s',
          `${(times.bytes / times.records).toFixed(0)} bytes a record, ${(times.bytes / times.decode / 1e6).toFixed(0)} MB/s, ${(times.decode / times.checksums).toFixed(2)}× of the checksums alone`,
        ),
      );
      if (withPages) {
        const page = rebuildPages(
          crashed.pgMajor,
          insertHistory(crashed.pgMajor, crashed.walDirectory, recovery.start),
        );
        const pipe = pipeRoundTrip();
        const us = (ns: number): number => ns / 1000;
        report(ratioAtMost('one heap insert on a cold page against a pipe', us(page.oneInsert), us(pipe), 0.2, 'µs'));
        console.log(
          `      ${page.inserts} heap inserts on a page: ${us(page.allInserts).toFixed(2)} µs, ${(page.allInserts / pipe).toFixed(2)}× of the pipe's round trip`,
        );
      }
    }
    report(
      atLeast(
        `decode + redo, WAL of ${workload.name}, against stock`,
        medianOf(ours) / 1000,
        medianOf(theirs) / 1000,
        1,
        'k records/s',
      ),
    );
  } finally {
    await crashed.remove();
  }
}

await measure(tpcb(Number(values.transactions)), true);
await measure(ginAndGist(Number(values.rows)), false);
console.log(`${measurements.filter(({ met }) => met).length} of ${measurements.length} targets met`);
