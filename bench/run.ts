import { parseArgs } from 'node:util';
import { benchAppends } from './appends.ts';
import { benchBranches } from './branches.ts';
import { benchIngest } from './ingest.ts';
import { benchLargeTable } from './large-table.ts';
import { benchQuorum } from './quorum.ts';
import { benchReads } from './reads.ts';
import { print, type Measurement } from './support/report.ts';
import { benchTransactions } from './transactions.ts';

// npm run bench [-- --only transactions|quorum|appends|ingest|reads|branches|large-table --seconds 20 --scale 20 --rounds 3 --megabytes 1100 --transactions 200000]
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    seconds: { type: 'string', default: '20' },
    scale: { type: 'string', default: '20' },
    rounds: { type: 'string', default: '3' },
    transactions: { type: 'string', default: '200000' },
    megabytes: { type: 'string', default: '1100' },
  },
});

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
const chosen = values.only === undefined ? Object.keys(parts) : [values.only];
for (const name of chosen) {
  const part = parts[name];
  if (part === undefined)
    throw new Error(`there is no benchmark '${name}': choose one of ${Object.keys(parts).join(', ')}`);
  await part();
}
console.log(`${measurements.filter(({ met }) => met).length} of ${measurements.length} targets met`);
