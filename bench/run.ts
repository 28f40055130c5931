import { parseArgs } from 'node:util';
import { benchAppends } from './appends.ts';
import { benchBranches } from './branches.ts';
import { benchIngest } from './ingest.ts';
import { benchLargeTable } from './large-table.ts';
import { benchQuorum } from './quorum.ts';
import { benchReads } from './reads.ts';
import { print, type Measurement } from './support/report.ts';
import { benchTransactions } from './transactions.ts';

const USAGE = `usage: npm run bench [-- OPTIONS]

Measures Zenith against stock PostgreSQL or a bound in the same run and prints the ratios. It needs a distribution's pgbench. A quiet machine tells more than many rounds.

  --only PART            transactions, quorum, appends, ingest, reads, branches or large-table; may be given several times; all unless it is
  --seconds N            of each run of pgbench (20)
  --scale N              of pgbench: × 100,000 accounts (20)
  --rounds N             runs of each server, taken in turn (3)
  --transactions N       in the WAL that ingest and reads use (200000)
  --megabytes N          of the large table (1100)
  --help                 this

Each target that was missed is marked MISS; the exit code is 0 all the same, since a timing is no proof of a fault.`;

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    seconds: { type: 'string', default: '20' },
    scale: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '3' },
    transactions: { type: 'string', default: '200000' },
    megabytes: { type: 'string', default: '1100' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(USAGE);
  process.exit(0);
}

const measurements: Measurement[] = [];
const report = (measurement: Measurement): void => {
  measurements.push(measurement);
  print(measurement);
};

const transactions = {
  scale: Number(values.scale),
  seconds: Number(values.seconds),
  rounds: Number(values.rounds),
};
const parts: Record<string, () => Promise<void>> = {
  transactions: () => benchTransactions(transactions, report),
  quorum: () => benchQuorum(transactions, report),
  appends: () => benchAppends(transactions.rounds, report),
  ingest: () => benchIngest(Number(values.transactions), report),
  reads: () => benchReads(Number(values.transactions), report),
  branches: () => benchBranches(transactions, report),
  'large-table': () => benchLargeTable(Number(values.megabytes), report),
};
const chosen = values.only ?? Object.keys(parts);
const unknown = chosen.find((name) => parts[name] === undefined);
if (unknown !== undefined) {
  console.error(`there is no benchmark '${unknown}': choose one of ${Object.keys(parts).join(', ')}`);
  process.exit(1);
}
for (const name of chosen) await parts[name]?.();
console.log(`${measurements.filter(({ met }) => met).length} of ${measurements.length} targets met`);
